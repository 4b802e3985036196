"""Which hosts answered well when they were last called; kept so that a restart does not make all of them strangers."""

from __future__ import annotations

from collections.abc import Mapping

from hub.store.client import Store
from hub.store.scripts import Argument, Command

HOSTS_KEY = "hub:hosts"
MOST_HOSTS = 10_000


class Hosts:
    """One sorted set for all processes; the newest MOST_HOSTS stay. Nothing but speed depends on it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def proven(self) -> list[str]:
        (reply,) = await self._store.send(("ZRANGE", HOSTS_KEY, 0, -1))
        return [name.decode() for name in reply]

    async def note(self, changed: Mapping[str, bool]) -> None:
        """Hosts that became proven (True) or unproven."""
        now = await self._store.clock_milliseconds()
        add: list[Argument] = [part for name, well in changed.items() if well for part in (now, name)]
        remove = [name for name, well in changed.items() if not well]
        calls: list[Command] = [("ZREMRANGEBYRANK", HOSTS_KEY, 0, -MOST_HOSTS - 1)]
        calls += [("ZADD", HOSTS_KEY, *add)] if add else []
        calls += [("ZREM", HOSTS_KEY, *remove)] if remove else []
        await self._store.send(*calls)
