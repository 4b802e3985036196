"""What the hub must remember of its own secrets: only digests."""

from __future__ import annotations

from hub.store.client import Store

TOKEN_KEY = "hub:token"


class Secrets:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def token_digest(self, fresh: str) -> tuple[str, bool]:
        """(the digest that counts, whether it is ``fresh``): the first start's token stays until it is replaced."""
        made, kept = await self._store.send(("SET", TOKEN_KEY, fresh, "NX"), ("GET", TOKEN_KEY))
        return kept.decode(), made is not None
