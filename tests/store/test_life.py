"""Transitions are noted in the step that makes them; a pause holds everything in its place (rulings 16-20)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.delivery import Duty, OutcomeKind, RetryPolicy
from hub.domain.subscription import Status
from hub.domain.transition import NOT_PAUSED, Cause, Pause
from hub.security.tokens import DEVELOPER, OPERATOR
from hub.store.agenda import Hold
from hub.store.client import Store
from hub.store.life import BY_REQUEST, ENDPOINT, TOPIC, Life
from hub.store.status_codes import read_cause, write_cause
from tests.store.factories import Lab

AT_ONCE = RetryPolicy(initial=timedelta(milliseconds=1), error_after_failures=1)


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


@pytest.fixture
def life(store: Store) -> Life:
    return Life(store)


async def moves(lab: Lab, short: str = "a") -> list[tuple[str, str, str]]:
    found = await Life(lab.store).transitions(lab.name(short))
    assert [each.at for each in found] == sorted(each.at for each in found)
    return [(str(each.before or "-"), str(each.after), str(each.cause)) for each in found]


async def next_hold(lab: Lab) -> Hold:
    """The next one, however short the delay before it is."""
    while not (holds := await lab.claim()):
        pass
    return holds[0]


async def pause(lab: Lab, reason: int = BY_REQUEST, cause: Cause = Cause.PAUSED) -> bool | None:
    return await Life(lab.store).hold(lab.key("a"), reason, cause, paused=True)


async def resume(lab: Lab, reason: int = BY_REQUEST, cause: Cause = Cause.RESUMED) -> bool | None:
    return await Life(lab.store).hold(lab.key("a"), reason, cause, paused=False)


async def test_every_move_is_noted_with_its_cause(lab: Lab) -> None:
    await lab.put("a")
    await lab.settle(await next_hold(lab), OutcomeKind.FAILED)
    await lab.settle(await next_hold(lab))
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED, policy=AT_ONCE)
    await lab.settle(await next_hold(lab))
    (hold,) = (await lab.commit(lab.match(2, "a"))).holds
    await lab.settle(hold, OutcomeKind.GONE)
    await lab.put("a", None, Status.REQUESTED)
    assert await moves(lab) == [
        ("-", "requested", "client"),
        ("requested", "error", "handshake-failed"),
        ("error", "active", "handshake"),
        ("active", "error", "delivery-failed"),
        ("error", "active", "recovered"),
        ("active", "off", "endpoint-gone"),
        ("off", "requested", "client"),
    ]


async def test_every_move_that_a_write_makes_is_noted_s076(lab: Lab) -> None:
    """The rows of the table that are a client's or an operator's: create, error, off, requested, entered-in-error."""
    await lab.put("a")
    await lab.settle(await next_hold(lab), OutcomeKind.FAILED)
    for status in (Status.REQUESTED, Status.OFF, Status.REQUESTED, Status.ENTERED_IN_ERROR):
        await lab.put("a", None, status)
    assert await moves(lab) == [
        ("-", "requested", "client"),
        ("requested", "error", "handshake-failed"),
        ("error", "requested", "client"),
        ("requested", "off", "client"),
        ("off", "requested", "client"),
        ("requested", "entered-in-error", "client"),
    ]
    await lab.put("b", status=Status.ACTIVE)
    assert await moves(lab, "b") == [("-", "active", "client")]


async def test_a_move_names_whose_request_it_was_s076(lab: Lab, life: Life) -> None:
    """An attempt and the clock are nobody's."""
    await lab.activate("a")
    await life.hold(lab.key("a"), BY_REQUEST, Cause.PAUSED, paused=True, by="operator")
    found = await life.transitions(lab.name("a"))
    assert [(each.cause, each.by) for each in found] == [
        (Cause.CLIENT, ""), (Cause.HANDSHAKE, ""), (Cause.PAUSED, "operator"),
    ]  # fmt: skip
    assert found[-1].in_words == "it was paused, by operator"


async def test_the_end_is_noted(lab: Lab) -> None:
    await lab.put("a", end=datetime(2020, 1, 1, tzinfo=UTC))
    await lab.claim()
    assert (await moves(lab))[-1] == ("requested", "off", "end")


async def test_giving_up_is_noted(lab: Lab) -> None:
    await lab.activate("a")
    quick = RetryPolicy(initial=timedelta(milliseconds=1), error_after_failures=10**6)
    policy = replace(quick, off_after=timedelta(microseconds=1))
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED, policy=policy)
    await lab.settle(await next_hold(lab), OutcomeKind.FAILED, policy=policy)
    assert (await moves(lab))[-1] == ("active", "off", "given-up")


async def test_a_write_that_leaves_the_status_is_no_move(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, None)
    assert len(await moves(lab)) == 2


