"""Query strings as they arrive: in URLs, in headers and in the entries of Bundles."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from hub.errors import Malformed

MOST_PARAMETERS = 1000
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def read_query(raw: bytes) -> list[tuple[str, str]]:
    """The decoded pairs of a query string, in order. Raises Malformed when it is not percent-encoded UTF-8."""
    if not raw:
        return []
    try:
        if _BROKEN_ESCAPE.search(raw):
            raise ValueError("a % that is followed by no two hexadecimal digits")
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError as problem:  # UnicodeDecodeError is one
        raise Malformed(
            f"the query string is not percent-encoded UTF-8 of at most {MOST_PARAMETERS} parameters", code="invalid"
        ) from problem


def read_written_query(text: str, expression: str = "") -> list[tuple[str, str]]:
    """The pairs of a query that stands in a header or an element, where many leave it unencoded.

    A ``+`` is a space only in one that is otherwise encoded. Raises Malformed, also when there is nothing in it: an
    empty condition would be met by anything.
    """
    encoded = text.removeprefix("?").encode()
    try:
        pairs = read_query(encoded if b"%" in encoded else _encoded(encoded))
    except Malformed as problem:
        raise Malformed(*(issue.diagnostics for issue in problem.issues), expression=expression) from None
    if not pairs:
        raise Malformed("the condition is empty; write identifier=system|value", expression=expression, code="invalid")
    return pairs


def _encoded(raw: bytes) -> bytes:
    return b"".join(bytes([byte]) if byte < 128 and byte != 0x2B else b"%%%02X" % byte for byte in raw)
