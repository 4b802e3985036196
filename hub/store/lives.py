"""Who lives: each process gives a sign in every shard, and what a dead one held can be taken over there.

A sign is compared with the one seen before and with nothing else: whose clock is right does not matter. Taking over
checks in the same step that no other sign was given, so a process that comes back is either too late or not dead.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.store.agenda import SCAN_BATCH
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import Argument, script

TAKEN_OVER = "x"


@dataclass(frozen=True, slots=True)
class Signs:
    """What one shard answered: the newest sign of each process, and whether the others took this one for dead."""

    own: str
    of_others: Mapping[str, str]
    thought_dead: bool


class Lives:
    """``owner`` is the name of this process over restarts, the one that holds carry."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._life = secrets.token_hex(8)
        self._count = itertools.count(1)
        self.shards = range(store.layout.shards)

    async def tell(self, begun: Mapping[str, int], *, first: bool) -> list[Signs]:
        """Give a sign in every shard, in its order. ``begun``: Subscription -> fence of each attempt in flight.

        ``first``: this life begins; nothing of it can have been taken over. Raises Unavailable.
        """
        at: list[list[Argument]] = [[] for _ in self.shards]
        for name, fence in begun.items():
            at[self._store.layout.shard_of(name)].append(f"{fence} {name}")
        sign = f"{self._life}-{next(self._count)}"
        keys = [[shard_key(shard, "live"), shard_key(shard, "begun")] for shard in self.shards]
        calls = [script("live", keys[shard], [self._owner, int(first), sign, *at[shard]]) for shard in self.shards]
        return [self._signs(reply) for reply in await self._store.send(*calls)]

    def _signs(self, reply: Sequence[bytes | int]) -> Signs:
        words = [word.decode() for word in reply[1:] if isinstance(word, bytes)]
        signs = dict(zip(words[::2], words[1::2], strict=True))
        return Signs(signs.pop(self._owner), signs, bool(reply[0]))

    async def inherit(self, shard: int, owner: str, sign: str) -> int:
        """Free what this process held in the shard without having begun; how many. 0 when it lives after all.

        Raises Unavailable.
        """
        keys = [shard_key(shard, part) for part in ("due", "m", "live", "begun")]
        freed: int = 0
        place = 0
        while True:
            arguments: list[Argument] = [owner, sign, place, SCAN_BATCH]
            ((looked_at, found),) = await self._store.send(script("inherit", keys, arguments))
            freed += found
            if looked_at < SCAN_BATCH:
                return freed
            place += looked_at - found  # what was freed is no longer due in the future
            sign = sign if sign.startswith(TAKEN_OVER) else TAKEN_OVER + sign

    async def leave(self, begun: Mapping[str, int]) -> None:
        """An orderly end: what is not begun is free at once, and nobody looks for a sign. Raises Unavailable."""
        for shard, signs in enumerate(await self.tell(begun, first=True)):
            await self.inherit(shard, self._owner, signs.own)
