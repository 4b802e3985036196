"""HUB_EGRESS_CA and HUB_EGRESS_CLIENT_CERT reach the sender (SECURITY C5)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from hub.channels.response import Failure
from hub.errors import CannotStart
from hub.offer import sender
from hub.settings import Settings


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    """Of the authority, and of the hub's own certificate with its key."""
    ca, cert = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("hub.example").private_key_and_cert_chain_pem.write_to_path(str(cert))
    return ca, cert


async def answer_of(serve: Any, authority: trustme.CA, **settings: str) -> int | Failure | None:
    """Of a receiver at localhost that asks for a client certificate."""
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(demanding)
    receiver = await serve(tls=demanding)
    made = sender(Settings(allow_private_endpoints=True, **settings))  # type: ignore[arg-type]
    try:
        response = await made.post(receiver.url(host="localhost"), [], b"{}", 5)
    finally:
        await made.aclose()
    return response.status or response.failure


@pytest.mark.parametrize("place", ["", "localhost=", " LOCALHOST = "])
async def test_authority_and_certificate_count_for_all_hosts_or_for_the_named_one(
    serve: Any, authority: trustme.CA, files: tuple[Path, Path], place: str
) -> None:
    ca, cert = files
    given = {"egress_ca": f"{place}{ca}", "egress_client_cert": f"other.example={cert},{place}{cert}"}
    assert await answer_of(serve, authority, **given) == 200


async def test_what_is_named_for_another_host_is_not_used(
    serve: Any, authority: trustme.CA, files: tuple[Path, Path]
) -> None:
    ca, cert = files
    assert await answer_of(serve, authority, egress_ca=f"other.example={ca}") is Failure.TLS_FAILED
    refused = await answer_of(serve, authority, egress_ca=str(ca), egress_client_cert=f"other.example={cert}")
    assert refused in (Failure.TLS_FAILED, Failure.CONNECTION_LOST)  # the peer may say why, or just hang up


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    for name in ("egress_ca", "egress_client_cert"):
        with pytest.raises(CannotStart, match="HUB_EGRESS_CA or HUB_EGRESS_CLIENT_CERT"):
            sender(Settings(**{name: f"host.example={tmp_path / 'none.pem'}"}))  # type: ignore[arg-type]
