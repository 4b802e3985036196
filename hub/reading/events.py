"""Events of a Subscription, read back from its log and from the changes that the log names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.domain.change import Interaction
from hub.domain.event import NotificationEvent
from hub.domain.subscription import Content, SubscriptionKey
from hub.errors import HubError
from hub.fhir.splice import with_meta
from hub.store.changes import Changes, Entry
from hub.store.event_log import EventLog, Reference
from hub.store.keys import Partition


def shown(entry: Entry) -> bytes:
    """The bytes of a version as the world sees them: as received, with meta completed (HOUSE decision 2)."""
    return entry.body and with_meta(entry.body, entry.hint, str(entry.version), entry.id.instant)


@dataclass(frozen=True, slots=True)
class EventReader:
    """Turns references of the event log into events, with the bytes that came in."""

    changes: Changes
    log: EventLog

    async def events(
        self, key: SubscriptionKey, first_number: int, references: Sequence[Reference], content: Content
    ) -> tuple[NotificationEvent, ...]:
        """The events numbered from ``first_number``; bodies only when ``content`` asks for them."""
        by_index: dict[int, list[tuple[int, Reference]]] = {}
        for number, reference in enumerate(references, first_number):
            by_index.setdefault(reference.partition_index, []).append((number, reference))
        found: list[NotificationEvent] = []
        for index, numbered in by_index.items():
            partition = Partition(key.tenant, key.base, index)
            entries = await self.changes.entries(partition, [(reference.change, "") for _, reference in numbered])
            for (number, reference), entry in zip(numbered, entries, strict=True):
                if entry is None:
                    raise HubError(f"the change {reference.change} of event {number} is no longer held")
                carried = content is Content.FULL_RESOURCE and entry.interaction is not Interaction.DELETE
                found.append(
                    NotificationEvent(
                        number=number,
                        timestamp=reference.change.instant,
                        type=entry.type,
                        id=entry.resource_id,
                        interaction=entry.interaction,
                        resource=shown(entry) if carried else b"",
                    )
                )
        return tuple(sorted(found, key=lambda event: event.number))
