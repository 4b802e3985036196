"""The bytes of one request; nothing a Subscription says can change where a request begins or ends (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hub import __version__
from hub.channels.endpoint import Endpoint
from hub.domain.request_headers import FRAMING, TOKEN, is_sendable_value

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
    names, lines = set[str](), ""
    for given, value in headers:
        name = given if isinstance(given, str) else given.decode("latin-1")
        if not isinstance(value, str):
            value = value.decode("latin-1")
        names.add(_sendable(name))
        if not is_sendable_value(value):
            raise ValueError("a header value cannot be sent")
        lines += f"{name}: {value}\r\n"
    head = f"{method} {endpoint.target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"
    if "user-agent" not in names:
        head += f"User-Agent: {USER_AGENT}\r\n"
    if "accept" not in names:
        head += f"Accept: {ACCEPT}\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % ((head + lines).encode("ascii"), len(body), body)


@lru_cache(maxsize=1024)  # the same few names with every notification
def _sendable(name: str) -> str:
    """The name in lower case; raises ValueError."""
    if not TOKEN.fullmatch(name):
        raise ValueError("a header name cannot be sent")
    if name.lower() in FRAMING:
        raise ValueError("a header of the sender's own was given")
    return name.lower()
