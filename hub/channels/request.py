"""The bytes of one request; nothing a Subscription says can change where a request begins or ends (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hub import __version__
from hub.channels.endpoint import Endpoint
from hub.domain.request_headers import FRAMING, TOKEN, VALUE

HeaderText = str | bytes
USER_AGENT = f"fhir-notification-hub/{__version__}"
ACCEPT = "application/fhir+json, */*"


def encode_request(
    endpoint: Endpoint, headers: Iterable[tuple[HeaderText, HeaderText]], body: bytes, method: str = "POST"
) -> bytes:
    """Head and body in one piece, so that a small notification is one write.

    User-Agent and Accept are added when ``headers`` does not give them. Raises ValueError for a header that would
    corrupt the request; the message holds no value.
    """
    written = [(_text(name), _text(value)) for name, value in headers]
    names = {_sendable(name) for name, _ in written}
    if not all(map(VALUE.fullmatch, [value for _, value in written])):
        raise ValueError("a header value cannot be sent")
    lines = [f"{name}: {value}\r\n" for name, value in written]
    start = f"{method} {endpoint.target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"
    if "user-agent" not in names:
        start += f"User-Agent: {USER_AGENT}\r\n"
    if "accept" not in names:
        start += f"Accept: {ACCEPT}\r\n"
    return f"{start}{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


@lru_cache(maxsize=1024)  # the same few names with every notification
def _sendable(name: str) -> str:
    """The name in lower case; raises ValueError."""
    if not TOKEN.fullmatch(name):
        raise ValueError("a header name cannot be sent")
    if name.lower() in FRAMING:
        raise ValueError("a header of the sender's own was given")
    return name.lower()


def _text(part: HeaderText) -> str:
    return part if isinstance(part, str) else part.decode("latin-1")
