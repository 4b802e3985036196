"""What is in a store, to compare it with what was in it before."""

from __future__ import annotations

from typing import Any

from hub.store.client import Store
from tests.store.weighing import keys

READ = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}
UNTIL = b"until"
"""The end of a lease: to renew it is what a repeat may do."""


async def snapshot(store: Store) -> dict[bytes, Any]:
    """Every key with its value; the ends of the leases of partitions are left out."""
    found = {}
    for key in await keys(store):
        (kind,) = await store.send(("TYPE", key))
        name, *rest = READ[kind if isinstance(kind, bytes) else kind.encode()]
        (value,) = await store.send((name, key, *rest))
        if name == "HGETALL":
            pairs = value.items() if isinstance(value, dict) else zip(value[::2], value[1::2], strict=True)
            value = {field: told for field, told in pairs if field != UNTIL}
        found[key] = value
    return found