async def test_the_last_fifty_are_kept_and_of_a_deleted_one_the_deletion_alone(lab: Lab) -> None:
    await lab.activate("a")
    for _ in range(30):
        await lab.put("a", None, Status.OFF)
        await lab.put("a", None, Status.REQUESTED)
    found = await moves(lab)
    assert len(found) == 50 and found[-1] == ("off", "requested", "client")
    await lab.subscriptions.remove(lab.key("a"), None, by="operator")
    (gone,) = await Life(lab.store).transitions(lab.name("a"))
    assert (gone.before, gone.after, gone.cause, gone.by) == (Status.REQUESTED, None, Cause.CLIENT, "operator")
    await lab.put("a")
    again = await Life(lab.store).transitions(lab.name("a"))
    assert [(each.before, each.after) for each in again] == [(Status.REQUESTED, None), (None, Status.REQUESTED)]


def test_every_principal_there_is_has_a_place_and_another_is_not_told_as_nobody() -> None:
    for principal in (OPERATOR, DEVELOPER, ""):
        for cause in Cause:
            assert read_cause(write_cause(cause, principal)) == (cause, principal)
            assert write_cause(cause, principal) < 256
    assert read_cause(write_cause(Cause.PAUSED, "somebody")) == (Cause.PAUSED, "another")


async def test_a_pause_holds_events_in_order_and_numbers_go_on(lab: Lab) -> None:
    await lab.activate("a")
    assert await pause(lab) is True
    assert await pause(lab) is False, "it is paused already"
    committed = await lab.commit(*(lab.match(at, "a") for at in (1, 2, 3)))
    assert (committed.numbers, committed.holds) == ((1, 2, 3), ())
    assert await lab.claim() == []
    assert (await lab.record("a")).paused == Pause(by_request=True)
    assert await resume(lab) is True
    assert list((await next_hold(lab)).numbers) == [1, 2, 3]
    assert (await moves(lab))[-2:] == [("active", "active", "paused"), ("active", "active", "resumed")]


async def test_a_paused_subscription_is_not_even_shaken_hands_with(lab: Lab) -> None:
    await lab.put("a", heartbeat_seconds=1)
    await pause(lab)
    assert await lab.claim() == []
    await lab.put("a", None, Status.OFF)
    assert await lab.claim() == [], "nor is it told that it is off"


async def test_what_is_in_flight_when_it_is_paused_counts_and_nothing_follows(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.commit(lab.match(2, "a"))
    await pause(lab)
    assert await lab.settle(hold, again=True) is True
    assert (await lab.record("a")).cursor == 1
    assert await lab.claim() == []


async def test_its_end_comes_though_it_is_paused(lab: Lab) -> None:
    await lab.put("a", end=datetime(2020, 1, 1, tzinfo=UTC))
    await pause(lab)
    await lab.claim()
    assert (await lab.record("a")).status is Status.OFF


async def test_it_goes_on_only_when_no_reason_is_left(lab: Lab) -> None:
    await lab.activate("a")
    await pause(lab)
    await pause(lab, TOPIC, Cause.TOPIC_STOPPED)
    await pause(lab, ENDPOINT, Cause.ENDPOINT_STOPPED)
    await lab.commit(lab.match(1, "a"))
    for reason, cause in ((BY_REQUEST, Cause.RESUMED), (TOPIC, Cause.TOPIC_STARTED)):
        await resume(lab, reason, cause)
        assert await lab.claim() == []
    await resume(lab, ENDPOINT, Cause.ENDPOINT_STARTED)
    assert list((await next_hold(lab)).numbers) == [1]


async def test_the_time_of_a_pause_is_no_time_of_failure(lab: Lab) -> None:
    """HUB_OFF_AFTER_SECONDS counts from the resumption on, and the first attempt does not wait for its delay."""
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED, policy=RetryPolicy(initial=timedelta(hours=1)))
    await pause(lab)
    await resume(lab)
    again = await next_hold(lab)
    assert (again.progress.failures, again.duty) == (1, Duty.EVENTS)
    assert again.progress.failing_for < timedelta(seconds=30)


async def test_a_write_keeps_the_pause_and_takes_the_stops_that_it_is_told(lab: Lab) -> None:
    await lab.activate("a")
    await pause(lab)
    definition_version = (await lab.put("a", 1, None)).version
    assert definition_version == 2 and (await lab.record("a")).paused == Pause(by_request=True)
    assert (await lab.record("a")).paused != NOT_PAUSED


async def test_nobody_pauses_what_is_not_there(lab: Lab) -> None:
    assert await pause(lab) is None
    await lab.put("a")
    await lab.subscriptions.remove(lab.key("a"), None)
    assert await pause(lab) is None
