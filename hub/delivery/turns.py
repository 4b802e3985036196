"""Turns: how many attempts go to one host at a time, so that a host that hangs cannot use up all of them.

An attempt that waits for its turn takes no room from attempts to other hosts. If its turn comes too late for its lease,
it is not begun: the Subscription is claimed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """``per_host`` attempts at a time to each host; ``taken`` are the turns in use, over all hosts."""

    def __init__(self, per_host: int) -> None:
        self.taken = 0
        self._per_host = per_host
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._interested: dict[str, int] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn at ``host`` and keep it for the block."""
        gate = self._hosts.setdefault(host, asyncio.Semaphore(self._per_host))
        self._interested[host] = self._interested.get(host, 0) + 1
        try:
            async with gate:
                self.taken += 1
                try:
                    yield
                finally:
                    self.taken -= 1
        finally:
            self._interested[host] -= 1
            if not self._interested[host]:
                del self._interested[host], self._hosts[host]
