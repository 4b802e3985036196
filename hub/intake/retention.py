"""What may go: delivered events past their retention, and changes that nothing needs any more (ruling 14).

Nothing an undelivered or dead-lettered event needs ever expires by time. Each round first trims the event logs, then
retires the changes that are older than the retention and than the oldest change any log still names. On its way it
tells ``reconcile`` of every definition it meets: a process that died between writing one and announcing it left the
others ignorant.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hub.domain.change import NO_CHANGE, ChangeId
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Unavailable
from hub.store.changes import Changes
from hub.store.event_log import EventLog, Reference
from hub.store.keys import Layout, Partition
from hub.store.subscriptions import Record, Subscriptions

log = logging.getLogger(__name__)

ROUND_SECONDS = 300.0
PAGE = 500
MOST_RETIRED_AT_ONCE = 64
"""They are read with their bodies, and moved in one script."""


@dataclass(slots=True)
class Needs:
    """What must stay: everything from ``limits`` on, and single older changes.

    A Subscription that goes on moves the limit. One that is off, and an event that was refused, may wait for months:
    only their own changes are spared, or one of them would keep the whole stream.
    """

    limits: dict[Partition, ChangeId]
    spared: dict[Partition, set[ChangeId]] = field(default_factory=dict)

    def lower(self, key: SubscriptionKey, reference: Reference) -> None:
        partition = Partition(key.tenant, key.base, reference.partition_index)
        if partition in self.limits:
            self.limits[partition] = min(self.limits[partition], reference.change)
        self._spare_included(key, reference)

    def spare(self, key: SubscriptionKey, reference: Reference) -> None:
        partition = Partition(key.tenant, key.base, reference.partition_index)
        self.spared.setdefault(partition, set()).add(reference.change)
        self._spare_included(key, reference)

    def _spare_included(self, key: SubscriptionKey, reference: Reference) -> None:
        """What travels with an event may be much older than the event."""
        for one in reference.included:
            partition = Partition(key.tenant, key.base, one.partition_index)
            self.spared.setdefault(partition, set()).add(one.change)


class Janitor:
    """Runs a round every five minutes; any number of processes may, each step is safe to repeat."""

    def __init__(
        self,
        changes: Changes,
        subscriptions: Subscriptions,
        event_log: EventLog,
        layout: Layout,
        tenant: str,
        reconcile: Callable[[str, int], Awaitable[None]],
        *,
        retention: timedelta,
        most_kept: int,
    ) -> None:
        self._changes = changes
        self._subscriptions = subscriptions
        self._log = event_log
        self._layout = layout
        self._tenant = tenant
        self._reconcile = reconcile
        self._retention = retention
        self._most_kept = most_kept
        self._looked_at: dict[str, tuple[int, int]] = {}
        """Subscription -> up to which number its events were looked at, and the last that takes something along."""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.round(int(time.time() * 1000))
            except Unavailable as problem:
                log.warning("retention waits for the store", extra={"reason": str(problem)})

    async def round(self, now_milliseconds: int) -> None:
        """Trim and retire as of this moment."""
        horizon = now_milliseconds - int(self._retention.total_seconds() * 1000)
        needs = Needs(await self._limits(horizon))
        async for names in self._subscriptions.names():
            for name, record in zip(names, await self._subscriptions.records(names), strict=True):
                if record and record.status is not None:
                    await self._reconcile(name, record.definition_version)
                    await self._trim(name, record, horizon)
                    await self._note_needed(name, needs)
        for partition, limit in needs.limits.items():
            await self._retire(partition, limit, needs.spared.get(partition, set()))

    async def _limits(self, horizon: int) -> dict[Partition, ChangeId]:
        """Where to stop in each partition if no event needs anything: at the horizon, and at what is evaluated *now*.

        A backlog older than the horizon may be evaluated during the round, and its events enter logs that were looked
        at before; every event of an earlier change is in its log already.
        """
        partitions = [
            partition for version in FhirVersion for partition in self._layout.partitions_of(self._tenant, version)
        ]
        return {each: min(ChangeId(horizon, 0), await self._changes.evaluated_upto(each)) for each in partitions}

    async def _trim(self, name: str, record: Record, horizon: int) -> None:
        """Drop delivered events that are too old or too many."""
        first = max(record.first_kept, record.cursor - self._most_kept + 1)
        while first <= record.cursor:
            page = range(first, min(first + PAGE, record.cursor + 1))
            ((_, references),) = await self._log.read([(name, page)])
            young = [index for index, reference in enumerate(references) if reference.change.milliseconds >= horizon]
            if young or not references:
                first += young[0] if young else 0
                break
            first += len(references)
        if first > record.first_kept:
            await self._log.trim(name, first)

    async def _note_needed(self, name: str, needs: Needs) -> None:
        (record,) = await self._subscriptions.records([name])
        key = SubscriptionKey.parse(name)
        for letter in await self._log.dead_letters(name):
            needs.spare(key, letter.reference)
        if record is None or record.number < record.first_kept:
            return
        stopped = record.status in (Status.OFF, Status.ENTERED_IN_ERROR)
        whole = stopped or self._layout.partitions > 1 or await self._takes_along(name, record)
        # A log rises within each partition: with one partition its first entry is its oldest.
        last = record.number if whole else record.first_kept
        async for _, reference in self._references(name, record.first_kept, last):
            needs.spare(key, reference) if stopped else needs.lower(key, reference)

    async def _takes_along(self, name: str, record: Record) -> bool:
        """Whether any event that is kept takes other resources along. Each is looked at once: numbers only rise."""
        upto, taking = self._looked_at.get(name, (0, 0))
        async for number, reference in self._references(name, max(record.first_kept, upto + 1), record.number):
            taking = number if reference.included else taking
        self._looked_at[name] = record.number, taking
        return taking >= record.first_kept

    async def _references(self, name: str, first: int, last: int) -> AsyncIterator[tuple[int, Reference]]:
        """Each event from ``first`` to ``last`` with its number."""
        for start in range(first, last + 1, PAGE):
            ((number, references),) = await self._log.read([(name, range(start, min(start + PAGE, last + 1)))])
            for pair in enumerate(references, number):
                yield pair

    async def _retire(self, partition: Partition, limit: ChangeId, spared: set[ChangeId]) -> None:
        """Drop what is older than ``limit``, from the front, passing over what is spared."""
        after = NO_CHANGE
        while True:
            page = await self._changes.after(partition, after, MOST_RETIRED_AT_ONCE)
            entries = [entry for entry in page if entry.id < limit]
            going = [entry for entry in entries if entry.id not in spared]
            if await self._changes.retire(partition, going) < len(going) or len(entries) < MOST_RETIRED_AT_ONCE:
                return
            after = entries[-1].id
