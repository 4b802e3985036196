"""The repair of a store that went backwards: nothing that was given away before is given again (I7, I24)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from hub.domain.change import ChangeId
from hub.domain.subscription import SubscriptionKey
from hub.store.client import Store
from hub.store.event_log import log_key
from hub.store.keys import BACKWARDS, Partition, shard_key
from hub.store.scripts import Argument, script
from hub.store.subscriptions import Subscriptions
from hub.store.witness import Backwards, read_partition

MOST_PER_CALL = 64


@dataclass(frozen=True, slots=True)
class Repaired:
    """``skipped`` Subscriptions go on with higher numbers; ``waiting`` ones must first be rid of what waits."""

    skipped: int
    dropped_events: int
    waiting: tuple[str, ...]


class Repair:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscriptions = Subscriptions(store)

    async def backwards(self) -> dict[Partition, Backwards]:
        """What stands still."""
        (told,) = await self._store.send(("HGETALL", BACKWARDS))
        pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
        return {read_partition(name.decode()): Backwards.read(raw) for name, raw in pairs}

    async def run(self, partition: Partition, found: Backwards, *, skip: int, drop: bool) -> Repaired:
        """Repair one partition; it goes on when nothing is left waiting, else what waits is sent first."""
        await self._move_change_ids(partition, ChangeId.parse(found.known))
        done, dropped, waiting = 0, 0, []
        async for names in self._names(partition):
            for name, result in zip(names, await self._skip(names, skip, drop=drop), strict=True):
                if result < 0:
                    waiting.append(name)
                else:
                    done, dropped = done + 1, dropped + result
        if waiting:
            await self._store.send(("HSET", BACKWARDS, str(partition), replace(found, delivers=True).write()))
        else:
            await self._store.send(("HDEL", BACKWARDS, str(partition)))
        return Repaired(done, dropped, tuple(waiting))

    async def _move_change_ids(self, partition: Partition, known: ChangeId) -> None:
        """The next change gets an id beyond all that were given, whatever the clock says."""
        stream = partition.key("chg")
        (last,) = await self._store.send(("HGET", partition.key("own"), "last"))
        (exists,) = await self._store.send(("EXISTS", stream))
        if exists and (not last or ChangeId.parse(last.decode()) < known):
            await self._store.send(("XSETID", stream, str(ChangeId(known.milliseconds + 1, 0))))

    async def _names(self, partition: Partition) -> AsyncIterator[list[str]]:
        async for found in self._subscriptions.names():
            names = []
            for name in found:
                key = SubscriptionKey.parse(name)
                if (key.tenant, key.base) == (partition.tenant, partition.base):
                    names.append(name)
            by_shard: dict[int, list[str]] = {}
            for name in names:
                by_shard.setdefault(self._store.layout.shard_of(name), []).append(name)
            for members in by_shard.values():
                for start in range(0, len(members), MOST_PER_CALL):
                    yield members[start : start + MOST_PER_CALL]

    async def _skip(self, names: list[str], skip: int, *, drop: bool) -> list[int]:
        shard = self._store.layout.shard_of(names[0])
        keys = [shard_key(shard, "due"), shard_key(shard, "m"), *(log_key(shard, name) for name in names)]
        read = [record.number if record else 0 for record in await self._subscriptions.records(names)]
        each: list[Argument] = [part for pair in zip(names, read, strict=True) for part in pair]
        (reply,) = await self._store.send(script("skip", keys, [skip, int(drop), *each]))
        return [int(result) for result in reply]
