"""One at a time, over all processes of the hub: for the few decisions that look first and write then."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.errors import Overloaded
from hub.store.client import Store
from hub.store.keys import guard_key
from hub.store.scripts import script

HELD_AT_MOST_MILLISECONDS = 15_000
"""A holder that died gives way after this long; one that merely is slower than this is no longer protected."""
TRIES = 250
PAUSE_SECONDS = 0.02


class Guards:
    def __init__(self, store: Store) -> None:
        self._store = store

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Nobody else holds ``name`` inside the block. Raises Overloaded when others hold it for seconds."""
        key, token = guard_key(name), secrets.token_hex(8)
        for _ in range(TRIES):
            # GET tells who holds it: nobody did, or, when this was sent twice, it is our own token already.
            (holder,) = await self._store.send(("SET", key, token, "NX", "GET", "PX", HELD_AT_MOST_MILLISECONDS))
            if holder in (None, token.encode()):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise Overloaded("others are doing the same at this moment; send it again")
        try:
            yield
        finally:
            await self._store.send(script("release", [key], [token]))
