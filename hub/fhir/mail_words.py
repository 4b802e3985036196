"""What a mail says: a notification in words that a person can read, never more than its content level (S-171, S-174).

    empty           number and moment of each event, and where to ask
    id-only         also the topic and the references to what it is about
    full-resource   also what was done, and a few lines of each resource

Subject lines hold the Subscription and the numbers, never a topic or a resource: they are read over shoulders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.domain.change import Interaction
from hub.domain.event import Notification, NotificationEvent, NotificationType
from hub.domain.subscription import Content, Status
from hub.fhir.json import read_json
from hub.fhir.summaries import Row, one_line, summary

MOST_EVENTS = 50
MOST_CONTEXT = 10
"""What a person reads; the attachment and $events have the rest."""

_DONE = {
    Interaction.CREATE: "created",
    Interaction.UPDATE: "updated",
    Interaction.DELETE: "deleted",
}
_NUMBERS = (
    "The events of a Subscription are numbered 1, 2, 3 and so on. When a number is missing, ask the hub for it. "
    "When one comes twice, it is the same event."
)
_LAST = "this is its last mail unless it is switched on again"
_MACHINE = "This mail was written by a machine; nobody reads answers to it."


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and what stands under it in two columns."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class MailWords:
    """A mail before it has a form: each text is one paragraph."""

    subject: str
    opening: tuple[str, ...]
    sections: tuple[Section, ...] = ()
    closing: tuple[str, ...] = ()


def notification_words(
    notification: Notification, base_url: str, source_base_url: str, attachment: str = ""
) -> MailWords:
    """The words of a notification. URLs as in its Bundle; ``attachment`` is the name of an attached file."""
    subscription = f"Subscription {notification.subscription_id}"
    url = f"{base_url.rstrip('/')}/Subscription/{notification.subscription_id}/$events"
    closing = [f"The notification itself is attached as {attachment}."] if attachment else []
    if notification.type is not NotificationType.EVENT_NOTIFICATION:
        subject, sentence = _without_events(notification, subscription)
        if notification.events_since_start:  # the use of such a mail: somebody sees that one is missing
            closing.append(f"When a number up to it is missing, ask the hub: {url}")
        return MailWords(subject, (sentence,), (), (*closing, _MACHINE))
    events = notification.events
    first, last = events[0].number, events[-1].number
    one = first == last
    numbers = f"number {first}" if one else f"numbers {first} to {last}"
    opening = [f"{subscription} has {len(events)} new {'event' if one else 'events'}: {numbers}."]
    if notification.content is not Content.EMPTY:
        opening.append(f"Topic: {one_line(notification.topic)}")
    sections = tuple(_section(event, notification.content, source_base_url) for event in events[:MOST_EVENTS])
    if len(events) > MOST_EVENTS:
        closing.append(f"Only the first {MOST_EVENTS} of {len(events)} events are told here.")
    if notification.content is Content.EMPTY:
        closing.append("This mail does not say what it is about; the hub tells those who may know.")
    closing.append(f"Ask the hub: {url}?eventsSinceNumber={first}&eventsUntilNumber={last}")
    subject = f"{subscription} event {first}" if one else f"{subscription} events {first}-{last}"
    return MailWords(subject, tuple(opening), sections, (*closing, _NUMBERS, _MACHINE))


def classic_words(
    subscription_id: str,
    subject: str,
    reference: str,
    resource: bytes,
    base_url: str,
    source_base_url: str,
    attachment: str = "",
) -> MailWords:
    """The words for one match of a classic Subscription (S-015): which resource, only when it travels along.

    ``subject`` is what its client wrote, "" for the hub's own.
    """
    subscription = f"Subscription {subscription_id}"
    opening = f"A resource was created or updated that matches the criteria of {subscription}."
    sections: tuple[Section, ...] = ()
    url = f"{base_url.rstrip('/')}/Subscription/{subscription_id}"
    closing = [f"This mail does not say which one. The criteria tell what to search for: {url}"]
    if resource:
        about = ("About", f"{source_base_url.rstrip('/')}/{reference}")
        sections = (Section(reference, (about, *summary(read_json(resource)))),)
        closing = [f"The resource itself is attached as {attachment}."] if attachment else []
    return MailWords(subject or f"{subscription}: a match", (opening,), sections, (*closing, _MACHINE))


def _without_events(notification: Notification, subscription: str) -> tuple[str, str]:
    """Subject and opening of a handshake, a heartbeat, or the last word of a Subscription that is off (ruling 20)."""
    count = notification.events_since_start
    so_far = f"Its last event has number {count}." if count else "There has been no event yet."
    if notification.type is NotificationType.HANDSHAKE:
        return f"{subscription} begins", f"{subscription} begins to send its events to this address. {so_far}"
    if notification.status is Status.OFF:
        return f"{subscription} is off", f"{subscription} is switched off; {_LAST}. {so_far}"
    if notification.status is Status.ERROR:
        return f"{subscription} heartbeat", f"{subscription} is in error; the hub goes on trying. {so_far}"
    return f"{subscription} heartbeat", f"{subscription} is at work; there is nothing new. {so_far}"


def _section(event: NotificationEvent, content: Content, source_base_url: str) -> Section:
    heading = f"Event {event.number}"
    rows: list[Row] = [("Happened", _moment(event.timestamp))]
    if content is not Content.EMPTY:
        rows += _references(event, source_base_url.rstrip("/"))
    if content is Content.FULL_RESOURCE:
        if event.interaction in _DONE:
            heading += f": {event.type} {_DONE[event.interaction]}"
        if event.resource:
            rows += summary(read_json(event.resource))
    return Section(heading, tuple(rows))


def _references(event: NotificationEvent, source_base_url: str) -> list[Row]:
    rows: list[Row] = [("About", f"{source_base_url}/{event.reference}")]
    rows += [("With", f"{source_base_url}/{one.reference}") for one in event.additional[:MOST_CONTEXT]]
    if len(event.additional) > MOST_CONTEXT:
        rows.append(("With", f"{len(event.additional) - MOST_CONTEXT} more"))
    return rows


def _moment(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def attachment_name(events: Sequence[NotificationEvent], extension: str = "json") -> str:
    """``notification-4-6.json`` for events 4 to 6; ``notification.json`` when there are none (S-174)."""
    numbers = f"-{events[0].number}-{events[-1].number}" if events else ""
    return f"notification{numbers}.{extension}"
