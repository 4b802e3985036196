"""Events of a Subscription, read back from its log and from the changes that the log names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.domain.change import ChangeId, Interaction
from hub.domain.event import AdditionalContext, NotificationEvent
from hub.domain.subscription import Content, SubscriptionKey
from hub.errors import HubError
from hub.fhir.splice import with_meta
from hub.store.changes import NO_PREVIOUS, Changes, Entry
from hub.store.event_log import EventLog, IncludedReference, Reference
from hub.store.keys import Partition

PAGE = 500
"""References of a log that are read at once."""


def shown(entry: Entry) -> bytes:
    """The bytes of a version as the world sees them: as received, with meta completed (HOUSE decision 2)."""
    of_event = entry.interaction is Interaction.EVENT and entry.previous != NO_PREVIOUS
    stored = ChangeId.parse(entry.previous) if of_event else entry.id  # an event changes nothing: the version is older
    return entry.body and with_meta(entry.body, entry.hint, str(entry.version), stored.instant)


@dataclass(frozen=True, slots=True)
class EventReader:
    """Turns references of the event log into events, with the bytes that came in."""

    changes: Changes
    log: EventLog

    async def events(
        self, key: SubscriptionKey, first_number: int, references: Sequence[Reference], content: Content
    ) -> tuple[NotificationEvent, ...]:
        """The events numbered from ``first_number``; bodies only when ``content`` asks for them."""
        foci = await self._entries(key, [(one.partition_index, one.change, "") for one in references])
        included = [] if content is Content.EMPTY else [one for each in references for one in each.included]
        context = await self._context(key, included) if included else {}
        return tuple(
            _event(number, reference, focus, context, content)
            for number, (reference, focus) in enumerate(zip(references, foci, strict=True), first_number)
        )

    async def number_of(
        self, key: SubscriptionKey, held: range, partition_index: int, change: ChangeId
    ) -> tuple[int, Reference] | None:
        """The event that ``change`` became, among the numbers ``held``; None when there is none.

        A log rises within each partition, and numbers within the log: the nearest is found by halving when all its
        events are of one partition, else by looking at each.
        """
        low, high = held.start, held.stop
        while high - low > PAGE:
            middle = (low + high) // 2
            ((_, references),) = await self.log.read([(str(key), range(middle, middle + 1))])
            if not references or references[0].partition_index != partition_index:
                break
            low, high = (middle, high) if references[0].change <= change else (low, middle)
        for start in range(low, high, PAGE):
            ((first, references),) = await self.log.read([(str(key), range(start, min(start + PAGE, high)))])
            for number, reference in enumerate(references, first):
                if (reference.partition_index, reference.change) == (partition_index, change):
                    return number, reference
        return None

    async def _context(
        self, key: SubscriptionKey, included: Sequence[IncludedReference]
    ) -> dict[IncludedReference, Entry | None]:
        entries = await self._entries(key, [(one.partition_index, one.change, one.resource) for one in included])
        return dict(zip(included, entries, strict=True))

    async def _entries(self, key: SubscriptionKey, wanted: Sequence[tuple[int, ChangeId, str]]) -> list[Entry | None]:
        if len({index for index, _, _ in wanted}) == 1:
            partition = Partition(key.tenant, key.base, wanted[0][0])
            return await self.changes.entries(partition, [each[1:] for each in wanted])
        found: dict[int, Entry | None] = {}
        by_index: dict[int, list[int]] = {}
        for place, (index, _, _) in enumerate(wanted):
            by_index.setdefault(index, []).append(place)
        for index, places in by_index.items():
            partition = Partition(key.tenant, key.base, index)
            entries = await self.changes.entries(partition, [wanted[place][1:] for place in places])
            found.update(zip(places, entries, strict=True))
        return [found[place] for place in range(len(wanted))]


def _event(
    number: int,
    reference: Reference,
    focus: Entry | None,
    context: Mapping[IncludedReference, Entry | None],
    content: Content,
) -> NotificationEvent:
    if focus is None:
        raise HubError(f"the change {reference.change} of event {number} is no longer held")
    whole = content is Content.FULL_RESOURCE
    present = [entry for one in reference.included if (entry := context.get(one))]  # a missing include is left out
    return NotificationEvent(
        number=number,
        timestamp=focus.occasion.when or reference.change.instant,
        type=focus.type,
        id=focus.resource_id,
        interaction=focus.interaction,
        resource=shown(focus) if whole and focus.interaction is not Interaction.DELETE else b"",
        additional=tuple(
            AdditionalContext(entry.type, entry.resource_id, shown(entry) if whole else b"") for entry in present
        ),
        trail=focus.trail,
    )
