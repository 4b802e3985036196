"""Signing of notifications, for the Subscriptions that ask for it (SECURITY C4).

A secret is made here, told once, and never shown again. Who asks again gets a new one; the one before goes on to sign
for a day beside it, so that a receiver can change over without refusing anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.domain.subscription import SubscriptionKey
from hub.errors import NotFound, Unprocessable
from hub.reading.definitions import DefinitionCache
from hub.security.signatures import fresh_signing_secret
from hub.security.tokens import OPERATOR
from hub.store.signing import MOST_SECRETS, SignCode, Signed, SigningStore
from hub.store.subscriptions import Subscriptions

OVERLAP = timedelta(hours=24)
SIGNED_CHANNELS = ("rest-hook", "message")


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A secret in clear, for its one reader; ``overlap_until``: those before it sign as well until then."""

    secret: str = field(repr=False)
    overlap_until: datetime | None = None


class SigningService:
    """Issues secrets and takes them back."""

    def __init__(self, subscriptions: Subscriptions, definitions: DefinitionCache, store: SigningStore) -> None:
        self._subscriptions = subscriptions
        self._definitions = definitions
        self._store = store

    async def issue(self, principal: str, key: SubscriptionKey) -> IssuedSecret:
        """A fresh secret, by which everything is signed from the next attempt on.

        Raises NotFound, and Unprocessable for a channel that has no headers or after too many calls in a day.
        """
        await self._check(principal, key)
        secret = fresh_signing_secret()
        signed = await self._store.add(str(key), secret, OVERLAP)
        _refuse(signed, key)
        return IssuedSecret(secret, signed.overlap_until)

    async def stop(self, principal: str, key: SubscriptionKey) -> None:
        """Sign nothing more and forget every secret. Raises NotFound."""
        await self._check(principal, key)
        _refuse(await self._store.stop(str(key)), key)

    async def _check(self, principal: str, key: SubscriptionKey) -> None:
        name = str(key)
        (record,) = await self._subscriptions.records([name])
        if record is None or record.status is None:
            raise _unknown(key)
        (definition,) = await self._subscriptions.definitions([(name, record.definition_version)])
        if definition is None or principal not in (definition.owner, OPERATOR):
            raise _unknown(key)
        channel = (await self._definitions.get(name, record.definition_version)).channel
        if channel.type not in SIGNED_CHANNELS:
            raise Unprocessable(
                f"the channel {channel.type} has no headers to sign in; {' and '.join(SIGNED_CHANNELS)} have",
                code="not-supported",
            )


def _refuse(signed: Signed, key: SubscriptionKey) -> None:
    if signed.code is SignCode.ABSENT:
        raise _unknown(key)
    if signed.code is SignCode.TOO_MANY:
        raise Unprocessable(
            f"{MOST_SECRETS} secrets sign already; wait until the oldest ends, or forget all of them with stop=true",
            code="throttled",
        )


def _unknown(key: SubscriptionKey) -> NotFound:
    return NotFound(f"Subscription/{key.id} is not known here")
