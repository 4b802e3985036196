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
from typing import Protocol

from hub.bell import Bell
from hub.domain.change import Interaction, ResourceChange
from hub.errors import Fenced, Unavailable
from hub.intake.chain_targets import ChainTargets
from hub.intake.inclusion import Inclusion
from hub.intake.registry import Registry
from hub.intake.reverse_includes import ReverseIncludes
from hub.matching.report import Fault
from hub.matching.steps import Steps
from hub.reading.changes import judgeable
from hub.store.agenda import MOST_PER_CALL, Agenda, CommitCode, Committed, Hold, Match
from hub.store.changes import Changes, Entry, Lease
from hub.store.keys import Layout, Partition

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
SLOW_SECONDS = 0.25
TURN_SECONDS = 0.01
"""After so long the others of this process have their turn."""


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
        layout: Layout,
        changes: Changes,
        agenda: Agenda,
        registry: Registry,
        targets: ChainTargets,
        inclusion: Inclusion,
        reverse: ReverseIncludes,
        holder: Holder,
    ) -> None:
        self.bell = Bell()
        self._partition = partition
        self._owner = owner
        self._layout = layout
        self._changes = changes
        self._agenda = agenda
        self._registry = registry
        self._targets = targets
        self._inclusion = inclusion
        self._reverse = reverse
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
        cursor = lease.cursor
        self._renew_at = _renewal()
        while time.monotonic() < self._renew_at and not self._changes.stand_still(self._partition):
            entries = await self._changes.after(self._partition, cursor, MOST_CHANGES_PER_READ)
            if entries:
                await self._registry.refresh()  # after reading: whoever was there before these changes is seen (I5)
                for group in _groups(entries):
                    await self._evaluate(group, lease.epoch)
                    cursor = group[-1].id
                    self.progressed_at = time.monotonic()
            else:
                self.progressed_at = time.monotonic()
                await self.bell.wait(min(IDLE_SECONDS, max(0.0, self._renew_at - time.monotonic())))

    async def _still_own(self, epoch: int) -> None:
        """Renew the lease when it is time. Raises Fenced when the partition went to another meanwhile."""
        if time.monotonic() < self._renew_at:
            return
        lease = await self._own()
        if lease.epoch != epoch:
            raise Fenced("the partition went to another owner")
        self._renew_at = _renewal()

    async def _evaluate(self, entries: Sequence[Entry], epoch: int) -> None:
        await self._reverse.observe(self._partition, entries)
        judged = [entry for entry in entries if entry.interaction is not Interaction.LOAD]
        changes = await judgeable(self._changes, self._partition, judged)
        await self._commit(changes, epoch)
        await self._changes.advance(
            self._partition,
            self._owner.name,
            self._owner.incarnation,
            epoch,
            entries[-1].id,
            len(judged),
            LEASE_MILLISECONDS,
        )
        self._renew_at = _renewal()

    async def _matches(self, changes: Sequence[ResourceChange], epoch: int) -> dict[int, list[Match]]:
        """What is to be committed, by shard, in the order of commits. The lease is renewed on the way."""
        judged: list[tuple[ResourceChange, list[tuple[str, int]]]] = []
        turn = time.monotonic()
        for known in await self._targets.completed(changes):
            if time.monotonic() - turn > TURN_SECONDS:  # not after each: a turn of all others may take longer
                await asyncio.sleep(0)
                turn = time.monotonic()
            await self._still_own(epoch)
            (change,) = await self._targets.completed([known])  # meanwhile somebody may ask for more
            judged.append((change, await self._concerned(change)))
        # Together: asked one after the other, each change would wait for the store once, behind the fsyncs of all.
        included = await asyncio.gather(
            *(self._inclusion.of(change, [name for name, _ in concerned]) for change, concerned in judged)
        )
        by_shard: dict[int, list[Match]] = {}
        for (change, concerned), taken in zip(judged, included, strict=True):
            for name, version in concerned:
                match = Match(change.id, name, version, self._partition.index, taken.get(name, ()))
                by_shard.setdefault(self._layout.shard_of(name), []).append(match)
        for matches in by_shard.values():
            matches.sort(key=lambda match: match.place)
        return by_shard

    async def _concerned(self, change: ResourceChange) -> list[tuple[str, int]]:
        """Others have their turn in between, however many triggers and Subscriptions are to be judged."""
        began = turn = time.monotonic()
        try:
            steps = self._registry.matching(change, self._partition.index)
            while (found := _step(steps)) is None:
                if time.monotonic() - turn > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn = time.monotonic()
            if time.monotonic() - began > SLOW_SECONDS:
                seconds, concerned = round(time.monotonic() - began, 1), len(found)
                told = {"change": str(change.id), "type": change.key.type, "seconds": seconds, "concerned": concerned}
                log.warning("judging a change took long: look at the topics and filters of its type", extra=told)
            return found
        except Exception as problem:  # noqa: BLE001 a fault of ours on one change must not hold up all behind it; it is shown
            reason = f"inside the hub: {type(problem).__name__}"
            self._registry.record_fault(Fault("", f"change {change.id} of {change.key.type}", reason))
            return []

    async def _commit(self, changes: Sequence[ResourceChange], epoch: int) -> None:
        """One call per shard in flight: a chunk that overtook a stopped one would turn its rest into repeats."""
        waiting = await self._matches(changes, epoch)
        while waiting:
            await self._still_own(epoch)
            shards = list(waiting)
            batches = [(shard, self._partition, epoch, waiting[shard][:MOST_PER_CALL]) for shard in shards]
            since = time.monotonic()
            results = await self._agenda.commit(batches, hold=self._holder.has_room)
            for shard, committed in zip(shards, results, strict=True):
                self._holder.take(committed.holds, since)
                rest = await self._rest(shard, waiting.pop(shard), committed, changes, epoch)
                if rest:
                    waiting[shard] = rest

    async def _rest(
        self, shard: int, matches: list[Match], committed: Committed, changes: Sequence[ResourceChange], epoch: int
    ) -> list[Match]:
        if committed.code is CommitCode.FENCED:
            raise Fenced("a newer owner committed already")
        rest = matches[committed.decided :]
        if committed.code is CommitCode.STALE:
            await self._registry.reread(rest[0].subscription)
            later = [change for change in changes if change.id >= rest[0].change]
            return (await self._matches(later, epoch)).get(shard, [])
        return rest


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


def _step(steps: Steps[list[tuple[str, int]]]) -> list[tuple[str, int]] | None:
    """One step further; the result after the last one."""
    try:
        next(steps)
    except StopIteration as end:
        result: list[tuple[str, int]] = end.value
        return result
    return None


def _renewal() -> float:
    return time.monotonic() + LEASE_MILLISECONDS / 1000 * LEASE_SAFETY
