"""The last attempts of each Subscription: when, what for, what came of it. Written by SETTLE, newest last."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.domain.delivery import Attempt, Duty, OutcomeKind
from hub.store.client import Store
from hub.store.keys import shard_key

MOST_KEPT = 20
"""Of each Subscription; about 40 bytes each."""


def attempts_key(shard: int, subscription: str) -> str:
    return shard_key(shard, "a", subscription)


def write_attempt(attempt: Attempt) -> str:
    """``ms duty first last outcome status milliseconds error``; - for no error."""
    numbers = attempt.numbers
    parts = (
        int(attempt.at.timestamp() * 1000), attempt.duty, numbers.start, numbers.stop - 1, attempt.outcome,
        attempt.status, round(attempt.duration_seconds * 1000), attempt.error or "-",
    )  # fmt: skip
    return " ".join(map(str, parts))


def read_attempt(raw: bytes) -> Attempt:
    at, duty, first, last, outcome, status, milliseconds, error = raw.decode().split(" ")
    return Attempt(
        datetime.fromtimestamp(int(at) / 1000, UTC),
        Duty(duty),
        range(int(first), int(last) + 1),
        OutcomeKind(outcome),
        int(status),
        "" if error == "-" else error,
        int(milliseconds) / 1000,
    )


class Attempts:
    """Reads what is remembered; it goes with its Subscription."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, subscription: str) -> list[Attempt]:
        """The last MOST_KEPT, oldest first."""
        key = attempts_key(self._store.layout.shard_of(subscription), subscription)
        (reply,) = await self._store.send(("LRANGE", key, 0, -1))
        return [read_attempt(raw) for raw in reply]
