"""The numbers that stand for statuses in records (``lua/record.lua``)."""

from __future__ import annotations

from hub.domain.subscription import Status

STATUS_CODES = {
    Status.REQUESTED: 1, Status.ACTIVE: 2, Status.ERROR: 3, Status.OFF: 4, Status.ENTERED_IN_ERROR: 5
}  # fmt: skip
STATUSES = {code: status for status, code in STATUS_CODES.items()}
GONE = 6
