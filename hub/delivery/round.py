"""One round for one Subscription: read, compose, send, judge. Writing the verdict is the worker's, in batches."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from hub.delivery.composing import classic_dispatch, compose, delivery_id, events_of, with_references
from hub.delivery.standing_in import StandingIn
from hub.delivery.turns import Turns
from hub.domain.delivery import Attempt, Dispatch, Duty, Outcome, OutcomeKind, RetryPolicy, Verdict, judge
from hub.domain.subscription import Channel, Subscription, SubscriptionKey
from hub.domain.trail import NO_TRAIL, Trail
from hub.domain.versions import FhirVersion
from hub.errors import HubError, Unavailable
from hub.fhir.dialects import dialect
from hub.reading.definitions import DefinitionCache
from hub.reading.events import EventReader
from hub.reading.signing import SigningSecrets
from hub.store.agenda import Hold, Settlement
from hub.store.event_log import write_dead_letter

log = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 4.0
"""An attempt ends this long before its lease may end; the script gives 5 s beyond the time-out (record.lua)."""
NOT_WELL = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses by which a host, not one endpoint on it, says that it cannot take more."""


class DeliveryChannel(Protocol):
    """Carries a dispatch to a subscriber. A failed delivery is an Outcome, never an exception."""

    async def deliver(
        self, channel: Channel, dispatch: Dispatch, *, delivery_id: str, deadline_seconds: float
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Round:
    """What every attempt needs; ``base_urls`` are (hub, source of record) by version."""

    definitions: DefinitionCache
    reader: EventReader
    channels: dict[str, DeliveryChannel]
    base_urls: dict[FhirVersion, tuple[str, str]]
    policy: RetryPolicy
    turns: Turns
    signing: SigningSecrets
    standing_in: StandingIn
    stopped: Callable[[SubscriptionKey], bool] = lambda _: False
    """Whether nothing may be sent to a Subscription because its numbers are in doubt (I24)."""
    jitter: Callable[[], float] = lambda: random.uniform(-1, 1)

    async def attempt(self, hold: Hold, since: float) -> Settlement | None:
        """Carry it out. None when there is nothing to write: the store is away or the lease too old to begin."""
        if self.stopped(SubscriptionKey.parse(hold.subscription)):
            return None
        try:
            hold, outcome, trail = await self._outcome(hold, since)
        except Unavailable as problem:
            log.warning("an attempt waits for the store", extra={"reason": str(problem)})
            self.standing_in.give_up(hold)
            return None
        if outcome is None:
            return None
        verdict = judge(hold.duty, hold.progress, outcome, self.policy, self.jitter())
        _log_attempt(hold, outcome, verdict, trail)
        dead_letter = _dead_letter(hold, outcome) if verdict.dead_number else ""
        return Settlement(hold, verdict, _remembered(hold, outcome, datetime.now(UTC)), dead_letter)

    async def _outcome(self, hold: Hold, since: float) -> tuple[Hold, Outcome | None, Trail]:
        try:
            subscription = await self.definitions.get(hold.subscription, hold.definition_version)
            async with self._turn(subscription):
                hold = await with_references(self.reader, hold)
                dispatch = await self._dispatch(hold, subscription)
                return hold, await self._send(hold, subscription, dispatch, since), dispatch.trail
        except Unavailable:
            raise
        except Exception as problem:  # a fault of ours must show as a failed attempt, not as a silent Subscription
            if not await self.definitions.is_current(hold.subscription, hold.definition_version):
                # what it was to be made of went while it was made, and its result would not be written (SETTLE's fence)
                told = {"subscription": hold.subscription, "reason": str(problem)}
                log.info("an attempt was void: the Subscription was deleted or written meanwhile", extra=told)
                return hold, None, NO_TRAIL
            log.exception("an attempt failed inside the hub", extra={"subscription": hold.subscription})
            detail = f"inside the hub: {type(problem).__name__}"
            return hold, Outcome(OutcomeKind.FAILED, error="no-response", detail=detail), NO_TRAIL

    def _turn(self, subscription: Subscription) -> AbstractAsyncContextManager[None]:
        """Who opened a socket waits for nobody: sockets share no host, and each has a buffer of its own."""
        if subscription.is_listened_to:
            return nullcontext()
        return self.turns.of(_host(subscription.channel))

    async def _send(self, hold: Hold, subscription: Subscription, dispatch: Dispatch, since: float) -> Outcome | None:
        channel = self.channels.get(subscription.channel.type)
        if channel is None:
            raise HubError(f"no channel of type {subscription.channel.type}")
        if not _is_in_time(since):  # only now: waiting and reading may have taken long
            return None
        if not self.standing_in.may_begin(hold, since):
            self.standing_in.give_up(hold)
            return None
        identity = dispatch.notification.bundle_id if dispatch.notification else delivery_id(hold)
        seconds = float(subscription.channel.timeout_seconds)
        target = subscription.channel
        with self.standing_in.attempt(hold):
            outcome = await channel.deliver(target, dispatch, delivery_id=identity, deadline_seconds=seconds)
        if not subscription.is_listened_to:
            self.turns.told(_host(subscription.channel), well=bool(outcome.status) and outcome.status not in NOT_WELL)
        return outcome

    async def _dispatch(self, hold: Hold, subscription: Subscription) -> Dispatch:
        events = await events_of(self.reader, hold, subscription.channel.content)
        # a socket passes over numbers that it was sent, but not over those that are asked for again
        numbers, listener = hold.progress.batch if hold.duty is Duty.EVENTS else range(0), hold.progress.listener
        trail = events[-1].trail if events else NO_TRAIL
        secrets = await self.signing.get(hold.subscription, hold.signing) if hold.signing else ()
        if subscription.is_classic:
            bare = classic_dispatch(hold.subscription, subscription, events)
            return replace(bare, numbers=numbers, listener=listener, trail=trail, signing_secrets=secrets)
        base = SubscriptionKey.parse(hold.subscription).base
        notification = compose(hold, subscription, events, datetime.now(UTC))
        body = dialect(base).write_notification(notification, *self.base_urls[base])
        return Dispatch(body, "", hold.subscription, notification, numbers, listener, trail, secrets)


def _host(channel: Channel) -> str:
    """Whose attempts wait for each other: a host's, or those of a channel whose endpoints name none (all mail)."""
    return _named_host(channel.endpoint) or channel.type


@lru_cache(maxsize=4096)  # the same endpoint with every attempt
def _named_host(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""


def _dead_letter(hold: Hold, outcome: Outcome) -> str:
    assert hold.references
    return write_dead_letter(hold.references[0], outcome.status, outcome.detail)


def _remembered(hold: Hold, outcome: Outcome, now: datetime) -> Attempt:
    return Attempt(now, hold.duty, hold.numbers, outcome.kind, outcome.status, outcome.error, outcome.duration_seconds)


def _is_in_time(since: float) -> bool:
    """Can the attempt still have its whole time-out? With less, a slow receiver would be called a dead one."""
    return time.monotonic() - since <= LEASE_MARGIN_SECONDS


def _log_attempt(hold: Hold, outcome: Outcome, verdict: Verdict, trail: Trail) -> None:
    numbers = [hold.numbers.start, hold.numbers[-1]] if hold.numbers else None
    log.log(
        logging.INFO if outcome.kind in (OutcomeKind.DELIVERED, OutcomeKind.UNHEARD) else logging.WARNING,
        "attempt",
        extra={
            "subscription": hold.subscription,
            "duty": str(hold.duty),
            "numbers": numbers,
            "outcome": str(outcome.kind),
            "http_status": outcome.status,
            "error": outcome.error,
            "seconds": round(outcome.duration_seconds, 4),
            "status": str(verdict.status),
            "next_attempt_in_seconds": round(verdict.delay.total_seconds(), 3),
            "correlation": trail.correlation or None,
            "traceparent": trail.traceparent or None,
        },
    )
