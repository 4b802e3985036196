"""Which ValueSets there are: the names that ACCEPT keeps of them (``lua/accept.lua``)."""

from __future__ import annotations

from typing import Any

from hub.store.client import Store
from hub.store.keys import VALUE_SETS, VALUE_SETS_FILLED
from hub.store.scripts import Command

SCAN_BATCH = 1000
_PLACE = "ValueSet/"


class ValueSetNames:
    """Names (``tenant|base|id``) of the living ValueSets of all bases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> set[str]:
        """One that was just deleted may be among them."""
        filled, members = await self._store.send(("EXISTS", VALUE_SETS_FILLED), ("SMEMBERS", VALUE_SETS))
        if not filled:
            await self._fill()
            (members,) = await self._store.send(("SMEMBERS", VALUE_SETS))
        return {member.decode() for member in members}

    async def _fill(self) -> None:
        """Once for each store: with those that were written before there were such names, deleted ones too."""
        cursor: Any = 0
        while True:
            call: Command = ("SCAN", cursor, "MATCH", f"{{*}}:r:{_PLACE}*", "COUNT", SCAN_BATCH)
            ((cursor, heads),) = await self._store.send(call)
            if heads:
                await self._store.send(("SADD", VALUE_SETS, *(_name_of(head.decode()) for head in heads)))
            if int(cursor) == 0:
                await self._store.send(("SET", VALUE_SETS_FILLED, "1"))
                return


def _name_of(head: str) -> str:
    """``{tenant|base|index}:r:ValueSet/id`` as ``tenant|base|id``."""
    partition, _, reference = head.partition(":r:")
    tenant, base, _ = partition.strip("{}").rsplit("|", 2)
    return f"{tenant}|{base}|{reference.removeprefix(_PLACE)}"
