"""Numbers are 1..n without gap, whatever is written, whoever fails, whenever the hub dies (I5, I7, I10, S-109)."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import date
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.faults.lives import Lives
from tests.faults.receiver import Manner, Receiver, bad_manners
from tests.faults.town import BASES, Town

WRITERS, BURSTS, WRITES_PER_BURST = 3, 3, 24
SEEDS = (3, date.today().toordinal())


class ShortLives(Town):
    """A town whose hub dies in every burst."""

    def __init__(self, seed: int, redis_url: str, folder: Path) -> None:
        self.lives = Lives(redis_url, folder)
        super().__init__(seed, self.lives, Receiver(bad_manners(random.Random(seed + 1))))

    async def burst(self, number: int) -> None:
        """Writers, a meddler and a killer at once; then quiet, until everything accepted has been judged."""
        newcomers = [(base, f"{base}-{number}{letter}") for base in BASES for letter in "ab"]
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write_for_a_while())
            group.create_task(self._meddle(newcomers))
            group.create_task(self._take_a_life())
        await self.lives.until_judged()
        for ledger in self.ledgers.values():
            ledger.barriers.append(time.monotonic())

    async def _write_for_a_while(self) -> None:
        for _ in range(WRITES_PER_BURST):
            await self.write(self.chance.choice(BASES))
            await asyncio.sleep(self.chance.random() * 0.02)

    async def _meddle(self, newcomers: list[tuple[FhirVersion, str]]) -> None:
        for newcomer in newcomers:
            await asyncio.sleep(self.chance.random() * 0.05)
            await self.subscribe(*newcomer)
        for base, mailbox in self.chance.sample(self.mailboxes(), 3):
            await asyncio.sleep(self.chance.random() * 0.1)
            if mailbox not in self.deleted:
                await self.edit(base, mailbox)

    async def _take_a_life(self) -> None:
        await asyncio.sleep(0.1 + self.chance.random() * 0.3)
        if self.chance.random() < 0.7:
            await self.lives.kill()
            await self.lives.start()
        else:
            await self.lives.replace(0.2)

    async def come_to_rest(self) -> None:
        """The receiver recovers, whoever is off asks again, everything goes out."""
        self.receiver.choose = lambda mailbox: Manner.TAKEN
        for base, mailbox in self.mailboxes():
            if mailbox not in self.deleted and not self.ledgers[base].wishes[mailbox][-1].on:
                await self.wish(base, mailbox, status="requested", begins=True)
        await self.lives.until_judged()
        await self.lives.until_delivered([f"default|{base}|{mailbox}" for base, mailbox in self.mailboxes()], 8)


@pytest.mark.parametrize("seed", SEEDS)
async def test_numbers_have_no_gap_and_never_lie(seed: int, tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    town = ShortLives(seed, await redis.start(), tmp_path / "hub")
    await town.receiver.start()
    await town.lives.start()
    try:
        for number in range(BURSTS):
            await town.burst(number)
        await town.come_to_rest()
    finally:
        await town.lives.stop()
        await town.receiver.stop()
        await redis.stop()
    assert sum(len(ledger.changes) for ledger in town.ledgers.values()) > WRITERS * BURSTS * WRITES_PER_BURST // 2
    assert len(town.receiver.arrivals) > 100
    assert not (faults := town.faults()), f"seed {seed}: " + "\n".join(map(str, faults[:20]))
