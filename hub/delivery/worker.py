"""The delivery worker: claims what is due, carries out attempts, settles them in batches.

At most ``most_in_flight`` attempts run in one process, those that stalled aside, and so many to one host (``turns``).
When stopped, it claims nothing more, gives the attempts in flight a while to finish, and leaves the rest to their
leases. A kill -9 costs one lease time and no event.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from hub.bell import Bell
from hub.delivery.round import Round
from hub.errors import Unavailable
from hub.store.agenda import MOST_PER_CALL, Agenda, Hold, Settlement
from hub.store.client import Store

log = logging.getLogger(__name__)

MOST_PER_CLAIM = 16
MOST_WAITING_PER_TURN = 16
"""How many held Subscriptions may wait for a turn at their host, per turn that there is: memory is bounded."""
IDLE_SECONDS = 0.5
RETRY_SECONDS = 0.2


class DeliveryWorker:
    """Hands out holds to rounds and writes down what they brought. Nothing is held before the first sign of life."""

    def __init__(self, store: Store, agenda: Agenda, round_: Round, *, most_in_flight: int) -> None:
        self.bell = Bell()
        self._store = store
        self._agenda = agenda
        self._round = round_
        self._most_in_flight = most_in_flight
        self._attempts: set[asyncio.Task[None]] = set()
        self._settlements: dict[int, list[Settlement]] = {}
        self._finished = Bell()
        self._stopping = False
        self._settling = False

    @property
    def has_room(self) -> bool:
        settled = sum(map(len, self._settlements.values()))
        waiting = len(self._attempts) + settled - self._round.turns.taken
        room = self._round.turns.room(self._most_in_flight) > 0
        able = self._round.standing_in.is_alive and not self._stopping
        return able and room and waiting < self._most_in_flight * MOST_WAITING_PER_TURN

    @property
    def in_flight(self) -> int:
        return len(self._attempts)

    def take(self, holds: Sequence[Hold], since: float) -> None:
        """Begin an attempt for each hold. ``since``: monotonic instant from which their leases run at the latest."""
        for hold in holds:
            task = asyncio.create_task(self._attempt(hold, since))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)

    async def run(self) -> None:
        """Claim and settle until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._round.standing_in.run())
            group.create_task(self._claim_for_ever())
            group.create_task(self._settle_for_ever())

    async def stop(self, seconds: float) -> None:
        """Take nothing more; wait for attempts in flight and write what they brought."""
        self._stopping = True
        deadline = time.monotonic() + seconds
        while (self._attempts or self._settlements or self._settling) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _attempt(self, hold: Hold, since: float) -> None:
        settlement = await self._round.attempt(hold, since)
        if settlement is not None:
            shard = self._store.layout.shard_of(hold.subscription)
            self._settlements.setdefault(shard, []).append(settlement)
            self._finished.ring()

    async def _claim_for_ever(self) -> None:
        shards = list(range(self._store.layout.shards))
        while True:
            try:
                claimed = await self._claim(shards) if self.has_room else []
                if not claimed:
                    await self.bell.wait(await self._seconds_until_due(shards))
            except Unavailable as problem:
                log.warning("delivery waits for the store", extra={"reason": str(problem)})
                await asyncio.sleep(RETRY_SECONDS)

    async def _claim(self, shards: Sequence[int]) -> list[Hold]:
        since = time.monotonic()
        room = max(1, self._round.turns.room(self._most_in_flight) // len(shards))
        holds = await self._agenda.claim(shards, min(MOST_PER_CLAIM, room))
        self.take(holds, since)
        return holds

    async def _seconds_until_due(self, shards: Sequence[int]) -> float:
        if not self.has_room:
            return IDLE_SECONDS
        now = await self._store.clock_milliseconds()
        due = await self._agenda.next_due_milliseconds(shards)
        nearest = IDLE_SECONDS * 1000 if due is None else due - now
        return min(IDLE_SECONDS, max(0.001, nearest / 1000))

    async def _settle_for_ever(self) -> None:
        while True:
            await self._finished.wait(IDLE_SECONDS)
            while self._settlements:
                waiting, self._settlements = self._settlements, {}
                self._settling = True
                try:
                    await asyncio.gather(*(self._settle_shard(*one) for one in waiting.items()))
                finally:
                    self._settling = False

    async def _settle_shard(self, shard: int, waiting: list[Settlement]) -> None:
        while waiting:
            batch, waiting = _one_per_subscription(waiting)
            await self._settle(shard, batch)

    async def _settle(self, shard: int, batch: Sequence[Settlement]) -> None:
        since = time.monotonic()
        try:
            results = await self._agenda.settle(shard, batch, again=self.has_room)
        except Unavailable as problem:
            # Not repeated: whether it was written is unknown. The lease runs out and the Subscription is claimed again.
            log.warning("a settlement was not confirmed", extra={"reason": str(problem), "attempts": len(batch)})
            return
        for settlement, result in zip(batch, results, strict=True):
            if result is False:
                log.info("an attempt was void", extra={"subscription": settlement.hold.subscription})
            elif isinstance(result, Hold):
                self.take([result], since)
        self.bell.ring()


def _one_per_subscription(waiting: list[Settlement]) -> tuple[list[Settlement], list[Settlement]]:
    """A SETTLE names a Subscription at most once, and at most MOST_PER_CALL of them."""
    batch: dict[str, Settlement] = {}
    rest: list[Settlement] = []
    for settlement in waiting:
        name = settlement.hold.subscription
        if name in batch or len(batch) >= MOST_PER_CALL:
            rest.append(settlement)
        else:
            batch[name] = settlement
    return list(batch.values()), rest
