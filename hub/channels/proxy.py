"""A way out through the operator's proxy: a tunnel by CONNECT (RFC 9110 section 9.3.6), then as without a proxy.

Who resolves the receiver's name is the proxy then, and which addresses it may call is the proxy's to decide; the hub
still checks the URL. TLS is between hub and receiver: the proxy sees host, port and sizes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

from hub.channels.connection import Connection
from hub.channels.endpoint import Endpoint, read_endpoint
from hub.channels.response import AttemptFailed, Failure
from hub.errors import CannotStart, Unprocessable

HEAD_LIMIT_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy listens."""

    host: str
    port: int


def read_proxy(url: str) -> Proxy | None:
    """The proxy of HUB_EGRESS_PROXY, None for "". Raises CannotStart."""
    if not url:
        return None
    try:
        endpoint = read_endpoint(url, "HUB_EGRESS_PROXY")
    except Unprocessable as problem:
        raise CannotStart(f"HUB_EGRESS_PROXY: {problem}") from problem
    if endpoint.scheme != "http" or endpoint.target != "/":
        raise CannotStart("HUB_EGRESS_PROXY: write http://host:port, without a path; what goes through is TLS anyway")
    return Proxy(endpoint.host, endpoint.port)


async def tunnel(proxy: Proxy, endpoint: Endpoint, connection: Connection, tls: ssl.SSLContext | None) -> None:
    """Give ``connection`` a transport to ``endpoint``, through the proxy. Raises AttemptFailed, OSError, SSLError."""
    loop = asyncio.get_running_loop()
    transport, opening = await loop.create_connection(lambda: _Opening(endpoint), proxy.host, proxy.port)
    try:
        await opening.done
        if tls is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
        else:
            secured = await loop.start_tls(transport, connection, tls, server_hostname=endpoint.host)
            if secured is None:  # the other side closed meanwhile
                raise AttemptFailed(Failure.CONNECTION_LOST)
            connection.connection_made(secured)
    except BaseException:  # also when cancelled: the socket is nobody else's to close
        transport.abort()
        raise


class _Opening(asyncio.Protocol):
    """Asks for the tunnel; ``done`` when it is open, or failed with AttemptFailed."""

    def __init__(self, endpoint: Endpoint) -> None:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        self._target = f"{host}:{endpoint.port}"
        self._head = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        request = f"CONNECT {self._target} HTTP/1.1\r\nHost: {self._target}\r\n\r\n"
        cast(asyncio.Transport, transport).write(request.encode("ascii"))

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end and len(self._head) < HEAD_LIMIT_BYTES:
            return
        words = head.split(b"\r\n")[0].split(b" ")
        opened = bool(end) and not rest and len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2"
        self._settle(None if opened else Failure.PROXY_REFUSED)

    def connection_lost(self, reason: Exception | None) -> None:
        self._settle(Failure.PROXY_REFUSED)

    def _settle(self, failure: Failure | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(AttemptFailed(failure))
