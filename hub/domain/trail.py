"""What the sender of a change calls it, carried to every attempt that the change leads to.

A receiver, its log and the log of the hub can then be read together with those of the system where it began.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.domain.request_headers import is_sendable_value

MOST_CORRELATION_CHARACTERS = 256
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LATER_TRACEPARENT = re.compile(r"(?!00|ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,200})?")
_NOUGHTS = ("0" * 32, "0" * 16)


@dataclass(frozen=True, slots=True)
class Trail:
    """``correlation`` is the X-Correlation-ID, ``traceparent`` that of W3C Trace Context; "" when there was none."""

    correlation: str = ""
    traceparent: str = ""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """As they go out with an attempt."""
        pairs = (("X-Correlation-ID", self.correlation), ("traceparent", self.traceparent))
        return tuple((name, value) for name, value in pairs if value)


NO_TRAIL = Trail()


def objection_to_correlation(correlation: str) -> str:
    """Why this could not be carried on, "" when it can."""
    if len(correlation) > MOST_CORRELATION_CHARACTERS:
        return f"X-Correlation-ID may have at most {MOST_CORRELATION_CHARACTERS} characters; shorten it"
    if not is_sendable_value(correlation):
        return "X-Correlation-ID may hold visible ASCII characters, with spaces between them only"
    return ""


def valid_traceparent(written: str) -> str:
    """What is carried on of a traceparent header: itself, or "" when it is none, as W3C Trace Context demands."""
    if not (_TRACEPARENT.fullmatch(written) or _LATER_TRACEPARENT.fullmatch(written)):
        return ""
    _, trace, parent, *_ = written.split("-")
    return "" if trace == _NOUGHTS[0] or parent == _NOUGHTS[1] else written
