"""Looks after the store: every second whether it went backwards, every minute whether its settings still are fit."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from pathlib import Path

from hub.errors import Unavailable
from hub.store.client import Store
from hub.store.keys import BACKWARDS, IDENTITY_KEY
from hub.store.witness import Backwards, read_partition

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SETTINGS_SECONDS = 60.0


class Watch:
    """``problems`` are told by ``/health/ready``. ``file`` keeps what is known between two lives of the process."""

    def __init__(self, store: Store, file: Path, durability: str, accept_unverified: bool) -> None:
        self._store = store
        self._file = file
        self._durability = durability
        self._accept_unverified = accept_unverified
        self._unfit: list[str] = []
        self._look_at_settings_at = time.monotonic() + SETTINGS_SECONDS

    @property
    def problems(self) -> list[str]:
        return [*self._store.witness.problems(), *(f"Redis is not fit any more: {each}" for each in self._unfit)]

    async def start(self) -> None:
        """Compare with what the former life of this process knew. Raises Unavailable."""
        witness = self._store.witness
        _, name = await self._store.send(("SET", IDENTITY_KEY, secrets.token_hex(8), "NX"), ("GET", IDENTITY_KEY))
        witness.store = name.decode()
        if not witness.restore(self._file):
            log.warning("this is another store than last time, or it lost everything: nothing of that one is here")
        questions = witness.questions()
        if questions.calls:
            witness.judge(questions, await self._store.send(*questions.calls))
        await self._share()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._share()
                if time.monotonic() >= self._look_at_settings_at:
                    await self._look_at_settings()
            except Unavailable as problem:
                log.info("the store could not be looked at", extra={"reason": str(problem)})

    def save(self) -> None:
        if self._store.witness.store:
            self._store.witness.save(self._file)

    async def _share(self) -> None:
        """Tell the other processes what this one noticed, and hear what they did."""
        witness = self._store.witness
        before = set(witness.backwards) - witness.unwritten
        noticed = [(partition, witness.backwards[partition]) for partition in witness.unwritten]
        tell = [("HSETNX", BACKWARDS, str(partition), found.write()) for partition, found in noticed]
        *_, told = await self._store.send(*tell, ("HGETALL", BACKWARDS))
        witness.unwritten -= {partition for partition, _ in noticed}
        pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
        witness.learn({read_partition(name.decode()): Backwards.read(raw) for name, raw in pairs})
        if set(witness.backwards) - before:
            for problem in witness.problems():
                log.error(problem)
        self.save()

    async def _look_at_settings(self) -> None:
        self._look_at_settings_at = time.monotonic() + SETTINGS_SECONDS
        self._unfit = await self._store.unfit(self._durability, accept_unverified=self._accept_unverified)
        for problem in self._unfit:
            log.error("Redis is not fit any more", extra={"reason": problem})
