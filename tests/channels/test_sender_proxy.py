"""The operator's proxy: by setting only, by CONNECT only, and no way around TLS or the check of the URL (B4)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from hub.channels.egress import EgressPolicy
from hub.channels.proxy import Proxy, read_proxy
from hub.channels.response import Failure
from hub.channels.sender import Sender
from hub.channels.tls import tls_context
from hub.errors import CannotStart
from hub.offer import sender as offered_sender
from hub.settings import Settings
from tests.channels.receivers import Receiver

HOST = "receiver.example"
"""No resolver knows it: only through the proxy can it be reached."""


class ProxyServer:
    """Connects every CONNECT to one port on loopback, or answers ``says`` instead."""

    def __init__(self, target: int, says: bytes = b"") -> None:
        self.asked: list[str] = []
        self._target, self._says = target, says

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        if self._says:
            writer.write(self._says)
            await reader.read()
        else:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxied(make_sender: Callable[..., Sender]) -> Any:
    """``await proxied(target port, says=…, **sender options)``: (the proxy, a sender that must go through it)."""
    servers: list[asyncio.Server] = []

    async def nobody(host: str, port: int) -> list[str]:
        raise AssertionError("the hub resolved a name although a proxy does")

    async def start(target: int, says: bytes = b"", **options: Any) -> tuple[ProxyServer, Sender]:
        proxy = ProxyServer(target, says)
        server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return proxy, make_sender(proxy=Proxy("127.0.0.1", port), resolve=nobody, **options)

    yield start
    for server in servers:
        server.close()


async def test_everything_goes_through_a_tunnel_that_is_kept(serve: Any, proxied: Any) -> None:
    receiver: Receiver = await serve()
    proxy, sender = await proxied(receiver.port)
    for _ in range(3):
        assert (await sender.post(receiver.url(host=HOST), [("X-A", "1")], b"{}", 5)).status == 200
    assert proxy.asked == [f"CONNECT {HOST}:{receiver.port} HTTP/1.1"]
    assert [each.line for each in receiver.requests] == ["POST /fhir/notify HTTP/1.1"] * 3


async def test_tls_is_with_the_receiver_and_its_name(serve: Any, proxied: Any, tmp_path: Path) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert(HOST).configure_cert(tls)
    receiver = await serve(tls=tls)
    _, sender = await proxied(receiver.port, tls=tls_context(ca=tmp_path / "ca.pem"))
    for _ in range(2):
        assert (await sender.post(receiver.url(host=HOST), [], b"a" * 200_000, 5)).status == 200
    wrong = await sender.post(receiver.url(host="other.example"), [], b"{}", 5)
    assert wrong.failure is Failure.TLS_FAILED
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 403 Forbidden\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"nonsense\r\n\r\n", b"x" * 10_000,
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["refuses", "cannot", "no HTTP", "endless head", "answers in the receiver's place"],
)  # fmt: skip
async def test_a_proxy_that_opens_no_tunnel_is_a_failed_attempt(proxied: Any, says: bytes) -> None:
    _, sender = await proxied(1, says)
    response = await sender.post(f"http://{HOST}/x", [], b"{}", 5)
    assert (response.status, response.failure) == (0, Failure.PROXY_REFUSED)
    assert sender.pool.open_count == 0


async def test_a_silent_proxy_costs_the_deadline_and_no_more(proxied: Any) -> None:
    _, sender = await proxied(1, b"HTTP/1.1 200 OK\r\n")
    response = await sender.post(f"http://{HOST}/x", [], b"{}", 0.2)
    assert response.failure is Failure.TIMED_OUT and response.duration_seconds < 2


async def test_a_proxy_that_is_not_there_is_a_failed_attempt(
    make_sender: Callable[..., Sender], free_port: int
) -> None:
    sender = make_sender(proxy=Proxy("127.0.0.1", free_port))
    assert (await sender.post(f"http://{HOST}/x", [], b"{}", 5)).failure is Failure.CONNECTION_FAILED


async def test_an_internal_address_is_not_asked_of_the_proxy(proxied: Any) -> None:
    proxy, sender = await proxied(1, policy=EgressPolicy(allow_http=True))
    for url in ("http://127.0.0.1/x", "http://[::1]/x", "http://169.254.169.254/x", "http://localhost/x"):
        assert (await sender.post(url, [], b"{}", 5)).failure in (Failure.NOT_ALLOWED, Failure.BLOCKED_ADDRESS)
    assert not proxy.asked


def test_the_setting_is_read_strictly() -> None:
    assert read_proxy("") is None
    assert read_proxy("http://proxy.example:3128") == Proxy("proxy.example", 3128)
    for wrong in ("proxy.example:3128", "https://proxy.example", "http://user:secret@proxy.example", "http://p/path"):
        with pytest.raises(CannotStart, match="HUB_EGRESS_PROXY"):
            offered_sender(Settings(egress_proxy=wrong))
