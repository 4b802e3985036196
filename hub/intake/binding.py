"""Websocket binding tokens: issued to who may listen, redeemed once by a socket (S-162, S-188; HOUSE decision 11).

A token is 256 random bits. The store keeps its digest with what it stands for, until it is redeemed or expires.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, NotFound, Unauthorised, Unprocessable
from hub.intake.registry import Registered, Registry
from hub.security.tokens import OPERATOR
from hub.store.sockets import Permission, Sockets
from hub.store.subscriptions import Subscriptions

MOST_SUBSCRIPTIONS = 500
"""Of one token, and so of one bind frame."""


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
        await self._registry.refresh()
        chosen = self._named(principal, tenant, base, ids) if ids else self._owned(principal, tenant, base)
        if len(chosen) > MOST_SUBSCRIPTIONS:
            raise Malformed(
                f"a token binds at most {MOST_SUBSCRIPTIONS} Subscriptions; ask for several", code="too-costly"
            )
        keys = tuple([each.key for each in chosen if await self._is_on(each.key, named=bool(ids))])
        if not keys:
            raise NotFound("there is no Subscription of yours with the channel type websocket that is not off")
        token = secrets.token_urlsafe(32)
        expiration = datetime.now(UTC) + timedelta(seconds=self._seconds)
        permission = Permission(principal, tuple(map(str, keys)))
        await self._sockets.keep_token(digest(token), permission, self._seconds)
        return IssuedToken(token, expiration, keys)

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
        await self._registry.refresh()
        key = SubscriptionKey(tenant, base, identity)
        found = self._registry.known(str(key))
        if found is None or not found.subscription.is_classic or not found.subscription.is_listened_to:
            raise NotFound("there is no Subscription to a search with this id and a websocket")
        return str(key)

    def _named(self, principal: str, tenant: str, base: FhirVersion, ids: Sequence[str]) -> list[Registered]:
        return [self._one(principal, SubscriptionKey(tenant, base, identity)) for identity in dict.fromkeys(ids)]

    def _one(self, principal: str, key: SubscriptionKey) -> Registered:
        found = self._registry.known(str(key))
        if found is None or not _may_listen(principal, found):
            raise Malformed(f"Subscription/{key.id} is not known here", code="not-found")
        if not found.subscription.is_listened_to:
            raise Malformed(f"Subscription/{key.id} is sent by {found.subscription.channel.type}, not by websocket")
        return found

    def _owned(self, principal: str, tenant: str, base: FhirVersion) -> list[Registered]:
        return [
            each
            for each in self._registry.all_of(tenant, base)
            if each.subscription.is_listened_to and each.definition.owner == principal
        ]

    async def _is_on(self, key: SubscriptionKey, *, named: bool) -> bool:
        (record,) = await self._subscriptions.records([str(key)])
        on = record is not None and record.status not in (None, Status.OFF, Status.ENTERED_IN_ERROR)
        if named and not on:
            raise Unprocessable(f"Subscription/{key.id} is off; PUT it with the status requested first")
        return on


def _may_listen(principal: str, registered: Registered) -> bool:
    return principal in (registered.definition.owner, OPERATOR)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
