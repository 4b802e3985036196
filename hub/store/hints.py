"""Hints to the other processes that a partition has something new (publish and subscribe; nothing is kept).

Any process accepts changes of any partition; the one that evaluates it looks by itself twice a second, and at once when
it hears of it here.
"""

from __future__ import annotations

import logging

from hub.bell import Bell
from hub.errors import Unavailable
from hub.store.client import Store
from hub.store.keys import CHANGES_CHANNEL, Partition

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0


class Hints:
    """``tell`` never waits; what is told while a hint is on its way goes out with the next."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bell = Bell()
        self._news: set[str] = set()

    def tell(self, partition: Partition) -> None:
        self._news.add(str(partition))
        self._bell.ring()

    async def run(self) -> None:
        """Send hints until cancelled; what cannot be sent is left to the looking of the others."""
        while True:
            await self._bell.wait(IDLE_SECONDS)
            news, self._news = self._news, set()
            try:
                if news:
                    await self._store.send(*(("PUBLISH", CHANGES_CHANNEL, name) for name in sorted(news)))
            except Unavailable as problem:
                log.info("a hint was not sent", extra={"reason": str(problem)})
