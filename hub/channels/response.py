"""What one HTTP attempt brought: a status, or the class of what went wrong; values shared by sender and channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Failure(StrEnum):
    """Why there is no HTTP status. Safe to log and to show: says nothing about paths, addresses or texts."""

    NOT_ALLOWED = "endpoint-not-allowed"
    """The URL itself may not be called, by the settings of today."""
    NOT_SENDABLE = "headers-not-sendable"
    BLOCKED_ADDRESS = "blocked-address"
    NAME_NOT_RESOLVED = "name-not-resolved"
    CONNECTION_FAILED = "connection-failed"
    PROXY_REFUSED = "proxy-refused"
    """The operator's proxy opened no way to the receiver."""
    TLS_FAILED = "tls-failed"
    TIMED_OUT = "timed-out"
    CONNECTION_LOST = "connection-lost"
    """Closed or reset without an answer. The receiver may or may not have read the request."""
    NOT_HTTP = "not-http"
    NOT_SMTP = "not-smtp"
    HEADERS_TOO_LARGE = "headers-too-large"
    SENDER_CLOSED = "sender-closed"


class AttemptFailed(Exception):
    """Carries a Failure up to ``Sender.post``, which never lets it out."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.value)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer of a receiver.

    ``status`` is 0 exactly when ``failure`` says why there is none. ``headers`` holds only what the hub looks at
    (``answer.KEPT_HEADERS``), names in lower case. ``body`` is what came of it, at most 64 KiB, undecoded; it may be
    cut.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Failure | None = None
    duration_seconds: float = 0.0
