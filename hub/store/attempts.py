"""The last attempts of each Subscription: when, what for, what came of it. Written by SETTLE, newest last.

Packed, for there is one with nearly every event: 6 bytes ms, 1 duty and outcome, then as numbers of variable length
first event, how many, HTTP status, ms that it took; the rest is the error code. The attempt of a Subscription that has
made only one, its handshake, stands in its record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from hub.domain.delivery import Attempt, OutcomeKind
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import script
from hub.store.status_codes import DUTIES, DUTY_CODES

MOST_KEPT = 20
"""Of each Subscription; about 14 bytes each."""
OUTCOMES = {
    1: OutcomeKind.DELIVERED, 2: OutcomeKind.REFUSED, 3: OutcomeKind.FAILED, 4: OutcomeKind.GONE, 5: OutcomeKind.UNHEARD
}  # fmt: skip
OUTCOME_CODES = {outcome: code for code, outcome in OUTCOMES.items()}
TRIED = -2
"""Where a record as READ tells it has the only attempt so far."""


def attempts_key(shard: int, subscription: str) -> str:
    return shard_key(shard, "a", subscription)


def write_attempt(attempt: Attempt) -> bytes:
    at = int(attempt.at.timestamp() * 1000).to_bytes(6, "big")
    kinds = bytes([DUTY_CODES[attempt.duty] << 4 | OUTCOME_CODES[attempt.outcome]])
    milliseconds = round(attempt.duration_seconds * 1000)
    numbers = (attempt.numbers.start, len(attempt.numbers), attempt.status, milliseconds)
    return at + kinds + b"".join(map(_write_number, numbers)) + attempt.error.encode()


def read_attempt(raw: bytes) -> Attempt:
    at, kinds, rest = int.from_bytes(raw[:6], "big"), raw[6], iter(raw[7:])
    first, count, status, milliseconds = (_read_number(rest) for _ in range(4))
    return Attempt(
        datetime.fromtimestamp(at / 1000, UTC),
        DUTIES[kinds >> 4],
        range(first, first + count),
        OUTCOMES[kinds & 15],
        status,
        bytes(rest).decode(),
        milliseconds / 1000,
    )


def _write_number(number: int) -> bytes:
    """Seven bits a byte, lowest first; the highest bit says that more follow."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def _read_number(rest: Iterator[int]) -> int:
    number = shift = 0
    for byte in rest:
        number |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return number


class Attempts:
    """Reads what is remembered; it goes with its Subscription."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, subscription: str) -> list[Attempt]:
        """The last MOST_KEPT, oldest first."""
        shard = self._store.layout.shard_of(subscription)
        read = script("read", [shard_key(shard, "m"), shard_key(shard, "why")], [subscription])
        kept, (record,) = await self._store.send(("LRANGE", attempts_key(shard, subscription), 0, -1), read)
        only = [record[TRIED]] if record and record[TRIED] else []
        return [read_attempt(raw) for raw in (*only, *kept)]
