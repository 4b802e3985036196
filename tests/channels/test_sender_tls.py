"""TLS: nothing of a request leaves before certificate and name are right (S-157; SECURITY C5)."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
import uvloop

from hub.channels.egress import EgressPolicy
from hub.channels.response import Failure
from hub.channels.sender import Sender
from hub.channels.tls import tls_context
from hub.errors import CannotStart
from tests.channels.receivers import OK, Receiver, answering

POLICY = EgressPolicy(allow_private=True)
HOST = "receiver.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return tls_context(ca=path)


def serving(authority: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(UTC) - timedelta(days=2)
    cert = authority.issue_cert(*names, not_after=past) if expired else authority.issue_cert(*names)
    cert.configure_cert(context)
    return context


async def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
def tls_sender(make_sender: Callable[..., Sender], trusting: ssl.SSLContext) -> Sender:
    return make_sender(POLICY, tls=trusting, resolve=loopback)


async def test_right_name_is_served_and_the_connection_reused(
    serve: Any, tls_sender: Sender, authority: trustme.CA
) -> None:
    receiver = await serve(tls=serving(authority, HOST))
    body = b"a" * 3_000_000
    for _ in range(4):
        assert (await tls_sender.post(receiver.url(host=HOST), [], body, 10)).status == 200
    assert receiver.connections == 1
    assert {request.body for request in receiver.requests} == {body}


async def test_address_in_the_url_is_checked_against_the_certificate(
    serve: Any, tls_sender: Sender, authority: trustme.CA
) -> None:
    right, wrong = await serve(tls=serving(authority, "127.0.0.1")), await serve(tls=serving(authority, HOST))
    assert (await tls_sender.post(right.url(), [], b"{}", 5)).status == 200
    assert (await tls_sender.post(wrong.url(), [], b"{}", 5)).failure is Failure.TLS_FAILED


async def test_wrong_name_self_signed_and_expired_get_no_byte_of_the_request(
    serve: Any, tls_sender: Sender, authority: trustme.CA
) -> None:
    contexts = [
        serving(authority, "other.example"),
        serving(authority, f"a.{HOST}"),
        serving(trustme.CA(), HOST),
        serving(authority, HOST, expired=True),
    ]
    for context in contexts:
        receiver = await serve(tls=context)
        response = await tls_sender.post(receiver.url(host=HOST), [("X", "secret")], b"{}", 5)
        assert (response.status, response.failure) == (0, Failure.TLS_FAILED)
        assert receiver.requests == []


async def test_tls_1_1_is_refused(serve: Any, tls_sender: Sender, authority: trustme.CA) -> None:
    context = serving(authority, HOST)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    receiver = await serve(tls=context)
    refused = await tls_sender.post(receiver.url(host=HOST), [], b"{}", 5)
    assert refused.failure in {Failure.TLS_FAILED, Failure.CONNECTION_FAILED}  # the peer may say why, or just hang up
    assert receiver.requests == []


async def test_receiver_without_tls_sees_no_request(serve: Any, tls_sender: Sender) -> None:
    seen = bytearray()

    async def listen(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(100_000))
        writer.write(OK)

    receiver = await serve(listen)
    url = receiver.url(host=HOST).replace("http:", "https:")
    response = await tls_sender.post(url, [("X-Secret", "s3cret")], b"payload", 5)
    assert response.failure is Failure.TLS_FAILED
    assert b"POST" not in seen and b"s3cret" not in seen and b"payload" not in seen


async def test_silent_handshake_ends_on_time(serve: Any, tls_sender: Sender) -> None:
    async def silent(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    receiver = await serve(silent)
    response = await tls_sender.post(receiver.url(host=HOST).replace("http:", "https:"), [], b"{}", 0.2)
    assert response.failure is Failure.TIMED_OUT
    assert response.duration_seconds < 1


async def test_client_certificate_is_shown_to_its_host_only(
    serve: Any, make_sender: Callable[..., Sender], trusting: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    ca, cert = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("hub.example").private_key_and_cert_chain_pem.write_to_path(str(cert))
    demanding = serving(authority, HOST, "other.example")
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(demanding)
    receiver = await serve(tls=demanding)
    by_host = {HOST: tls_context(ca=ca, client_cert=cert)}
    sender = make_sender(POLICY, tls=trusting, tls_by_host=by_host, resolve=loopback)
    assert (await sender.post(receiver.url(host=HOST), [], b"{}", 5)).status == 200
    refused = await sender.post(receiver.url(host="other.example"), [], b"{}", 5)
    assert refused.failure in {Failure.TLS_FAILED, Failure.CONNECTION_LOST}  # the peer may say why, or just hang up
    assert len(receiver.requests) == 1


def test_context_always_verifies_and_needs_tls_1_2() -> None:
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_unusable_certificate_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate")
    for files in ({"ca": tmp_path / "bad.pem"}, {"ca": tmp_path / "none.pem"}, {"client_cert": tmp_path / "bad.pem"}):
        with pytest.raises(CannotStart, match="HUB_EGRESS"):
            tls_context(**files)


def test_the_same_holds_on_uvloop(trusting: ssl.SSLContext, authority: trustme.CA) -> None:
    """In a thread of its own, so that the session's event loop is not disturbed."""
    results: list[Any] = []
    context = serving(authority, HOST)
    thread = Thread(target=lambda: results.append(uvloop.run(_exchanges(trusting, context))), daemon=True)
    thread.start()
    thread.join(20)
    assert results == [([200] * 50, Failure.TLS_FAILED, [200, 200], 16, 0, (0, 0, 0))]


async def _exchanges(client: ssl.SSLContext, server_tls: ssl.SSLContext) -> Any:
    receivers = [Receiver(), Receiver()]
    servers = []
    for receiver, tls in zip(receivers, (server_tls, None), strict=True):

        async def handle(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver = receiver
        ) -> None:
            receiver.connections += 1
            await answering(OK)(receiver, reader, writer)
            writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls, limit=2**20))
        receiver.port = servers[-1].sockets[0].getsockname()[1]
    sender = Sender(EgressPolicy(allow_private=True, allow_http=True), tls=client, resolve=loopback)
    url = f"https://{HOST}:{receivers[0].port}/"
    responses = await asyncio.gather(*(sender.post(url, [], b"{}", 10) for _ in range(50)))
    wrong = await sender.post(url.replace(HOST, "other.example"), [], b"{}", 5)
    plain = [await sender.post(receivers[1].url(), [], b"a" * 5_000_000, 10) for _ in range(2)]
    forgotten = await _left_open_by_cancelled_connects(sender, receivers[1].url(host=HOST))
    await asyncio.wait_for(sender.aclose(), 2)
    for server in servers:
        server.close()
    await asyncio.sleep(0.05)
    pool = sender.pool
    counts = (pool.open_count, pool.idle_count, pool.lane_count)
    return (
        [response.status for response in responses],
        wrong.failure,
        [response.status for response in plain],
        receivers[0].connections,
        forgotten,
        counts,
    )


async def _left_open_by_cancelled_connects(sender: Sender, url: str) -> int:
    """Cancel attempts at every moment of connecting; the number of connections that nobody owns afterwards."""
    for turns in range(60):
        attempts = [asyncio.create_task(sender.post(url, [], b"{}", 5)) for _ in range(4)]
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        for attempt in attempts:
            attempt.cancel()
        await asyncio.wait(attempts)
    await asyncio.sleep(0.05)
    return sender.pool.open_count - sender.pool.idle_count
