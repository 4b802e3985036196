"""Answering for the past: where a Subscription stands ($status) and which events it had ($events)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hub.domain.event import Notification, NotificationEvent, NotificationType, SubscriptionError
from hub.domain.subscription import Content, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import NotFound, Unprocessable
from hub.fhir.operations import EventsParameters, StatusParameters
from hub.intake.registry import Registry
from hub.reading.definitions import living, read_definition
from hub.reading.events import EventReader
from hub.store.subscriptions import Record, Subscriptions

MOST_EVENTS = 1000
"""Of one $events answer; the lowest come first, and a link ``next`` says where to go on (S-187)."""


@dataclass(frozen=True, slots=True)
class ProgressService:
    """Reads only; everything it tells is the state at the moment of asking."""

    registry: Registry
    subscriptions: Subscriptions
    reader: EventReader

    async def status(self, key: SubscriptionKey) -> Notification:
        """``$status`` of one Subscription (S-183). Raises NotFound, Gone."""
        await self.registry.refresh()
        record, subscription = await self._living(key)
        return self._status(key, record, subscription.topic, subscription.channel.content)

    async def statuses(self, tenant: str, base: FhirVersion, wanted: StatusParameters) -> list[Notification]:
        """``$status`` on the type: ids and statuses are each OR, between them AND; unknown ids are left out (S-185)."""
        await self.registry.refresh()
        chosen = [
            registered
            for registered in self.registry.all_of(tenant, base)
            if not wanted.ids or registered.key.id in wanted.ids
        ]
        records = await self.subscriptions.records([str(registered.key) for registered in chosen])
        return [
            self._status(registered.key, record, registered.topic, registered.content)
            for registered, record in sorted(zip(chosen, records, strict=True), key=lambda pair: pair[0].key.id)
            if record and record.status and (not wanted.statuses or record.status in wanted.statuses)
        ]

    async def events(self, key: SubscriptionKey, wanted: EventsParameters) -> Notification:
        """``$events`` (S-186, S-187): what is held of the asked range, at most at the subscribed content level.

        Numbers that went with retention are named in ``errors``. Raises NotFound when R5 would have to show no event,
        Unprocessable for a classic Subscription (S-017).
        """
        record, subscription = await self._living(key)
        if subscription.is_classic:
            raise Unprocessable(
                "the events of a classic Subscription have no numbers to ask by; subscribe to a topic for $events",
                expression="Subscription.criteria",
                code="not-supported",
            )
        numbers = _asked(wanted, record)
        content = _at_most(wanted.content, subscription.channel.content)
        events: tuple[NotificationEvent, ...] = ()
        if numbers:
            ((first, references),) = await self.reader.log.read([(str(key), numbers)])
            events = await self.reader.events(key, first, references, content)
        if not events and key.base is FhirVersion.R5:
            held = f"{record.first_kept} to {record.number}" if record.number >= record.first_kept else "none"
            raise NotFound(f"no event of Subscription/{key.id} in the asked range is held; held: {held}")
        answer = _query(
            NotificationType.QUERY_EVENT, key, record, subscription.topic, content=content, events=events,
            errors=_gone_with_retention(wanted, record),
        )  # fmt: skip
        return replace(answer, next_page=_next_page(wanted, record, numbers))

    def _status(self, key: SubscriptionKey, record: Record, topic: str, content: Content) -> Notification:
        broken = self.registry.broken.get(str(key))
        errors = [SubscriptionError("error-response", broken)] if broken else []
        if record.error:
            errors.append(record.error)
        return _query(NotificationType.QUERY_STATUS, key, record, topic, content=content, errors=errors)

    async def _living(self, key: SubscriptionKey) -> tuple[Record, Subscription]:
        record, definition = await living(self.subscriptions, key)
        return record, read_definition(key.base, definition)


def _query(
    kind: NotificationType,
    key: SubscriptionKey,
    record: Record,
    topic: str,
    *,
    content: Content,
    events: tuple[NotificationEvent, ...] = (),
    errors: Sequence[SubscriptionError] = (),
) -> Notification:
    assert record.status is not None
    return Notification(
        type=kind,
        subscription_id=key.id,
        topic=topic,
        status=record.status,
        content=content,
        events_since_start=record.number,
        bundle_id=str(uuid.uuid4()),
        status_id=str(uuid.uuid4()),
        timestamp=datetime.now(UTC),
        events=events,
        errors=tuple(errors),
    )


def _asked(wanted: EventsParameters, record: Record) -> range:
    first = max(wanted.since or 1, record.first_kept)
    last = min(record.number if wanted.until is None else wanted.until, record.number)
    return range(first, min(last, first + MOST_EVENTS - 1) + 1)


def _next_page(wanted: EventsParameters, record: Record, numbers: range) -> str:
    """The query that goes on after ``numbers``, "" when nothing is left. What comes later is another question."""
    last = record.number if wanted.until is None else min(wanted.until, record.number)
    if not numbers or numbers[-1] >= last:
        return ""
    content = f"&content={wanted.content}" if wanted.content else ""
    return f"eventsSinceNumber={numbers.stop}&eventsUntilNumber={last}{content}"


def _gone_with_retention(wanted: EventsParameters, record: Record) -> list[SubscriptionError]:
    first = wanted.since or 1
    last = min(record.first_kept - 1, record.number if wanted.until is None else wanted.until)
    if first > last:
        return []
    return [SubscriptionError("out-of-window", f"events {first} to {last} are past their retention and no longer held")]


def _at_most(wanted: Content | None, subscribed: Content) -> Content:
    """The content asked for is a hint; it never raises the level that was subscribed (S-187)."""
    return subscribed if wanted is None or wanted.level > subscribed.level else wanted
