"""What a round does with a hold that it may not begin, and with one that the store did not let it read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.delivery.round import Round
from hub.delivery.turns import Turns
from hub.domain.delivery import Duty, Outcome, OutcomeKind, Progress, RetryPolicy
from hub.domain.subscription import Channel, Status, Subscription
from hub.domain.versions import FhirVersion
from hub.errors import Unavailable
from hub.store.agenda import Hold

HOLD = Hold("default|r5|s", Duty.HANDSHAKE, 7, 1, Progress(Status.REQUESTED, number=0, cursor=0))
SUBSCRIPTION = Subscription("http://example.org/topic", Channel("rest-hook", endpoint="http://127.0.0.1:1/hook"))


@dataclass
class Scene:
    """Everything that a round asks, and what it was told."""

    may: bool = True
    away: bool = False
    sent: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    given_up: list[Hold] = field(default_factory=list)

    def may_begin(self, hold: Hold, since: float) -> bool:
        return self.may

    def give_up(self, hold: Hold) -> None:
        self.given_up.append(hold)

    @contextmanager
    def attempt(self, hold: Hold) -> Iterator[None]:
        self.in_flight.append(hold.subscription)
        yield
        self.in_flight.remove(hold.subscription)

    async def get(self, subscription: str, version: int) -> Subscription:
        if self.away:
            raise Unavailable("away")
        return SUBSCRIPTION

    async def deliver(self, channel: Channel, dispatch: Any, *, delivery_id: str, deadline_seconds: float) -> Outcome:
        self.sent += self.in_flight
        return Outcome(OutcomeKind.DELIVERED, 200)

    def round(self) -> Round:
        urls = {FhirVersion.R5: ("http://hub.example", "http://ehr.example")}
        me: Any = self
        return Round(me, me, {"rest-hook": me}, urls, RetryPolicy(), Turns(4, 4), me, me)


async def test_what_may_be_begun_is_in_flight_while_it_is_sent() -> None:
    scene = Scene()
    assert await scene.round().attempt(HOLD, time.monotonic()) is not None
    assert scene.sent == [HOLD.subscription] and scene.in_flight == [] and scene.given_up == []


async def test_what_others_may_have_taken_over_is_not_sent_but_given_up() -> None:
    scene = Scene(may=False)
    assert await scene.round().attempt(HOLD, time.monotonic()) is None
    assert scene.sent == [] and scene.given_up == [HOLD]


async def test_what_the_store_did_not_let_it_read_is_given_up() -> None:
    scene = Scene(away=True)
    assert await scene.round().attempt(HOLD, time.monotonic()) is None
    assert scene.sent == [] and scene.given_up == [HOLD]
