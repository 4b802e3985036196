"""Somebody who creates, edits, switches, ends and deletes Subscriptions while other things happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from hub.domain.versions import FhirVersion
from tests.faults.ledger import Wish
from tests.faults.plan import Fault
from tests.faults.stage import Struck
from tests.faults.town import BASES, Town

MOST_THERE = 6
"""Subscriptions of a base beside those that stand."""


class Meddler:
    """What it does to a Subscription may cut an attempt off, and is noted in ``struck``."""

    def __init__(self, town: Town, struck: list[Struck]) -> None:
        self._town = town
        self._struck = struck
        self._standing: set[str] = set()
        self._names = 0
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def stand(self, base: FhirVersion, mailbox: str) -> None:
        """A Subscription that is left alone."""
        self._standing.add(mailbox)
        await self._town.stand(base, mailbox)

    async def come_to_rest(self) -> None:
        """Until everything that was begun is done; whoever is off asks again."""
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        for base in BASES:
            for mailbox in self.fickle(base):
                if not self.present(base, mailbox).on:
                    await self._town.wish(base, mailbox, status="requested", begins=True)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def meddle(self, fault: Fault) -> None:
        """Somebody changes a Subscription; nobody waits until that is answered."""
        base = BASES[int(fault.chance * 1000) % len(BASES)]
        there = [name for name in self.fickle(base) if name not in self._busy]
        on = [name for name in there if self._town.ledgers[base].wishes[name][-1].on]
        mailbox = _drawn(fault.chance, there)
        if fault.kind == "Subscription created" or mailbox is None:
            self._start(self.fresh_name(base), base, self._town.subscribe)
            if mailbox and len(there) >= MOST_THERE:  # one comes, one goes
                self._start(mailbox, base, self._town.delete)
            return
        match fault.kind:
            case "Subscription deleted" if len(there) > 1:
                self._start(mailbox, base, self._town.delete)
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
                self._struck.append(Struck("Subscription changed", began, time.monotonic(), mailbox))

        task = asyncio.create_task(meddle())
        self._tasks.add(task)

    def present(self, base: FhirVersion, mailbox: str) -> Wish:
        return self._town.ledgers[base].wishes[mailbox][-1]

    async def _edit(self, base: FhirVersion, mailbox: str) -> None:
        on = self.present(base, mailbox).on
        await self._town.wish(base, mailbox, status="active" if on else "requested", begins=not on)

    async def _switch(self, base: FhirVersion, mailbox: str) -> None:
        on = self.present(base, mailbox).on
        await self._town.wish(base, mailbox, status="off" if on else "requested", begins=not on)

    def _end_in(self, seconds: float) -> Callable[[FhirVersion, str], Awaitable[None]]:
        async def end(base: FhirVersion, mailbox: str) -> None:
            await self._town.wish(base, mailbox, status="active", seconds=seconds)

        return end

    def fickle(self, base: FhirVersion) -> list[str]:
        gone = self._standing | self._town.deleted
        return [name for name in self._town.ledgers[base].wishes if name not in gone]

    def fresh_name(self, base: FhirVersion) -> str:
        self._names += 1
        return f"{base}-{self._names}"


def _drawn(chance: float, names: list[str]) -> str | None:
    return names[int(chance * len(names))] if names else None
