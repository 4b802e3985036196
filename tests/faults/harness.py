"""A run of faults (REDIS §3.4): real processes, a seeded plan, a ledger of what clients were answered, a bad receiver.

Every FAULTS_PER_BOUT faults everything heals, and a Patient of each gender is written: who is told of these has been
told of everything before. So nothing is read from the hub to decide what must have arrived, or when.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from hub.domain.versions import FhirVersion
from hub.store.keys import Layout
from tests.faults.ledger import Broken, Promise
from tests.faults.meddling import Meddler
from tests.faults.plan import Fault, plan
from tests.faults.receiver import Manner, Receiver, bad_manners
from tests.faults.repeats import Repeats
from tests.faults.report import Report
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
BURST_SECONDS = 0.04
Told = Callable[[int], None]


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
        self._stack = stack
        self.stage = Stage(folder, stack)
        self.town = Town(
            seed, self.stage, self.receiver, patients=PATIENTS, unsure=UNSURE, timeout_seconds=TIMEOUT_SECONDS
        )
        self._standing: dict[FhirVersion, list[str]] = {base: _one_in_each_shard(base) for base in BASES}
        self._writing = asyncio.Event()
        self._burst = asyncio.Event()
        self.meddler = Meddler(self.town, self.stage.struck)
        self._calm = False
        self._slowest = 0.0

    async def run(self) -> Report:
        await self.receiver.start()
        self._stack.push_async_callback(self.receiver.stop)
        await self.stage.start()
        for base in BASES:
            for mailbox in self._standing[base]:
                await self.meddler.stand(base, mailbox)
            for _ in range(FICKLE):
                await self.town.subscribe(base, self.meddler.fresh_name(base))
        async with self._life_around():
            for start in range(0, len(self._plan), FAULTS_PER_BOUT):
                if not await self._bout(self._plan[start : start + FAULTS_PER_BOUT]):
                    break
        codes = await self.stage.stop()
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
            self.meddler.cancel()
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
            self._burst.set()  # so that much is under way when it strikes
            await asyncio.sleep(fault.chance * BURST_SECONDS)
            await self._befall(fault)
            self._burst.clear()
            self.report.faults[fault.kind] += 1
            self._told(self.report.faults.total())
        return await self._come_to_rest()

    # everybody's life

    async def _write_for_ever(self) -> None:
        while True:
            await self._writing.wait()
            await self.town.write(self.town.chance.choice(BASES))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.town.chance.random() * 0.4):
                    await self._burst.wait()

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
                self.meddler.meddle(fault)

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
                await self.meddler.come_to_rest()
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
        for mailbox in (*self._standing[base], *self.meddler.fickle(base)):
            gender = self.meddler.present(base, mailbox).gender
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
