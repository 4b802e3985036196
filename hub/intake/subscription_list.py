"""All living Subscriptions of a base, as a search looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hub.domain.subscription import SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import NotFound
from hub.fhir.dialects import dialect
from hub.fhir.json import read_json
from hub.intake.registry import Registry
from hub.intake.subscriptions import ShownSubscription, SubscriptionService, completed
from hub.store.subscriptions import Definition, Record, Subscriptions

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class SubscriptionList:
    """The Subscriptions of one base at the moment it was made, by id."""

    service: SubscriptionService
    found: Mapping[str, tuple[SubscriptionKey, Record, Definition]]

    def searched(self) -> Iterator[dict[str, Any]]:
        """Each with id, meta and live status, header values masked; not to be changed."""
        return (_searched(*each) for each in self.found.values())

    def show(self, identity: str) -> ShownSubscription:
        """One of them as it is read."""
        if identity not in self.found:
            raise NotFound(f"Subscription/{identity} is not known here")
        key, record, definition = self.found[identity]
        return self.service.show(key, record.definition_version, definition, record)


async def list_subscriptions(
    tenant: str, base: FhirVersion, service: SubscriptionService, registry: Registry, subscriptions: Subscriptions
) -> SubscriptionList:
    """What there is now, also what another process wrote."""
    await registry.refresh()
    keys = [registered.key for registered in registry.all_of(tenant, base)]
    records = await subscriptions.records([str(key) for key in keys])
    living = [(key, record) for key, record in zip(keys, records, strict=True) if record and record.status]
    definitions = await registry.definitions_of([(str(key), record.definition_version) for key, record in living])
    return SubscriptionList(
        service,
        {
            key.id: (key, record, definition)
            for (key, record), definition in zip(living, definitions, strict=True)
            if definition
        },
    )


def _searched(key: SubscriptionKey, record: Record, definition: Definition) -> dict[str, Any]:
    masked = _masked(key.base, definition.resource)
    live = masked if record.status is None else masked | {"status": record.status.value}
    return completed(key, record.definition_version, definition, live)


@lru_cache(maxsize=MOST_REMEMBERED)
def _masked(base: FhirVersion, text: str) -> dict[str, Any]:
    """A definition with its header values masked: read once, searched often."""
    return dialect(base).mask_headers(read_json(text.encode()))
