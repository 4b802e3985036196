"""Who refers to a resource: sets that the evaluator keeps for the parameters that topics name (ruling 21).

| key | type | holds |
|---|---|---|
| ``{P}:v:Provenance:target:Encounter/1`` | set | ids of the Provenances that name the Encounter |
| ``{P}:filled`` | set | the directives whose index was filled from what was held when a topic first named them |

All of them lie in partition 0 of their (tenant, base): they are read by target, whichever partition the source is in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from hub.domain.versions import FhirVersion
from hub.store.client import Store
from hub.store.keys import Partition
from hub.store.scripts import Command

SCAN_BATCH = 500


class ReverseIndex:
    """The sets of one (tenant, base)."""

    def __init__(self, store: Store, tenant: str, base: FhirVersion) -> None:
        self._store = store
        self._home = Partition(tenant, base, 0)

    async def change(self, name: str, source_id: str, gone: Iterable[str], come: Iterable[str]) -> None:
        """``source_id`` does not refer to ``gone`` any more, and to ``come`` now. Safe to repeat."""
        calls: list[Command] = [("SREM", self._key(name, target), source_id) for target in gone]
        calls += [("SADD", self._key(name, target), source_id) for target in come]
        if calls:
            await self._store.send(*calls)

    async def referring(self, wanted: Sequence[tuple[str, str]]) -> list[list[str]]:
        """For each (directive, target): the ids of what refers to it, in order."""
        if not wanted:
            return []
        replies = await self._store.send(*(("SMEMBERS", self._key(name, target)) for name, target in wanted))
        return [sorted(member.decode() for member in reply) for reply in replies]

    async def filled(self) -> set[str]:
        (reply,) = await self._store.send(("SMEMBERS", self._home.key("filled")))
        return {member.decode() for member in reply}

    async def mark_filled(self, name: str) -> None:
        await self._store.send(("SADD", self._home.key("filled"), name))

    async def held(self, partition: Partition, resource_type: str) -> AsyncIterator[list[str]]:
        """The ids of all resources of a type that ever lived in a partition, in batches."""
        cursor: Any = 0
        prefix = partition.key("r", f"{resource_type}/")
        pattern = prefix.replace("[", r"\[")
        while True:
            ((cursor, keys),) = await self._store.send(("SCAN", cursor, "MATCH", f"{pattern}*", "COUNT", SCAN_BATCH))
            if keys:
                yield [key.decode().removeprefix(prefix) for key in keys]
            if int(cursor) == 0:
                return

    def _key(self, name: str, target: str) -> str:
        return self._home.key("v", name, target)
