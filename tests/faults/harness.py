"""A run of faults (REDIS §3.4): real processes, a seeded plan, a ledger of what clients were answered, a bad receiver.

Every FAULTS_PER_BOUT faults everything heals, and a Patient of each gender is written: who is told of these has been
told of everything before. So nothing is read from the hub to decide what must have arrived, or when.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hub.domain.versions import FhirVersion
from hub.store.keys import Layout
from tests.faults.ledger import Broken, Promise, Wish
from tests.faults.plan import Fault, plan
from tests.faults.receiver import Manner, Receiver, bad_manners
from tests.faults.repeats import Repeats
from tests.faults.stage import Stage, Struck
from tests.faults.town import BASES, GENDERS, Town

FAULTS_PER_BOUT = 25
SETTLE_SECONDS = 120.0
WRITERS = 6
PATIENTS = 40
UNSURE = 0.1
TIMEOUT_SECONDS = 2
FICKLE = 5
"""Subscriptions of each base that are edited, end and are deleted; as many more stand, one in each shard."""
STALL_SECONDS = 0.5
Told = Callable[[int], None]


@dataclass
class Report:
    """What a run found."""

    seed: int
    broken: list[Broken] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int | float] = field(default_factory=dict)

    def count(self, promise: Promise) -> int:
        return sum(each.promise is promise for each in self.broken)

    def __str__(self) -> str:
        lines = [f"{kind:<24}{number:>9}" for kind, number in sorted(self.faults.items())]
        lines += [f"{'faults':<24}{self.faults.total():>9}", ""]
        lines += [f"{name:<24}{number:>9}" for name, number in self.figures.items()]
        lines += [f"{promise.value:<24}{self.count(promise):>9}" for promise in Promise]
        lines += ["", *map(str, self.broken[:20]), f"seed {self.seed}"]
        return "\n".join(lines)


class Run:
    """``told`` hears after each fault how many there were."""

    def __init__(
        self, seed: int, faults: int, folder: Path, stack: AsyncExitStack, told: Told = lambda _: None
    ) -> None:
        self.report = Report(seed)
        self._plan = list(plan(seed, faults))
        self._told = told
        self._manners = bad_manners(random.Random(seed + 1))
        self._override: tuple[float, Manner] = (0.0, Manner.TAKEN)
        self.receiver = Receiver(self._choose, late_seconds=TIMEOUT_SECONDS + 0.3)
        self.stage = Stage(folder, stack)
        self.town = Town(
            seed, self.stage, self.receiver, patients=PATIENTS, unsure=UNSURE, timeout_seconds=TIMEOUT_SECONDS
        )
        self._standing: dict[FhirVersion, list[str]] = {base: _one_in_each_shard(base) for base in BASES}
        self._names = 0
        self._writing = asyncio.Event()
        self._meddling: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self._calm = False
        self._slowest = 0.0

    async def run(self) -> Report:
        await self.receiver.start()
        await self.stage.start()
        for base in BASES:
            for mailbox in self._standing[base]:
                await self.town.stand(base, mailbox)
            for _ in range(FICKLE):
                await self.town.subscribe(base, self._fresh_name(base))
        async with self._life_around():
            for start in range(0, len(self._plan), FAULTS_PER_BOUT):
                if not await self._bout(self._plan[start : start + FAULTS_PER_BOUT]):
                    break
        codes = await self.stage.stop()
        await self.receiver.stop()
        if any(codes):
            self._break(Promise.LOST, f"the hubs ended with {codes} when they were told to stop")
        self._judge()
        return self.report

    @contextlib.asynccontextmanager
    async def _life_around(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._write_for_ever()) for _ in range(WRITERS)]
        tasks += [asyncio.create_task(work()) for work in (self._notice_stalls, self.stage.keep_up)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for problem in ended:
            if isinstance(problem, Exception):
                raise problem

    async def _bout(self, faults: list[Fault]) -> bool:
        self._calm = False
        self._writing.set()
        for fault in faults:
            await asyncio.sleep(fault.pause_seconds)
            await self._befall(fault)
            self.report.faults[fault.kind] += 1
            self._told(self.report.faults.total())
        return await self._come_to_rest()

    # everybody's life

    async def _write_for_ever(self) -> None:
        while True:
            await self._writing.wait()
            await self.town.write(self.town.chance.choice(BASES))
            await asyncio.sleep(self.town.chance.random() * 0.4)

    async def _notice_stalls(self) -> None:
        """While this process stands still its receiver does too, and the hub does not hear what it would say."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            if time.monotonic() - began > STALL_SECONDS:
                self.stage.struck.append(Struck("the test stood still", began, time.monotonic()))

    def _choose(self, mailbox: str) -> Manner:
        if self._calm:
            return Manner.TAKEN
        until, manner = self._override
        if time.monotonic() < until:
            return manner
        drawn = self._manners(mailbox)
        return Manner.TAKEN if drawn is Manner.UNFIT and "stands" in mailbox else drawn

    # what befalls them

    async def _befall(self, fault: Fault) -> None:
        seconds, place = fault.seconds, int(fault.chance * len(self.stage.hubs))
        match fault.kind:
            case "hub killed":
                await self.stage.kill_hub(place)
            case "hub frozen":
                await self.stage.freeze_hub(place, seconds)
            case "Redis killed":
                await self.stage.kill_redis(seconds)
            case "Redis frozen":
                await self.stage.freeze_redis(seconds)
            case "connections cut":
                await self.stage.cut_connections()
            case "disk full":
                await self.stage.fill_disk(seconds)
            case "all killed":
                await self.stage.kill_all(seconds)
            case "receiver refuses":
                self._override = (time.monotonic() + seconds, Manner.BUSY)
            case "receiver loses answers":
                self._override = (time.monotonic() + seconds, Manner.LOST)
            case "receiver is late":
                self._override = (time.monotonic() + seconds, Manner.LATE)
            case _:
                self._meddle(fault)

    def _meddle(self, fault: Fault) -> None:
        """Somebody changes a Subscription; nobody waits until that is answered."""
        base = BASES[int(fault.chance * 1000) % len(BASES)]
        there = [name for name in self._fickle(base) if name not in self._busy]
        on = [name for name in there if self.town.ledgers[base].wishes[name][-1].on]
        mailbox = _drawn(fault.chance, there)
        if fault.kind == "Subscription created" or mailbox is None:
            self._start(self._fresh_name(base), base, self.town.subscribe)
            return
        match fault.kind:
            case "Subscription deleted" if len(there) > 1:
                self._start(mailbox, base, self.town.delete)
            case "Subscription ends" if ending := _drawn(fault.chance, on):
                self._start(ending, base, self._end_in(fault.seconds))
            case "Subscription switched":
                self._start(mailbox, base, self._switch)
            case _:
                self._start(mailbox, base, self._edit)

    def _start(self, mailbox: str, base: FhirVersion, work: Callable[[FhirVersion, str], Awaitable[None]]) -> None:
        async def meddle() -> None:
            self._busy.add(mailbox)
            began = time.monotonic()
            try:
                await work(base, mailbox)
            finally:
                self._busy.discard(mailbox)
                self.stage.struck.append(Struck("Subscription changed", began, time.monotonic(), mailbox))

        task = asyncio.create_task(meddle())
        self._meddling.add(task)

    def _present(self, base: FhirVersion, mailbox: str) -> Wish:
        return self.town.ledgers[base].wishes[mailbox][-1]

    async def _edit(self, base: FhirVersion, mailbox: str) -> None:
        on = self._present(base, mailbox).on
        await self.town.wish(base, mailbox, status="active" if on else "requested", begins=not on)

    async def _switch(self, base: FhirVersion, mailbox: str) -> None:
        on = self._present(base, mailbox).on
        await self.town.wish(base, mailbox, status="off" if on else "requested", begins=not on)

    def _end_in(self, seconds: float) -> Callable[[FhirVersion, str], Awaitable[None]]:
        async def end(base: FhirVersion, mailbox: str) -> None:
            await self.town.wish(base, mailbox, status="active", seconds=seconds)

        return end

    def _fickle(self, base: FhirVersion) -> list[str]:
        gone = {*self._standing[base], *self.town.deleted}
        return [name for name in self.town.ledgers[base].wishes if name not in gone]

    def _fresh_name(self, base: FhirVersion) -> str:
        self._names += 1
        return f"{base}-{self._names}"

    # rest

    async def _come_to_rest(self) -> bool:
        """Everything heals, whoever is off asks again, and everybody is told of the last Patients."""
        self._writing.clear()
        self._calm = True
        self._override = (0.0, Manner.TAKEN)
        since = time.monotonic()
        waiting: set[str] = set()
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self.stage.heal()
                await asyncio.gather(*self._meddling)
                self._meddling.clear()
                for base in BASES:
                    for mailbox in self._fickle(base):
                        if not self._present(base, mailbox).on:
                            await self.town.wish(base, mailbox, status="requested", begins=True)
                marks = {(base, gender): await self.town.mark(base, gender) for base in BASES for gender in GENDERS}
                while waiting := {name for base in BASES for name in self._untold(base, marks)}:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._break(Promise.LOST, f"not at rest after {SETTLE_SECONDS:.0f} s: {sorted(waiting)}")
            return False
        self._slowest = max(self._slowest, time.monotonic() - since)
        for ledger in self.town.ledgers.values():
            ledger.barriers.append(time.monotonic())
        return True

    def _untold(self, base: FhirVersion, marks: dict[tuple[FhirVersion, str], str]) -> list[str]:
        """Who has not been told of the newest Patient that is for them."""
        told = self._references_since_rest(base)
        found = []
        for mailbox in (*self._standing[base], *self._fickle(base)):
            gender = self._present(base, mailbox).gender
            wanted = {marks[base, each] for each in GENDERS if gender in (None, each)}
            if not wanted <= told.get(mailbox, set()):
                found.append(mailbox)
        return found

    def _references_since_rest(self, base: FhirVersion) -> dict[str, set[str]]:
        told: dict[str, set[str]] = {}
        for arrival in self.receiver.arrivals[-5000:]:
            if arrival.manner is Manner.TAKEN:
                told.setdefault(arrival.mailbox, set()).update(event.reference for event in arrival.events)
        return told

    # the end

    def _break(self, promise: Promise, words: str) -> None:
        self.report.broken.append(Broken(promise, words))

    def _judge(self) -> None:
        by_mailbox = {mailbox: list(self.receiver.of(mailbox)) for _, mailbox in self.town.mailboxes()}
        stood = 0
        for base, ledger in self.town.ledgers.items():
            stood += ledger.learn(arrival for name in self._standing[base] for arrival in by_mailbox[name])
        self.report.broken += self.town.faults()
        repeats = Repeats()
        for mailbox, arrivals in by_mailbox.items():
            repeats.count(mailbox, arrivals, self.stage.struck)
        for words in repeats.unexplained:
            self._break(Promise.REPEATED, words)
        ledgers = self.town.ledgers.values()
        self.report.figures = {
            "changes answered 2xx": sum(len(ledger.changes) for ledger in ledgers) - stood,
            "changes in doubt": sum(len(ledger.unsure) for ledger in ledgers),
            "of these stood": stood,
            "Subscriptions": len(by_mailbox),
            "notifications": sum(map(len, by_mailbox.values())),
            "events": sum(len({e.number for a in each for e in a.events}) for each in by_mailbox.values()),
            "repeats by receiver": repeats.by_receiver,
            "repeats by faults": repeats.by_faults,
            "bound: in flight": repeats.in_flight,
            "slowest rest in s": round(self._slowest, 1),
        }


def _drawn(chance: float, names: list[str]) -> str | None:
    return names[int(chance * len(names))] if names else None


def _one_in_each_shard(base: FhirVersion) -> list[str]:
    """Names of Subscriptions that stand, so that every shard has one that is told of everything."""
    layout = Layout()
    found: dict[int, str] = {}
    number = 0
    while len(found) < layout.shards:
        number += 1
        name = f"{base}-stands-{number}"
        found.setdefault(layout.shard_of(f"default|{base}|{name}"), name)
    return list(found.values())
