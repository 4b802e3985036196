"""Judging changes: one evaluator owns a partition by a fenced lease and goes through it strictly in order.

It reads a batch, brings the registry up to date *after* reading, matches, commits every match, then moves the cursor
(HOUSE, walk of a change, step 3). When another process takes the partition over, everything it still does is void.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.bell import Bell
from hub.domain.change import ChangeId, Interaction, Resource, ResourceChange, ResourceKey
from hub.errors import Fenced, Unavailable
from hub.fhir.json import read_json
from hub.intake.registry import Registry
from hub.matching.report import Fault
from hub.reading.events import shown
from hub.store.agenda import MOST_PER_CALL, Agenda, CommitCode, Committed, Hold, Match
from hub.store.changes import NO_PREVIOUS, Changes, Entry, Lease
from hub.store.keys import Layout, Partition

log = logging.getLogger(__name__)

LEASE_MILLISECONDS = 5000
LEASE_SAFETY = 0.6
"""Share of the lease after which it is renewed before anything else is done."""
MOST_CHANGES_PER_BATCH = 64
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
        layout: Layout,
        changes: Changes,
        agenda: Agenda,
        registry: Registry,
        holder: Holder,
    ) -> None:
        self.bell = Bell()
        self._partition = partition
        self._owner = owner
        self._layout = layout
        self._changes = changes
        self._agenda = agenda
        self._registry = registry
        self._holder = holder

    async def run(self) -> None:
        """Own, evaluate, own again. A store that does not answer is waited for."""
        epoch = 0
        try:
            while True:
                try:
                    lease = await self._own()
                    epoch = lease.epoch
                    if epoch:
                        await self._evaluate_while_owned(lease)
                    else:
                        await self.bell.wait(IDLE_SECONDS)
                except Fenced as problem:
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
        cursor, renew_at = lease.cursor, self._renewal()
        while time.monotonic() < renew_at:
            entries = await self._changes.after(self._partition, cursor, MOST_CHANGES_PER_BATCH)
            if entries:
                await self._evaluate(entries, lease.epoch, renew_at)
                cursor, renew_at = entries[-1].id, self._renewal()
            else:
                await self.bell.wait(min(IDLE_SECONDS, max(0.0, renew_at - time.monotonic())))

    @staticmethod
    def _renewal() -> float:
        return time.monotonic() + LEASE_MILLISECONDS / 1000 * LEASE_SAFETY

    async def _evaluate(self, entries: Sequence[Entry], epoch: int, deadline: float) -> None:
        changes = await self._judgeable(entries)
        await self._registry.refresh()
        await self._commit(changes, epoch, deadline)
        judged = sum(entry.interaction is not Interaction.LOAD for entry in entries)
        await self._changes.advance(
            self._partition,
            self._owner.name,
            self._owner.incarnation,
            epoch,
            entries[-1].id,
            judged,
            LEASE_MILLISECONDS,
        )

    async def _judgeable(self, entries: Sequence[Entry]) -> list[ResourceChange]:
        """Each change with the previous state that was stored in its own version step (I4). Loads are not judged."""
        wanted = [entry for entry in entries if entry.interaction is not Interaction.LOAD]
        with_previous = [entry for entry in wanted if _has_previous(entry)]
        places = [(ChangeId.parse(entry.previous), f"{entry.type}/{entry.resource_id}") for entry in with_previous]
        previous = await self._changes.entries(self._partition, places)
        before = {entry.id: found for entry, found in zip(with_previous, previous, strict=True)}
        return [self._change(entry, before.get(entry.id)) for entry in wanted]

    def _change(self, entry: Entry, previous: Entry | None) -> ResourceChange:
        state = _state(previous)
        unknown = entry.interaction is not Interaction.CREATE and state is None
        return ResourceChange(
            id=entry.id,
            key=ResourceKey(self._partition.tenant, self._partition.base, entry.type, entry.resource_id),
            interaction=entry.interaction,
            current=_state(entry),
            previous=state,
            previous_known=not unknown,
        )

    def _matches(self, changes: Sequence[ResourceChange]) -> dict[int, list[Match]]:
        """What is to be committed, by shard, in the order of commits."""
        by_shard: dict[int, list[Match]] = {}
        for change in changes:
            for name, version in self._concerned(change):
                match = Match(change.id, name, version, self._partition.index)
                by_shard.setdefault(self._layout.shard_of(name), []).append(match)
        for matches in by_shard.values():
            matches.sort(key=lambda match: match.place)
        return by_shard

    def _concerned(self, change: ResourceChange) -> list[tuple[str, int]]:
        try:
            return self._registry.match(change, self._partition.index)
        except Exception as problem:  # noqa: BLE001 a fault of ours on one change must not hold up all behind it; it is shown
            reason = f"inside the hub: {type(problem).__name__}: {problem}"
            self._registry.record_fault(Fault("", f"change {change.id} of {change.key.type}", reason))
            return []

    async def _commit(self, changes: Sequence[ResourceChange], epoch: int, deadline: float) -> None:
        """One call per shard in flight: a chunk that overtook a stopped one would turn its rest into repeats."""
        waiting = self._matches(changes)
        while waiting:
            if time.monotonic() > deadline:
                raise Fenced("the lease may have run out before everything was committed")
            shards = list(waiting)
            batches = [(shard, self._partition, epoch, waiting[shard][:MOST_PER_CALL]) for shard in shards]
            since = time.monotonic()
            results = await self._agenda.commit(batches, hold=self._holder.has_room)
            for shard, committed in zip(shards, results, strict=True):
                self._holder.take(committed.holds, since)
                rest = await self._rest(shard, waiting.pop(shard), committed, changes)
                if rest:
                    waiting[shard] = rest

    async def _rest(
        self, shard: int, matches: list[Match], committed: Committed, changes: Sequence[ResourceChange]
    ) -> list[Match]:
        if committed.code is CommitCode.FENCED:
            raise Fenced("a newer owner committed already")
        rest = matches[committed.decided :]
        if committed.code is CommitCode.STALE:
            await self._registry.reread(rest[0].subscription)
            later = [change for change in changes if change.id >= rest[0].change]
            return self._matches(later).get(shard, [])
        return rest


def _has_previous(entry: Entry) -> bool:
    return entry.interaction is not Interaction.CREATE and entry.previous != NO_PREVIOUS


def _state(entry: Entry | None) -> Resource | None:
    """The resource as subscribers see it: with its meta complete, so that filters may look at _lastUpdated."""
    return read_json(shown(entry)) if entry is not None and entry.body else None
