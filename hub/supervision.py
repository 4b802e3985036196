"""Work that must never end: a fault of ours is logged with its reason, counted, and the work begins anew."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Supervisor:
    """Runs workers until they are cancelled; ``restarts`` says which of them had to begin anew, and how often."""

    def __init__(self) -> None:
        self.restarts: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._run(name, work), name=name))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:  # whatever it is: without this worker events would wait for ever, in silence
                log.exception("a worker failed and begins anew", extra={"worker": name})
            self.restarts[name] += 1
            await asyncio.sleep(PAUSE_SECONDS)
