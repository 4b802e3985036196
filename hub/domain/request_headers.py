"""Which HTTP headers a Subscription may ask for (S-151, S-152; SECURITY C1).

Asked when a Subscription is read, so that nothing is found unsendable only at sending; asked again before sending,
because a stored one may stem from other rules. Values are secrets: no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_HEADERS = 20
MAX_BYTES = 4096
"""Of all headers of one Subscription together, as sent: name, colon, space, value, CR LF."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2

FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "te", "trailer", "connection", "keep-alive", "upgrade", "expect"}
)
"""The sender's own; a second Host or Transfer-Encoding is how one request becomes two."""
DENIED = FRAMING | {
    "accept-encoding",  # answers are never decoded
    "date",
    "forwarded",
    "http2-settings",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    "x-correlation-id",
    "x-real-ip",
    "x-request-id",
}
DENIED_PREFIXES = ("content-", "proxy-", "sec-", "webhook-", "x-forwarded-")
"""What the hub or the way to the receiver says itself; a second one would contradict it."""


def is_sendable_value(value: str) -> bool:
    """Visible ASCII with spaces inside, or nothing: it ends no line and begins no other header."""
    return value.isascii() and value.isprintable() and value == value.strip()


def objection(name: str, value: str) -> str:
    """Why the hub would not send exactly this header, "" when it would."""
    if not TOKEN.fullmatch(name):
        return "A header needs a name of letters, digits and hyphens (RFC 9110), then its value: Name: value."
    shown = name.lower()[:64]
    if name.lower() in DENIED or name.lower().startswith(DENIED_PREFIXES):
        return f"The header {shown} is set by the hub or by the connection; leave it out."
    if not is_sendable_value(value):
        return f"The value of header {shown} may hold visible ASCII characters, with spaces between them only."
    return ""


def objection_to_all(headers: Iterable[tuple[str, str]]) -> str:
    """Why these are too many or too much together, "" when they are not."""
    sizes = [len(name) + len(value) + 4 for name, value in headers]
    if len(sizes) > MAX_HEADERS or sum(sizes) > MAX_BYTES:
        return f"Send at most {MAX_HEADERS} headers of together at most {MAX_BYTES} bytes."
    return ""
