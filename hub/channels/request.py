"""The bytes of one request; nothing a Subscription says can change where a request begins or ends (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterable

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
    given = [(_text(name), _text(value)) for name, value in headers]
    names = {name.lower() for name, _ in given}
    if not names.isdisjoint(FRAMING):
        raise ValueError("a header of the sender's own was given")
    if not all(TOKEN.fullmatch(name) and VALUE.fullmatch(value) for name, value in given):
        raise ValueError("a header name or value cannot be sent")
    lines = [f"{method} {endpoint.target} HTTP/1.1", f"Host: {endpoint.authority}"]
    if "user-agent" not in names:
        lines.append(f"User-Agent: {USER_AGENT}")
    if "accept" not in names:
        lines.append(f"Accept: {ACCEPT}")
    lines += [f"{name}: {value}" for name, value in given]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("ascii") + body


def _text(part: HeaderText) -> str:
    return part if isinstance(part, str) else part.decode("latin-1")
