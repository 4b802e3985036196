"""The numbers that stand for statuses, causes and duties in records (``lua/record.lua``)."""

from __future__ import annotations

from hub.domain.delivery import Duty
from hub.domain.subscription import Status
from hub.domain.transition import Cause

STATUS_CODES = {
    Status.REQUESTED: 1, Status.ACTIVE: 2, Status.ERROR: 3, Status.OFF: 4, Status.ENTERED_IN_ERROR: 5
}  # fmt: skip
STATUSES = {code: status for status, code in STATUS_CODES.items()}
GONE = 6

CAUSE_CODES = {
    Cause.CLIENT: 1, Cause.HANDSHAKE: 2, Cause.HANDSHAKE_FAILED: 3, Cause.DELIVERY_FAILED: 4, Cause.REFUSED: 5,
    Cause.RECOVERED: 6, Cause.NO_DEAD_LETTERS: 7, Cause.GONE: 8, Cause.GIVEN_UP: 9, Cause.END: 10, Cause.PAUSED: 11,
    Cause.RESUMED: 12, Cause.TOPIC_STOPPED: 13, Cause.TOPIC_STARTED: 14, Cause.ENDPOINT_STOPPED: 15,
    Cause.ENDPOINT_STARTED: 16,
}  # fmt: skip
CAUSES = {code: cause for cause, code in CAUSE_CODES.items()}
PRINCIPAL_CODES = {"": 0, "operator": 1, "developer": 2}
"""Whose request it was, in the upper three bits of the byte of the cause; "" for nobody's."""
PRINCIPALS = {code: principal for principal, code in PRINCIPAL_CODES.items()}
ANOTHER, WIDTH = 7, 32
DUTIES = {1: Duty.HANDSHAKE, 2: Duty.EVENTS, 3: Duty.HEARTBEAT, 4: Duty.FAREWELL, 5: Duty.AGAIN}
DUTY_CODES = {duty: code for code, duty in DUTIES.items()}


def write_cause(cause: Cause, by: str) -> int:
    """One byte. A principal that has no code of its own is told as ``another``: better than as nobody."""
    return CAUSE_CODES[cause] + WIDTH * PRINCIPAL_CODES.get(by, ANOTHER)


def read_cause(code: int) -> tuple[Cause, str]:
    return CAUSES[code % WIDTH], PRINCIPALS.get(code // WIDTH, "another")
