"""The secrets that the notifications of a Subscription are signed with (SECURITY C4).

The record of the Subscription has a generation number, which every change of its secrets raises; so whoever holds it
for an attempt knows, without asking, whether the secrets that it remembers are still the ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import script

MOST_SECRETS = 4
"""Of one Subscription at a time: every notification carries a signature of each."""


class SignCode(StrEnum):
    OK = "OK"
    ABSENT = "ABSENT"
    TOO_MANY = "TOO_MANY"


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One secret, and until when it signs; None: until there is a newer one."""

    secret: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """``overlap_until``: the secrets before this one sign as well until then; None when there were none."""

    code: SignCode
    overlap_until: datetime | None = None


def signing_key(shard: int, subscription: str) -> str:
    return shard_key(shard, "k", subscription)


class SigningStore:
    """Gives and takes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, subscription: str, secret: str, overlap: timedelta) -> Signed:
        """From now on ``secret`` signs, and those before it for ``overlap`` longer."""
        return await self._sign(subscription, secret, overlap)

    async def stop(self, subscription: str) -> Signed:
        """Forget every secret; nothing is signed any more."""
        return await self._sign(subscription, "", timedelta(0))

    async def secrets(self, subscription: str) -> Sequence[SigningSecret]:
        """All that may sign, the newest first."""
        (reply,) = await self._store.send(("HGETALL", self._key(subscription)))
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        found = [SigningSecret(secret.decode(), _instant(int(until))) for secret, until in pairs]
        return sorted(found, key=lambda each: each.until or datetime.max.replace(tzinfo=UTC), reverse=True)

    async def _sign(self, subscription: str, secret: str, overlap: timedelta) -> Signed:
        shard = self._store.layout.shard_of(subscription)
        keys = [shard_key(shard, "m"), signing_key(shard, subscription)]
        milliseconds = int(overlap.total_seconds() * 1000)
        (reply,) = await self._store.send(script("sign", keys, [subscription, secret, milliseconds, MOST_SECRETS]))
        return Signed(SignCode(reply[0].decode()), _instant(reply[1]) if len(reply) > 1 else None)

    def _key(self, subscription: str) -> str:
        return signing_key(self._store.layout.shard_of(subscription), subscription)


def _instant(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
