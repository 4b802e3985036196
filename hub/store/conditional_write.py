"""What a write that names the version it replaces is answered: the same words for Subscriptions and topics."""

from __future__ import annotations

from enum import StrEnum


class WriteCode(StrEnum):
    OK = "OK"
    CONFLICT = "CONFLICT"
    ABSENT = "ABSENT"
    GONE = "GONE"
