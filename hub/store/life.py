"""The life of a Subscription as it was noted: its last transitions, and holding it back."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.domain.subscription import SubscriptionKey
from hub.domain.transition import Cause, Transition
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import Argument, script
from hub.store.status_codes import STATUSES, read_cause, write_cause

BY_REQUEST, TOPIC, ENDPOINT = 1, 2, 4
"""Reasons for which nothing is sent; a record has the sum of those that hold."""

NOTED = -3
"""Where a record as READ tells it has the newest transitions."""
NOTE_SIZE = 8


def read_transitions(raw: bytes) -> list[Transition]:
    """As ``note`` (record.lua) packs them: 6 bytes ms, 1 from and to (or it was not there), 1 cause and principal."""
    notes = [raw[start : start + NOTE_SIZE] for start in range(0, len(raw), NOTE_SIZE)]
    return [
        Transition(
            datetime.fromtimestamp(int.from_bytes(note[:6], "big") / 1000, UTC),
            STATUSES.get(note[6] >> 4),
            STATUSES.get(note[6] & 15),
            *read_cause(note[7]),
        )
        for note in notes
    ]


class Life:
    """Reads transitions; pauses and resumes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def transitions(self, subscription: str) -> list[Transition]:
        """The last ones, oldest first (record.lua keeps 50); of one that was deleted the deletion alone."""
        shard = self._store.layout.shard_of(subscription)
        read = script("read", [shard_key(shard, "m"), shard_key(shard, "why")], [subscription])
        older, (record,) = await self._store.send(("HGET", shard_key(shard, "t"), subscription), read)
        return read_transitions((older or b"") + (record[NOTED] if record else b""))

    async def hold(self, key: SubscriptionKey, reason: int, cause: Cause, *, paused: bool, by: str = "") -> bool | None:
        """Pause or resume for one reason; whether that changed anything, None when there is no such Subscription.

        ``by``: the principal who asked for it.
        """
        shard = self._store.layout.shard_of(key)
        keys = [shard_key(shard, part) for part in ("due", "m", "t")]
        arguments: list[Argument] = [str(key), reason, int(paused), write_cause(cause, by)]
        ((code, *changed),) = await self._store.send(script("pause", keys, arguments))
        return bool(changed[0]) if code == b"OK" else None
