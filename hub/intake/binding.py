"""Websocket binding tokens: issued to who may listen, redeemed once by a socket (S-162, S-188; HOUSE decision 11).

A token is 256 random bits. The store keeps its digest with what it stands for, until it is redeemed or expires.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, NotFound, Unauthorised, Unprocessable
from hub.intake.registry import Registry
from hub.reading.definitions import read_definition
from hub.security.tokens import OPERATOR
from hub.store.sockets import Permission, Sockets
from hub.store.subscriptions import Definition, Record, Subscriptions

MOST_SUBSCRIPTIONS = 500
"""Of one token, and so of one bind frame."""
MOST_LOOKED_THROUGH = 10_000
"""Of a base, for a token without ids: each is read from the store."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token in clear, for its one reader; ``expiration`` is when it can be redeemed no more."""

    token: str
    expiration: datetime
    subscriptions: tuple[SubscriptionKey, ...]


class BindingService:
    """Issues and redeems."""

    def __init__(self, registry: Registry, subscriptions: Subscriptions, sockets: Sockets, *, seconds: int) -> None:
        self._registry = registry
        self._subscriptions = subscriptions
        self._sockets = sockets
        self._seconds = seconds

    async def issue(self, principal: str, tenant: str, base: FhirVersion, ids: Sequence[str]) -> IssuedToken:
        """A token for these Subscriptions, or without ids for every one with a websocket that the caller owns.

        All or nothing (S-189): raises Malformed for what is not there, Unprocessable for what cannot be listened to.
        """
        if len(ids) > MOST_SUBSCRIPTIONS:
            raise _too_many()
        named = [SubscriptionKey(tenant, base, identity) for identity in dict.fromkeys(ids)]
        keys = await (self._named(principal, named) if named else self._owned(principal, tenant, base))
        token = secrets.token_urlsafe(32)
        expiration = datetime.now(UTC) + timedelta(seconds=self._seconds)
        permission = Permission(principal, tuple(map(str, keys)))
        await self._sockets.keep_token(digest(token), permission, self._seconds)
        return IssuedToken(token, expiration, tuple(keys))

    async def redeem(self, token: str) -> Permission:
        """What the token stands for; it is worth nothing afterwards. Raises Unauthorised."""
        permission = await self._sockets.take_token(digest(token))
        if permission is None:
            raise Unauthorised(
                "this token was used, has expired, or was never issued; ask for a new one", code="expired"
            )
        return permission

    async def classic(self, tenant: str, base: FhirVersion, identity: str) -> str:
        """The name of a classic Subscription, for a bind without a token. Raises NotFound."""
        key = SubscriptionKey(tenant, base, identity)
        (found,) = await self._look([key])
        if found is None or not found.subscription.is_classic or not found.subscription.is_listened_to:
            raise NotFound("there is no Subscription to a search with this id and a websocket")
        return str(key)

    async def _named(self, principal: str, keys: Sequence[SubscriptionKey]) -> list[SubscriptionKey]:
        for key, found in zip(keys, await self._look(keys), strict=True):
            if found is None or principal not in (found.owner, OPERATOR):
                raise Malformed(f"Subscription/{key.id} is not known here", code="not-found")
            if not found.subscription.is_listened_to:
                raise Malformed(f"Subscription/{key.id} is sent by {found.subscription.channel.type}, not by websocket")
            if not found.is_on:
                raise Unprocessable(f"Subscription/{key.id} is off; PUT it with the status requested first")
        return list(keys)

    async def _owned(self, principal: str, tenant: str, base: FhirVersion) -> list[SubscriptionKey]:
        await self._registry.refresh()
        everybody = [each.key for each in islice(self._registry.all_of(tenant, base), MOST_LOOKED_THROUGH + 1)]
        if len(everybody) > MOST_LOOKED_THROUGH:
            raise Malformed(
                "there are too many Subscriptions here to look through; name yours: id=…", code="too-costly"
            )
        own = [
            key
            for key, found in zip(everybody, await self._look(everybody), strict=True)
            if found and found.owner == principal and found.is_on and found.subscription.is_listened_to
        ]
        if not own:
            raise NotFound("there is no Subscription of yours with the channel type websocket that is not off")
        if len(own) > MOST_SUBSCRIPTIONS:
            raise _too_many()
        return own

    async def _look(self, keys: Sequence[SubscriptionKey]) -> list[_Found | None]:
        """What is stored of each; None when there is nothing, or no more."""
        records = await self._subscriptions.records([str(key) for key in keys])
        living = [
            (str(key), record.definition_version)
            for key, record in zip(keys, records, strict=True)
            if record is not None and record.status is not None
        ]
        definitions: dict[str, Definition] = {}
        for start in range(0, len(living), PAGE):
            page = living[start : start + PAGE]
            found = zip(page, await self._subscriptions.definitions(page), strict=True)
            definitions |= {name: definition for (name, _), definition in found if definition}
        return [_found(key, record, definitions.get(str(key))) for key, record in zip(keys, records, strict=True)]


@dataclass(frozen=True, slots=True)
class _Found:
    subscription: Subscription
    owner: str
    is_on: bool


def _found(key: SubscriptionKey, record: Record | None, definition: Definition | None) -> _Found | None:
    if record is None or definition is None:
        return None
    on = record.status not in (Status.OFF, Status.ENTERED_IN_ERROR)
    return _Found(read_definition(key.base, definition), definition.owner, on)


def _too_many() -> Malformed:
    return Malformed(f"a token binds at most {MOST_SUBSCRIPTIONS} Subscriptions; ask for several", code="too-costly")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
