"""UUIDs inside of UTF-8 in half of their room, for a million Subscriptions that each list several patients.

A byte that UTF-8 never has stands before the 16 bytes of a UUID. Only the usual spelling is shortened (small letters,
four hyphens), so what comes back is what was given, byte for byte.
"""

from __future__ import annotations

import re
from binascii import unhexlify

_MARK = b"\xff"
_SPELLED = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MARKED = re.compile(_MARK + rb"(.{16})", re.DOTALL)


def shortened(text: bytes) -> bytes:
    return _SPELLED.sub(_marked, text)


def lengthened(text: bytes) -> bytes:
    """Undoes ``shortened``; text that was never shortened stays as it is."""
    return _MARKED.sub(_spelled, text) if _MARK in text else text


def _marked(found: re.Match[bytes]) -> bytes:
    return _MARK + unhexlify(found[0].replace(b"-", b""))


def _spelled(found: re.Match[bytes]) -> bytes:
    digits = found[1].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()
