"""What must hold when the process that evaluates changes dies, is fenced, or is told to end (I5, I9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hub.errors import Unavailable
from hub.intake import evaluator as evaluator_module
from hub.intake.evaluator import Evaluator, Owner
from hub.intake.judging import Judged
from hub.store.agenda import Agenda, Committed, Match
from hub.store.changes import Changes, Entry
from hub.store.keys import Partition
from hub.store.scripts import DIGESTS, Command
from tests.store.factories import PARTITION, Lab, offer
from tests.store.guards.mutation import must
from tests.store.guards.processes import Mortal

MOST_COMMANDS = 40
"""More than anything here sends: with so many allowed, nobody dies."""
PATIENCE_SECONDS = 10.0
MOMENT_SECONDS = 0.3
"""More than an evaluator pauses before it begins anew."""


class _Bystander:
    """What an evaluator has around it besides the store: a registry without news, no room for attempts."""

    has_room = False

    async def refresh(self) -> None: ...

    def knows(self, news: str) -> bool:
        return True

    def take(self, holds: Sequence[object], since: float) -> None: ...


class _EveryChange:
    """Judges that every change concerns Subscription ``a``, in the version that it knows of."""

    def __init__(self, version: int = 1) -> None:
        self.version = version

    async def judge(self, entries: Sequence[Entry], *_: object) -> Judged:
        matches = [Match(entry.id, "default|r5|a", self.version, 0) for entry in entries]
        return Judged(entries, entries, {0: matches})  # type: ignore[arg-type]

    async def judge_anew(self, name: str, entries: Sequence[Entry], *_: object) -> list[Match]:
        self.version += 1
        return (await self.judge(entries)).by_shard[0]


async def _evaluate(lab: Lab, life: int, commands: int, judge: _EveryChange | None = None) -> None:
    """One life of the evaluating process: until it dies, or nothing is left."""
    store: Any = Mortal(lab.store, commands)
    changes, around = Changes(store, most_waiting=100), _Bystander()
    owner, agenda = Owner("hub", str(life)), Agenda(store, "hub")
    evaluator = Evaluator(
        PARTITION, owner, changes, agenda, around, judge or _EveryChange(), around  # type: ignore[arg-type]
    )  # fmt: skip
    running = asyncio.create_task(evaluator.run())
    known = Changes(lab.store, most_waiting=100)
    while not store.dead.is_set() and await known.evaluated_upto(PARTITION) < await known.last(PARTITION):
        assert not running.done(), running.exception()
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=PATIENCE_SECONDS)
    assert done, "it ends when it is told"


async def a_process_that_dies_while_it_evaluates_loses_nothing(lab: Lab) -> None:
    await lab.activate("a")
    changes = Changes(lab.store, most_waiting=100)
    for commands in range(12):
        await changes.accept(PARTITION, [offer(f"Patient/{commands}")])
        await _evaluate(lab, 2 * commands, commands)
        await _evaluate(lab, 2 * commands + 1, MOST_COMMANDS)
        number, length = (await lab.record("a")).number, await lab.log_length("a")
        must((number, length) == (commands + 1,) * 2, f"every change is one event, also after {commands} commands")


async def what_was_judged_under_an_old_definition_is_judged_anew(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, None)
    changes = Changes(lab.store, most_waiting=100)
    await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/2")])
    await _evaluate(lab, 1, MOST_COMMANDS, _EveryChange(version=1))
    must(await lab.log_length("a") == 2, "no change is passed over")
    ((_, references),) = await lab.log.read([(lab.name("a"), range(1, 3))])
    must({each.definition_version for each in references} == {2}, "each was judged under the new one (I5)")


class _Stuck(Mortal):
    """One page can be read; then it is away, and the COMMIT of that page has no answer."""

    pages = 1

    async def send(self, *commands: Command) -> list[Any]:
        if commands[0][1] == DIGESTS["commit"]:
            self.dead.set()
            await asyncio.Event().wait()
        if commands[0][0] == "XRANGE":
            self.pages -= 1
        if self.pages < 0:
            await self.dead.wait()
            raise Unavailable("this store is away")
        return await super().send(*commands)


async def an_evaluator_ends_when_it_is_told(lab: Lab) -> None:
    store: Any = _Stuck(lab.store, MOST_COMMANDS)
    changes, around = Changes(store, most_waiting=100), _Bystander()
    await Changes(lab.store, most_waiting=100).accept(PARTITION, [offer("Patient/1")])
    evaluator = Evaluator(
        PARTITION, Owner("hub", "1"), changes, Agenda(store, "hub"), around, _EveryChange(), around  # type: ignore[arg-type]
    )  # fmt: skip
    running = asyncio.create_task(evaluator.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await store.dead.wait()
    for _ in range(10):
        await asyncio.sleep(0)  # it reads on, is told that the store is away, and waits for the COMMIT in flight
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=MOMENT_SECONDS)
    running.cancel()
    must(bool(done), "though it was busy with a store that is away")


def forget_the_end(patch: pytest.MonkeyPatch) -> None:
    """A cancellation that comes while the COMMIT in flight is waited for is taken for nothing."""

    async def left_alone(behind: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait([behind])
        except asyncio.CancelledError:
            behind.cancel()

    patch.setattr(evaluator_module, "_left_alone", left_alone)


def pass_over_stale(patch: pytest.MonkeyPatch) -> None:
    """What was judged under an old definition is left out."""

    async def rest(
        self: Evaluator, matches: list[Match], committed: Committed, changes: Sequence[object], epoch: int
    ) -> list[Match]:
        return matches[committed.decided + 1 :]

    patch.setattr(Evaluator, "_rest", rest)


def cursor_first(patch: pytest.MonkeyPatch) -> None:
    """The cursor moves before the matches of its changes are committed."""
    commit = Agenda.commit

    async def late(
        self: Agenda, batches: Sequence[tuple[int, Partition, int, Sequence[Match]]], *, hold: bool
    ) -> list[Committed]:
        for _, partition, _, matches in batches:
            await self._store.send(("HSET", partition.key("own"), "cur", str(matches[-1].change)))
        return await commit(self, batches, hold=hold)

    patch.setattr(Agenda, "commit", late)
