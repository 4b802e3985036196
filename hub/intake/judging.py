"""Judging the changes of one partition: whom each concerns, and what its events take along. Nothing is written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hub.domain.change import Interaction, ResourceChange
from hub.intake.chain_targets import ChainTargets
from hub.intake.inclusion import Inclusion
from hub.intake.registry import Registry
from hub.intake.reverse_includes import ReverseIncludes
from hub.matching.report import Fault
from hub.matching.steps import Steps
from hub.reading.changes import judgeable
from hub.store.agenda import Match
from hub.store.changes import Changes, Entry
from hub.store.keys import Layout, Partition

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.25
TURN_SECONDS = 0.01
"""After so long the others of this process have their turn."""

StillOwn = Callable[[], Awaitable[None]]
"""Raises Fenced when the partition went to another owner; called on the way, however long judging takes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A group of changes and their matches, by shard, in the order of commits."""

    entries: Sequence[Entry]
    changes: Sequence[ResourceChange]
    by_shard: dict[int, list[Match]]


class Judge:
    """One per partition; knows what the registry knows at that moment."""

    def __init__(
        self,
        partition: Partition,
        layout: Layout,
        changes: Changes,
        registry: Registry,
        targets: ChainTargets,
        inclusion: Inclusion,
        reverse: ReverseIncludes,
    ) -> None:
        self._partition = partition
        self._layout = layout
        self._changes = changes
        self._registry = registry
        self._targets = targets
        self._inclusion = inclusion
        self._reverse = reverse

    async def judge(self, entries: Sequence[Entry], still_own: StillOwn) -> Judged:
        """Whom these changes concern; what was loaded concerns nobody (ruling 13)."""
        await self._reverse.observe(self._partition, entries)
        judged = [entry for entry in entries if entry.interaction is not Interaction.LOAD]
        changes = await judgeable(self._changes, self._partition, judged)
        return Judged(entries, changes, await self.matches(changes, still_own))

    async def judge_anew(self, name: str, changes: Sequence[ResourceChange], still_own: StillOwn) -> list[Match]:
        """The matches in the shard of this Subscription, after its definition changed under us."""
        await self._registry.reread(name)
        return (await self.matches(changes, still_own)).get(self._layout.shard_of(name), [])

    async def matches(self, changes: Sequence[ResourceChange], still_own: StillOwn) -> dict[int, list[Match]]:
        """What is to be committed, by shard, in the order of commits."""
        judged: list[tuple[ResourceChange, list[tuple[str, int]]]] = []
        turn = time.monotonic()
        for known in await self._targets.completed(changes):
            if time.monotonic() - turn > TURN_SECONDS:  # not after each: a turn of all others may take longer
                await asyncio.sleep(0)
                turn = time.monotonic()
            await still_own()
            (change,) = await self._targets.completed([known])  # meanwhile somebody may ask for more
            judged.append((change, await self._concerned(change)))
        included = await self._inclusion.of_all(
            [(change, [name for name, _ in concerned]) for change, concerned in judged if concerned]
        )
        by_shard: dict[int, list[Match]] = {}
        for change, concerned in judged:
            taken = included.get(change.id, {})
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


def _step(steps: Steps[list[tuple[str, int]]]) -> list[tuple[str, int]] | None:
    """One step further; the result after the last one."""
    try:
        next(steps)
    except StopIteration as end:
        result: list[tuple[str, int]] = end.value
        return result
    return None
