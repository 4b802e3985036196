"""The kill switch: nothing is sent about one topic, or to one endpoint, until it is started again.

Nothing is lost by it: Subscriptions concerned are held back like paused ones, their events are numbered and wait. The
list is written first, then every Subscription there is; a write of a Subscription reads the list before and after. So
whichever comes first, none is overlooked, and a call that broke off is simply repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from hub.domain.subscription import Channel, Subscription, SubscriptionKey
from hub.domain.transition import Cause, Pause
from hub.errors import Unprocessable
from hub.reading.definitions import read_definition
from hub.store.life import ENDPOINT, TOPIC, Life
from hub.store.stops import Stop, Stops
from hub.store.subscriptions import Definition, Subscriptions

MOST_STOPS = 1000
"""Of a hub, more or less (two at once may both come in): every write of a Subscription is compared with all."""

_CAUSES = {
    (True, True): Cause.TOPIC_STOPPED,
    (True, False): Cause.TOPIC_STARTED,
    (False, True): Cause.ENDPOINT_STOPPED,
    (False, False): Cause.ENDPOINT_STARTED,
}
"""By (is it a topic, is it stopped)."""


@dataclass(frozen=True, slots=True)
class StopService:
    """``due`` is called when something may be sent again."""

    stops: Stops
    subscriptions: Subscriptions
    life: Life
    due: Callable[[], None]

    async def all(self) -> dict[Stop, datetime]:
        """Every stop with the instant since which it stands."""
        return await self.stops.all()

    async def change(self, stop: Stop, principal: str, *, stopped: bool) -> int:
        """Stop or start; how many Subscriptions are held back, or let go, by this. Repeating it does no harm.

        ``principal`` asks for it, which is noted in their transitions. Raises Unprocessable for too many stops.
        """
        if stopped:
            await self._refuse_too_many(stop)
            await self.stops.add(stop)
        else:
            await self.stops.remove(stop)
        concerned = 0
        async for names in self.subscriptions.names():
            concerned += await self._change(names, stop, principal, stopped=stopped)
            await asyncio.sleep(0)  # others of this process have their turn
        self.due()
        return concerned

    async def _refuse_too_many(self, stop: Stop) -> None:
        found = await self.stops.all()
        if stop not in found and len(found) >= MOST_STOPS:
            raise Unprocessable(
                f"{len(found)} topics and endpoints are stopped, which is the most there may be: start one of them, "
                "pause Subscriptions one by one ($pause), or stop the hub",
                code="too-costly",
            )

    async def standing(self, key: SubscriptionKey, subscription: Subscription) -> Pause:
        """What of a Subscription is stopped now."""
        found = await self.stops.all()
        return Pause(
            topic_stopped=any(stop.is_topic and concerns(stop, key, subscription) for stop in found),
            endpoint_stopped=any(not stop.is_topic and concerns(stop, key, subscription) for stop in found),
        )

    async def reconcile(self, key: SubscriptionKey, subscription: Subscription, written: Pause) -> None:
        """After a write with what stood before it: take in what was stopped or started meanwhile."""
        now = await self.standing(key, subscription)
        if now.topic_stopped is not written.topic_stopped:
            cause = _CAUSES[True, now.topic_stopped]
            await self.life.hold(key, TOPIC, cause, paused=now.topic_stopped)
        if now.endpoint_stopped is not written.endpoint_stopped:
            cause = _CAUSES[False, now.endpoint_stopped]
            await self.life.hold(key, ENDPOINT, cause, paused=now.endpoint_stopped)

    async def _change(self, names: Sequence[str], stop: Stop, principal: str, *, stopped: bool) -> int:
        records = await self.subscriptions.records(names)
        living = [
            (name, record.definition_version)
            for name, record in zip(names, records, strict=True)
            if record and record.status is not None
        ]
        definitions = await self.subscriptions.definitions(living)
        reason, cause = TOPIC if stop.is_topic else ENDPOINT, _CAUSES[stop.is_topic, stopped]
        concerned = 0
        for (name, _), definition in zip(living, definitions, strict=True):
            key = SubscriptionKey.parse(name)
            if definition is not None and _defines(definition, key, stop):
                await self.life.hold(key, reason, cause, paused=stopped, by=principal)
                concerned += 1
        return concerned


def concerns(stop: Stop, key: SubscriptionKey, subscription: Subscription) -> bool:
    """Whether a stop holds this Subscription back."""
    if stop.tenant != key.tenant:
        return False
    if stop.is_topic:
        return stop.base == key.base and subscription.topic.partition("|")[0] == stop.name
    return host_of(subscription.channel) == stop.name


def host_of(channel: Channel) -> str:
    """Whom a channel reaches: the host of its URL, the domain of a mail address, "" for sockets; in lower case."""
    if channel.type == "email":
        return channel.endpoint.partition("?")[0].rpartition("@")[2].lower()
    return (urlsplit(channel.endpoint).hostname or "").lower()


def _defines(definition: Definition, key: SubscriptionKey, stop: Stop) -> bool:
    """``concerns``, without reading the definitions that cannot be concerned."""
    return stop.name in definition.resource.lower() + definition.resource and concerns(
        stop, key, read_definition(key.base, definition)
    )
