"""What to say: a held Subscription and its events become one notification."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from datetime import datetime

from hub.domain.delivery import Dispatch, Duty
from hub.domain.event import Notification, NotificationEvent, NotificationType
from hub.domain.subscription import Content, Subscription, SubscriptionKey
from hub.errors import HubError
from hub.reading.events import EventReader
from hub.store.agenda import Hold

NAMESPACE = uuid.UUID("6f6b2d5e-0a0f-5d53-9a39-6b1c0e5d7c11")
"""Of every id that is derived here, so that a retry carries the ids of the first attempt (ruling 18)."""
_TYPES = {
    Duty.HANDSHAKE: NotificationType.HANDSHAKE,
    Duty.EVENTS: NotificationType.EVENT_NOTIFICATION,
    Duty.AGAIN: NotificationType.EVENT_NOTIFICATION,
    Duty.HEARTBEAT: NotificationType.HEARTBEAT,
    Duty.FAREWELL: NotificationType.HEARTBEAT,
}


async def with_references(reader: EventReader, hold: Hold) -> Hold:
    """The hold with the references of its batch, read from the log when they did not come along."""
    numbers = hold.numbers
    if not numbers or hold.references is not None:
        return hold
    first = numbers.start
    if hold.duty is Duty.AGAIN and hold.progress.again_letters:
        references = await reader.log.dead_letter_references(hold.subscription, numbers)
    else:
        ((first, references),) = await reader.log.read([(hold.subscription, numbers)])
    if first != numbers.start or len(references) != len(numbers):
        raise HubError(f"the log of {hold.subscription} does not hold events {numbers}")
    return replace(hold, references=tuple(references))


async def events_of(reader: EventReader, hold: Hold, content: Content) -> tuple[NotificationEvent, ...]:
    """The events of the batch that a hold (with its references) is for; none for handshakes and heartbeats."""
    if not hold.references:
        return ()
    key = SubscriptionKey.parse(hold.subscription)
    return await reader.events(key, hold.numbers.start, hold.references, content)


def compose(
    hold: Hold, subscription: Subscription, events: tuple[NotificationEvent, ...], now: datetime
) -> Notification:
    """The notification of one attempt. Ids, events and timestamp of a batch are equal on every retry (ruling 18): it is
    of the moment at which its last change was accepted, whenever that happened. Its status is the present one (S-112).
    """
    identity = delivery_id(hold)
    last = hold.numbers[-1] if hold.numbers else hold.progress.number
    return Notification(
        type=_TYPES[hold.duty],
        subscription_id=SubscriptionKey.parse(hold.subscription).id,
        topic=subscription.topic,
        status=hold.progress.status,
        content=subscription.channel.content,
        events_since_start=last,
        bundle_id=identity,
        status_id=derived_id(identity),
        timestamp=hold.references[-1].change.instant if hold.references else now,
        events=events,
    )


def classic_dispatch(name: str, subscription: Subscription, events: tuple[NotificationEvent, ...]) -> Dispatch:
    """What a classic Subscription is sent for its one event: the resource as an update, or nothing at all when it
    asked for no payload (S-012).
    """
    (event,) = events
    if subscription.channel.content is not Content.FULL_RESOURCE:
        return Dispatch(subscription=name)
    if not event.resource:
        raise HubError(f"the version of {event.reference} that is to be sent is no longer held")
    return Dispatch(event.resource, event.reference, name)


def delivery_id(hold: Hold) -> str:
    """Equal for every attempt at the same notification: a batch by its numbers, a handshake by its definition.

    What is sent again has another one than at first: a receiver that drops repeats would drop what it asked for.
    """
    match hold.duty:
        case Duty.EVENTS:
            what = f"{hold.progress.batch.start}-{hold.progress.frozen_upto}"
        case Duty.AGAIN:
            what = f"again {hold.progress.again_asked_at} {hold.numbers.start}-{hold.numbers[-1]}"
        case Duty.HANDSHAKE:
            what = "handshake"
        case _:
            what = f"{hold.duty}-{hold.fence}"
    return derived_id(f"{hold.subscription}|{hold.definition_version}|{what}")


def derived_id(of: str) -> str:
    """The same UUID for the same words: ``uuid.uuid5``, written out because every notification needs several."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + of.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
