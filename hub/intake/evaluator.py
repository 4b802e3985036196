"""Judging changes: one evaluator owns a partition by a fenced lease and goes through it strictly in order.

It reads a batch, brings the registry up to date *after* reading, matches, commits every match, then moves the cursor
(HOUSE, walk of a change, step 3). When another process takes the partition over, everything it still does is void.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hub.bell import Bell
from hub.domain.change import ResourceChange
from hub.errors import Fenced, Unavailable
from hub.intake.judging import Judge, Judged
from hub.intake.registry import Registry
from hub.store.agenda import MOST_PER_CALL, Agenda, CommitCode, Committed, Hold, Match
from hub.store.changes import Changes, Entry, Lease
from hub.store.keys import Partition

log = logging.getLogger(__name__)

LEASE_MILLISECONDS = 4000
"""After a process died its partitions are taken over by others within this and IDLE_SECONDS: less than 5 s."""
LEASE_SAFETY = 0.6
"""Share of the lease after which it is renewed before anything else is done."""
MOST_CHANGES_PER_READ = 64
MOST_CHANGES_PER_GROUP = 64
MOST_BYTES_PER_GROUP = 256 * 1024
"""Of bodies that are parsed and matched before the cursor moves on: a takeover repeats little."""
IDLE_SECONDS = 0.5
"""How often an idle evaluator looks for what another process accepted."""
RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Owner:
    """Who this process is: a name that outlives a restart, and this one life of it."""

    name: str
    incarnation: str


class Holder(Protocol):
    """Where Subscriptions go that became due by a commit: the delivery worker."""

    @property
    def has_room(self) -> bool: ...

    def take(self, holds: Sequence[Hold], since: float) -> None:
        """``since`` is a monotonic instant before the holds were given: their leases run from then."""


class Evaluator:
    """One partition's evaluator; ``run`` goes on until it is cancelled."""

    def __init__(
        self,
        partition: Partition,
        owner: Owner,
        changes: Changes,
        agenda: Agenda,
        registry: Registry,
        judge: Judge,
        holder: Holder,
    ) -> None:
        self.bell = Bell()
        self._partition = partition
        self._owner = owner
        self._changes = changes
        self._agenda = agenda
        self._registry = registry
        self._judge = judge
        self._holder = holder
        self._renew_at = 0.0
        self.owns = False
        """Whether this process evaluates the partition; another one may have taken it over a moment ago."""
        self.progressed_at = time.monotonic()
        """When it last moved on, or found nothing to do."""

    async def run(self) -> None:
        """Own, evaluate, own again. A store that does not answer is waited for."""
        epoch = 0
        try:
            while True:
                try:
                    if self._changes.stand_still(self._partition):
                        self.owns = False
                        await asyncio.sleep(IDLE_SECONDS)
                        continue
                    lease = await self._own()
                    epoch = lease.epoch
                    self.owns = bool(epoch)
                    if epoch:
                        await self._evaluate_while_owned(lease)
                    else:
                        await self.bell.wait(IDLE_SECONDS)
                except Fenced as problem:
                    self.owns = False
                    log.warning("lost a partition", extra={"partition": str(self._partition), "reason": str(problem)})
                except Unavailable as problem:
                    log.warning("evaluation waits for the store", extra={"reason": str(problem)})
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            if epoch:
                with contextlib.suppress(Unavailable):
                    await self._changes.disown(self._partition, self._owner.name, self._owner.incarnation, epoch)

    async def _own(self) -> Lease:
        return await self._changes.own(self._partition, self._owner.name, self._owner.incarnation, LEASE_MILLISECONDS)

    async def _evaluate_while_owned(self, lease: Lease) -> None:
        """While one group is committed the next one is read and judged; never are two committed at a time."""
        read_upto, epoch = lease.cursor, lease.epoch
        behind: asyncio.Task[None] | None = None
        self._renew_at = _renewal()
        try:
            while time.monotonic() < self._renew_at and not self._changes.stand_still(self._partition):
                entries, news = await self._changes.after_and_news(self._partition, read_upto, MOST_CHANGES_PER_READ)
                if not entries:
                    await self._nothing_to_do(behind)
                    continue
                if not self._registry.knows(news):  # whoever was there before these changes is seen (I5)
                    await self._registry.refresh()
                for group in _groups(entries):
                    judged = await self._judge.judge(group, partial(self._still_own, epoch))
                    if behind:
                        await _ended(behind)
                    behind = asyncio.create_task(self._commit(judged, epoch))
                    read_upto = group[-1].id
        except BaseException:  # also when we are stopped: what was given to us to hold must be known
            if behind:
                await _left_alone(behind)
            raise
        if behind:
            await _ended(behind)

    async def _nothing_to_do(self, behind: asyncio.Task[None] | None) -> None:
        if behind is None or behind.done():
            self.progressed_at = time.monotonic()
        if behind and behind.done():
            behind.result()
        await self.bell.wait(min(IDLE_SECONDS, max(0.0, self._renew_at - time.monotonic())))

    async def _still_own(self, epoch: int) -> None:
        """Renew the lease when it is time. Raises Fenced when the partition went to another meanwhile."""
        if time.monotonic() < self._renew_at:
            return
        lease = await self._own()
        if lease.epoch != epoch:
            raise Fenced("the partition went to another owner")
        self._renew_at = _renewal()

    async def _commit(self, judged: Judged, epoch: int) -> None:
        """All matches of a group, then the cursor."""
        await self._commit_matches(judged, epoch)
        count = len(judged.changes)
        name, incarnation, upto = self._owner.name, self._owner.incarnation, judged.entries[-1].id
        await self._changes.advance(self._partition, name, incarnation, epoch, upto, count, LEASE_MILLISECONDS)
        self._renew_at = _renewal()
        self.progressed_at = time.monotonic()

    async def _commit_matches(self, judged: Judged, epoch: int) -> None:
        """One call per shard in flight: a chunk that overtook a stopped one would turn its rest into repeats."""
        waiting = judged.by_shard
        while waiting:
            await self._still_own(epoch)
            shards = list(waiting)
            batches = [(shard, self._partition, epoch, waiting[shard][:MOST_PER_CALL]) for shard in shards]
            since = time.monotonic()
            results = await self._agenda.commit(batches, hold=self._holder.has_room)
            for shard, committed in zip(shards, results, strict=True):
                self._holder.take(committed.holds, since)
                rest = await self._rest(waiting.pop(shard), committed, judged.changes, epoch)
                if rest:
                    waiting[shard] = rest

    async def _rest(
        self, matches: list[Match], committed: Committed, changes: Sequence[ResourceChange], epoch: int
    ) -> list[Match]:
        if committed.code is CommitCode.FENCED:
            raise Fenced("a newer owner committed already")
        rest = matches[committed.decided :]
        if committed.code is CommitCode.STALE:
            later = [change for change in changes if change.id >= rest[0].change]
            return await self._judge.judge_anew(rest[0].subscription, later, partial(self._still_own, epoch))
        return rest


async def _ended(behind: asyncio.Task[None]) -> None:
    """Raises what it raised. Whoever waits may be cancelled without cancelling it."""
    await asyncio.wait([behind])
    behind.result()


async def _left_alone(behind: asyncio.Task[None]) -> None:
    """Until it has ended, however it ends; who is cancelled meanwhile waits no longer, and is cancelled."""
    try:
        await asyncio.wait([behind])
    except asyncio.CancelledError:
        behind.cancel()
        raise  # not what brought us here: whoever takes that for a reason to begin anew would never end
    behind.exception()


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and (len(group) >= MOST_CHANGES_PER_GROUP or size + len(entry.body) > MOST_BYTES_PER_GROUP):
            yield group
            group, size = [], 0
        group.append(entry)
        size += len(entry.body)
    yield group


def _renewal() -> float:
    return time.monotonic() + LEASE_MILLISECONDS / 1000 * LEASE_SAFETY
