"""Work that must never end: a fault of ours is logged with its reason, counted, and the work begins anew."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
AGAIN_SECONDS = 0.5
"""After so long a worker that goes on is cancelled again."""


class Supervisor:
    """Runs workers until they are cancelled; ``restarts`` says which of them had to begin anew, and how often."""

    def __init__(self) -> None:
        self.restarts: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._run(name, work), name=name))

    def start_once(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Until it has ended well."""
        self._tasks.append(asyncio.create_task(self._run_once(name, work), name=name))

    async def stop(self) -> None:
        """Cancel every worker until it has ended: a library below may swallow a cancellation and go on."""
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._ended_well(name, work)
            self.restarts[name] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _run_once(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        while not await self._ended_well(name, work):
            self.restarts[name] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ended_well(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        try:
            await work()
        except Exception:  # whatever it is: without this worker events would wait for ever, in silence
            log.exception("a worker failed and begins anew", extra={"worker": name})
            return False
        return True
