"""How full the store is: changes are refused before it is, so that what was accepted can still be evaluated and sent.

Deliveries, reads and deletions of Subscriptions go on: they free memory, or take none.
"""

from __future__ import annotations

import asyncio
import logging

from hub.errors import Overloaded, Unavailable
from hub.store.agenda import Agenda
from hub.store.client import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_AFTER_SECONDS = 10


class Pressure:
    """``look`` asks the store, ``run`` does so every second; the others answer from what was told last.

    The limit of memory is Redis's ``maxmemory``, and without one the memory of its machine. Changes are refused from
    ``memory_percent`` of it on, new Subscriptions from half of the rest on; changes also from ``most_events`` on.
    """

    def __init__(self, store: Store, agenda: Agenda, *, memory_percent: int, most_events: int) -> None:
        self.memory_used_percent = 0.0
        self.events_waiting = 0
        self._store = store
        self._agenda = agenda
        self._memory_percent = memory_percent
        self._most_events = most_events

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Unavailable as problem:
                log.info("how full the store is could not be asked", extra={"reason": str(problem)})

    async def look(self) -> None:
        (told,) = await self._store.send(("INFO", "memory"))
        limit = int(told.get("maxmemory", 0)) or int(told.get("total_system_memory", 0))
        self.memory_used_percent = 100 * int(told.get("used_memory", 0)) / limit if limit else 0.0
        self.events_waiting = await self._agenda.waiting(range(self._store.layout.shards))

    def refuse_change(self) -> None:
        """Raises Overloaded when no change may be accepted now."""
        self._refuse(self._memory_percent, "changes")
        if self.events_waiting >= self._most_events:
            raise Overloaded(
                f"{self.events_waiting} events wait for delivery, the most that may is {self._most_events} "
                "(HUB_MAX_WAITING_EVENTS); send it again when receivers have taken some",
                RETRY_AFTER_SECONDS,
            )

    def refuse_subscription(self) -> None:
        """Raises Overloaded when no Subscription may be written now."""
        self._refuse((self._memory_percent + 100) / 2, "Subscriptions")

    def _refuse(self, percent: float, what: str) -> None:
        if self.memory_used_percent >= percent:
            raise Overloaded(
                f"Redis has used {self.memory_used_percent:.0f} % of its memory, and {what} are taken below "
                f"{percent:.0f} % (HUB_REDIS_MEMORY_PERCENT); send it again when events were delivered, or give Redis "
                "more memory",
                RETRY_AFTER_SECONDS,
            )
