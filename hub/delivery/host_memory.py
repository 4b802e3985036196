"""Keeps what ``turns`` knows of hosts over a restart."""

from __future__ import annotations

import asyncio
import logging

from hub.delivery.turns import Turns
from hub.errors import Unavailable
from hub.store.hosts import Hosts

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class HostMemory:
    """``recall`` once at the start, then ``run`` for ever. What a crash loses is learnt anew from the next attempt."""

    def __init__(self, turns: Turns, hosts: Hosts) -> None:
        self._turns = turns
        self._hosts = hosts

    async def recall(self) -> None:
        self._turns.remember(await self.known())

    async def known(self) -> set[str]:
        """The hosts that a process which starts now would take for well."""
        await self.keep()
        return set(await self._hosts.proven())

    async def run(self) -> None:
        """Write down every change of health, a second later at most."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.keep()

    async def keep(self) -> None:
        changed = self._turns.take_changes()
        if not changed:
            return
        try:
            await self._hosts.note(changed)
        except Unavailable as problem:
            log.warning("the health of hosts was not kept", extra={"reason": str(problem), "hosts": len(changed)})
