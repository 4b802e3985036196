"""Definitions of Subscriptions, read back."""

from __future__ import annotations

from collections import OrderedDict

from hub.domain.subscription import Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Gone, HubError, NotFound
from hub.fhir.dialects import dialect
from hub.fhir.json import read_kept_json
from hub.fhir.subscriptions import Limits
from hub.store.subscriptions import Definition, Record, Subscriptions

MOST_DEFINITIONS = 10_000
ACCEPTED = Limits(
    channel_types=frozenset(
        {
            "rest-hook",
            "email",
            "message",
            "websocket",
        }
    ),
    full_resource_by_mail=True,
    min_mail_heartbeat_seconds=1,
    max_timeout_seconds=86_400,
    min_heartbeat_seconds=1,
    max_heartbeat_seconds=10**9,
    max_count=10**6,
    was_checked=True,
)
"""Values were clamped when they were accepted: they hold as they stand, whatever today's limits are."""


def read_definition(base: FhirVersion, definition: Definition) -> Subscription:
    """The Subscription of a stored definition."""
    return dialect(base).read_subscription(read_kept_json(definition.resource), ACCEPTED)


async def living(subscriptions: Subscriptions, key: SubscriptionKey) -> tuple[Record, Definition]:
    """A Subscription as it is stored now. Raises NotFound, and Gone when it was deleted."""
    (record,) = await subscriptions.records([str(key)])
    if record is None:
        raise NotFound(f"Subscription/{key.id} is not known here")
    if record.status is None:
        raise Gone(f"Subscription/{key.id} was deleted")
    (definition,) = await subscriptions.definitions([(str(key), record.definition_version)])
    if definition is None:
        raise NotFound(f"Subscription/{key.id} has no definition")
    return record, definition


class DefinitionCache:
    """The definitions that deliveries need, each version read from the store once."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._cache: OrderedDict[tuple[str, int], Subscription] = OrderedDict()

    async def get(self, name: str, version: int) -> Subscription:
        found = self._cache.get((name, version))
        if found is not None:
            self._cache.move_to_end((name, version))
            return found
        (definition,) = await self._subscriptions.definitions([(name, version)])
        if definition is None:
            raise HubError(f"version {version} of {name} is not stored")
        subscription = read_definition(SubscriptionKey.parse(name).base, definition)
        self._cache[(name, version)] = subscription
        if len(self._cache) > MOST_DEFINITIONS:
            self._cache.popitem(last=False)
        return subscription

    async def is_current(self, name: str, version: int) -> bool:
        """Whether this is what the Subscription says now: not when it was deleted or written anew."""
        (record,) = await self._subscriptions.records([name])
        return record is not None and record.status is not None and record.definition_version == version
