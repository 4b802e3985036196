"""The life of a Subscription as it was noted: its last transitions, and holding it back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hub.domain.subscription import SubscriptionKey
from hub.domain.transition import Cause, Transition
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import script
from hub.store.status_codes import STATUSES

BY_REQUEST, TOPIC, ENDPOINT = 1, 2, 4
"""Reasons for which nothing is sent; a record has the sum of those that hold."""


class Life:
    """Reads transitions; pauses and resumes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def transitions(self, subscription: str) -> list[Transition]:
        """The last ones, oldest first (record.lua keeps 50); they go with the Subscription."""
        shard = self._store.layout.shard_of(subscription)
        (raw,) = await self._store.send(("HGET", shard_key(shard, "t"), subscription))
        return [
            Transition(datetime.fromtimestamp(at / 1000, UTC), STATUSES.get(before), STATUSES[after], Cause(cause))
            for at, before, after, cause in (json.loads(raw) if raw else ())
        ]

    async def hold(self, key: SubscriptionKey, reason: int, cause: Cause, *, paused: bool) -> bool | None:
        """Pause or resume for one reason; whether that changed anything, None when there is no such Subscription."""
        shard = self._store.layout.shard_of(key)
        keys = [shard_key(shard, part) for part in ("due", "m", "t")]
        ((code, *changed),) = await self._store.send(script("pause", keys, [str(key), reason, int(paused), cause]))
        return bool(changed[0]) if code == b"OK" else None
