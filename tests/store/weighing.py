"""How many bytes Redis holds for what: MEMORY USAGE of every key, by the kind of key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hub.store.client import Store

SCAN_COUNT = 1000
_KIND = re.compile(r"\{([^}]*)\}:([^:]+)")


@dataclass(frozen=True, slots=True)
class Weight:
    """``keys`` keys that take ``bytes`` together, with everything that Redis needs to keep them."""

    keys: int
    bytes: int


async def weigh(store: Store) -> dict[str, Weight]:
    """The weight of every kind of key: ``d:m`` for the records of all shards, ``P:chg`` for the streams, …

    Every element is looked at (SAMPLES 0): an estimate from five of them would be no measurement.
    """
    found: dict[str, Weight] = {}
    for kind, size in [(kind_of(key), await usage(store, key)) for key in await keys(store)]:
        before = found.get(kind, Weight(0, 0))
        found[kind] = Weight(before.keys + 1, before.bytes + size)
    return found


async def keys(store: Store) -> list[bytes]:
    cursor, found = 0, set()
    while True:
        ((cursor, page),) = await store.send(("SCAN", cursor, "COUNT", SCAN_COUNT))
        found |= set(page)
        if int(cursor) == 0:
            return sorted(found)


async def usage(store: Store, key: bytes) -> int:
    (size,) = await store.send(("MEMORY", "USAGE", key, "SAMPLES", 0))
    return int(size)


def kind_of(key: bytes) -> str:
    found = _KIND.match(key.decode())
    if not found:
        return ":".join(key.decode().split(":")[:2])
    tag, kind = found.groups()
    return f"{'P' if '|' in tag else tag if tag == 'reg' else 'd'}:{kind}"


def grown(before: Mapping[str, Weight], after: Mapping[str, Weight]) -> dict[str, int]:
    """By how many bytes each kind grew; kinds that did not are left out."""
    nothing = Weight(0, 0)
    all_of_them = {kind: weight.bytes - before.get(kind, nothing).bytes for kind, weight in after.items()}
    return {kind: size for kind, size in sorted(all_of_them.items()) if size}
