"""COMMIT, CLAIM, SETTLE, PUT, TRIM on a real Redis: what random faults do not find (STORE §3, REDIS corrections)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.delivery import Duty, OutcomeKind, RetryPolicy
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.store.agenda import Agenda, CommitCode, Hold
from hub.store.attempts import Attempts
from hub.store.client import Store
from hub.store.conditional_write import WriteCode
from hub.store.event_log import EventLog
from tests.store.factories import Lab, attempted


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


def held(result: Hold | bool) -> Hold:
    assert isinstance(result, Hold)
    return result


async def test_numbers_run_on_inside_a_batch_and_an_idle_subscription_is_held_once(lab: Lab) -> None:
    await lab.activate("a", "b")
    batch = [lab.match(1, "a"), lab.match(1, "b"), lab.match(2, "a"), lab.match(2, "nobody")]
    committed = await lab.commit(*batch)
    assert (committed.code, committed.decided, committed.numbers) == (CommitCode.OK, 4, (1, 1, 2, -1))
    assert {hold.subscription: list(hold.progress.batch) for hold in committed.holds} == {
        lab.name("a"): [1, 2],
        lab.name("b"): [1],
    }


async def test_what_a_commit_gives_to_hold_brings_its_events_along(lab: Lab, store: Store) -> None:
    """Nobody need read the log for what was numbered in the same call; what they are is what the log says."""
    await lab.activate("a", "b", max_count=5)
    batch = [lab.match(1, "a"), lab.match(1, "b"), lab.match(2, "a")]
    for hold in (await lab.commit(*batch)).holds:
        ((first, references),) = await EventLog(store).read([(hold.subscription, hold.numbers)])
        assert (first, tuple(references)) == (1, hold.references)


async def test_a_repeated_commit_numbers_nothing_again(lab: Lab) -> None:
    await lab.activate("a", "b", "c")
    batch = [lab.match(1, "a"), lab.match(1, "b"), lab.match(2, "a")]
    await lab.commit(*batch)
    assert (await lab.commit(*batch)).numbers == (0, 0, 0)
    half_new = await lab.commit(batch[2], lab.match(3, "c"))
    assert half_new.numbers == (0, 1)
    assert (await lab.record("a")).number == 2 == await lab.log_length("a")


async def test_an_evaluator_that_lost_its_partition_changes_nothing(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), epoch=2)
    late = await lab.commit(lab.match(2, "a"), epoch=1)
    assert late.code is CommitCode.FENCED
    assert (await lab.record("a")).number == 1


async def test_a_changed_definition_stops_the_commit_there_and_what_came_before_stands(lab: Lab) -> None:
    await lab.activate("a", "b", "c")
    await lab.put("b", 1, None)
    batch = [lab.match(4, "a"), lab.match(4, "b"), lab.match(4, "c")]
    stopped = await lab.commit(*batch)
    assert (stopped.code, stopped.decided, stopped.numbers) == (CommitCode.STALE, 1, (1,))
    again = await lab.commit(lab.match(4, "a"), lab.match(4, "b", 2), lab.match(4, "c"))
    assert (again.code, again.numbers) == (CommitCode.OK, (0, 1, 1))


async def test_a_chunk_that_overtakes_a_stale_stop_would_lose_the_rest(lab: Lab) -> None:
    """Why at most one COMMIT may be in flight per (partition, shard): the mark is a prefix mark."""
    await lab.activate("x1", "x2", "x3")
    await lab.put("x1", 1, None)
    assert (await lab.commit(lab.match(20, "x1"), lab.match(20, "x2"))).code is CommitCode.STALE
    await lab.commit(lab.match(20, "x3"))
    assert (await lab.commit(lab.match(20, "x1", 2), lab.match(20, "x2"))).numbers == (0, 0)


async def test_subscriptions_of_one_change_are_ordered_by_bytes_not_by_the_servers_locale(lab: Lab) -> None:
    names = ("Zed", "abe", "a-b", "aB")
    await lab.activate(*names)
    assert (await lab.commit(*(lab.match(11, name) for name in names))).numbers == (1, 1, 1, 1)
    assert (await lab.commit(*(lab.match(11, name) for name in names))).numbers == (0, 0, 0, 0)


async def test_while_it_is_held_nobody_else_gets_it_and_new_events_only_add_up(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"))
    more = await lab.commit(lab.match(2, "a"))
    assert (more.numbers, more.holds) == ((2,), ())
    assert await lab.claim() == []


async def test_a_delivery_moves_the_cursor_and_goes_on_with_what_came_meanwhile(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.commit(lab.match(2, "a"), lab.match(3, "a"))
    following = held(await lab.settle(hold, again=True))
    assert list(following.progress.batch) == [2, 3]
    assert following.references and [reference.change.milliseconds for reference in following.references] == [2, 3]
    assert await lab.settle(following, again=True) is True
    record = await lab.record("a")
    assert (record.cursor, record.number, record.status) == (3, 3, Status.ACTIVE)


async def test_a_settlement_repeated_or_late_moves_nothing(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    assert await lab.settle(hold) is True
    assert await lab.settle(hold) is False
    await lab.commit(lab.match(2, "a"))
    assert await lab.settle(hold) is False
    assert (await lab.record("a")).cursor == 1


async def test_when_a_lease_runs_out_another_holds_it_and_the_first_is_void(lab: Lab) -> None:
    await lab.activate("a")
    (first,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.lease_ends_now("a")
    (second,) = await lab.claim()
    assert second.fence > first.fence and second.progress.batch == first.progress.batch
    assert await lab.settle(first) is False
    assert (await lab.record("a")).cursor == 0
    assert await lab.settle(second) is True
    assert (await lab.record("a")).cursor == 1


async def test_a_cursor_never_passes_what_exists(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(replace(hold, progress=replace(hold.progress, frozen_upto=99)))
    assert (await lab.record("a")).cursor == 1


async def test_a_batch_is_frozen_at_its_first_attempt_and_repeated_identically(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"), lab.match(2, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED)
    await lab.commit(lab.match(3, "a"))
    await asyncio.sleep(0.01)
    (retry,) = await lab.claim()
    assert list(retry.progress.batch) == [1, 2]
    following = held(await lab.settle(retry, again=True))
    assert list(following.progress.batch) == [3]


async def test_a_refused_batch_is_tried_one_by_one_and_the_refused_event_is_kept_in_sight(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(*(lab.match(at, "a") for at in (1, 2, 3)))).holds
    single = held(await lab.settle(hold, OutcomeKind.REFUSED, again=True))
    assert list(single.progress.batch) == [1]
    single = held(await lab.settle(single, again=True))
    assert list(single.progress.batch) == [2]
    single = held(await lab.settle(single, OutcomeKind.REFUSED, again=True))
    assert list(single.progress.batch) == [3]
    assert await lab.settle(single, again=True) is True
    record = await lab.record("a")
    assert (record.status, record.cursor, record.refused) == (Status.ERROR, 3, 1)
    assert record.error and "dead letters" in record.error.text
    await lab.put("a", 1, Status.REQUESTED)
    assert (await lab.record("a")).refused == 0


async def test_an_error_goes_on_counting_and_heals_when_the_backlog_is_out(lab: Lab) -> None:
    policy = RetryPolicy(initial=timedelta(milliseconds=1), error_after_failures=2)
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED, policy=policy)
    await asyncio.sleep(0.01)
    (hold,) = await lab.claim()
    await lab.settle(hold, OutcomeKind.FAILED, policy=policy)
    assert (await lab.record("a")).status is Status.ERROR
    committed = await lab.commit(lab.match(2, "a"))
    assert (committed.numbers, committed.holds) == ((2,), ())
    await asyncio.sleep(0.01)
    (hold,) = await lab.claim()
    following = held(await lab.settle(hold, again=True))
    assert (await lab.record("a")).status is Status.ERROR
    await lab.settle(following)
    assert ((await lab.record("a")).status, (await lab.record("a")).error) == (Status.ACTIVE, None)


async def test_off_numbers_nothing_and_requested_goes_on_after_the_cursor(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), hold=False)
    await lab.put("a", 1, Status.OFF)
    (farewell,) = await lab.claim()
    assert farewell.duty is Duty.FAREWELL
    assert await lab.settle(farewell, OutcomeKind.FAILED) is True
    assert await lab.claim() == []
    assert (await lab.commit(lab.match(2, "a", 2))).numbers == (-1,)
    await lab.put("a", 2, Status.REQUESTED)
    (handshake,) = await lab.claim()
    assert handshake.duty is Duty.HANDSHAKE
    waiting = held(await lab.settle(handshake, again=True))
    assert list(waiting.progress.batch) == [1]


async def test_the_last_attempts_are_remembered_and_go_with_the_subscription(lab: Lab, store: Store) -> None:
    attempts, a_moment = Attempts(store), timedelta(milliseconds=1)
    at_once = RetryPolicy(initial=a_moment, longest=a_moment)
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), lab.match(2, "a"), hold=False)
    for _ in range(25):
        (hold,) = await lab.claim()
        await lab.settle(hold, OutcomeKind.FAILED, policy=at_once)
        await asyncio.sleep(0.005)
    (hold,) = await lab.claim()
    await lab.settle(hold)
    found = await attempts.of(lab.name("a"))
    assert len(found) == 20
    assert [each.outcome for each in found[-2:]] == [OutcomeKind.FAILED, OutcomeKind.DELIVERED]
    assert found[-1] == attempted(hold)
    await lab.subscriptions.remove(SubscriptionKey("default", FhirVersion.R5, "a"), None)
    assert await attempts.of(lab.name("a")) == []


async def test_a_void_attempt_is_not_remembered(lab: Lab, store: Store) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    before = await Attempts(store).of(lab.name("a"))
    await lab.put("a", 1, Status.OFF)
    assert await lab.settle(hold) is False
    assert await Attempts(store).of(lab.name("a")) == before


CLASSIC = {"criteria": "Observation?code=1", "max_count": 1}


async def test_a_classic_subscription_is_due_for_events_only_s017(lab: Lab) -> None:
    await lab.put("a", 0, Status.ACTIVE, **CLASSIC)
    assert await lab.claim() == []
    await lab.commit(lab.match(1, "a"), hold=False)
    (events,) = await lab.claim()
    assert (events.duty, events.progress.classic, events.progress.verified) == (Duty.EVENTS, True, True)
    await lab.settle(events)
    await lab.put("a", 1, Status.OFF, **CLASSIC)
    assert await lab.claim() == []


async def test_a_classic_subscription_that_ends_hears_no_last_word(lab: Lab) -> None:
    await lab.put("a", 0, Status.ACTIVE, end=datetime.now(UTC) + timedelta(milliseconds=20), **CLASSIC)
    await asyncio.sleep(0.03)
    assert await lab.claim() == []
    assert (await lab.record("a")).status is Status.OFF


async def test_a_classic_subscription_asked_for_again_is_forgiven_at_once(lab: Lab) -> None:
    await lab.put("a", 0, Status.ACTIVE, **CLASSIC)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED, policy=RetryPolicy(error_after_failures=1))
    assert await lab.claim() == []
    await lab.put("a", 1, Status.ACTIVE, **CLASSIC)
    (again,) = await lab.claim()
    assert (again.progress.failures, list(again.progress.batch)) == (0, [1])


async def test_switched_off_in_flight_the_attempt_is_void(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.put("a", 1, Status.OFF)
    assert await lab.settle(hold) is False


async def test_no_event_goes_out_before_the_handshake_succeeded(lab: Lab) -> None:
    await lab.put("a")
    assert (await lab.commit(lab.match(1, "a"))).holds == ()
    (hold,) = await lab.claim()
    assert hold.duty is Duty.HANDSHAKE
    await lab.settle(hold, OutcomeKind.FAILED)
    assert (await lab.record("a")).status is Status.ERROR
    await asyncio.sleep(0.01)
    (hold,) = await lab.claim()
    assert hold.duty is Duty.HANDSHAKE
    assert list(held(await lab.settle(hold, again=True)).progress.batch) == [1]


async def test_a_new_endpoint_is_shaken_hands_with_before_what_waits_goes_there(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), hold=False)
    await lab.put("a", 1, Status.REQUESTED, anew=True)
    (hold,) = await lab.claim()
    assert hold.duty is Duty.HANDSHAKE and hold.progress.number == 1


async def test_a_heartbeat_is_due_after_silence_and_not_while_events_are_pending(lab: Lab) -> None:
    await lab.activate("a", heartbeat_seconds=1)
    due = await lab.agenda.next_due_milliseconds([0])
    assert due and 0 < due - await lab.store.clock_milliseconds() <= 900
    await lab.commit(lab.match(1, "a"), hold=False)
    due = await lab.agenda.next_due_milliseconds([0])
    assert due is not None and due <= await lab.store.clock_milliseconds()
    (hold,) = await lab.claim()
    assert hold.duty is Duty.EVENTS
    await lab.settle(hold)
    await asyncio.sleep(0.95)
    (hold,) = await lab.claim()
    assert hold.duty is Duty.HEARTBEAT
    assert await lab.settle(hold) is True
    assert (await lab.record("a")).cursor == 1


async def test_at_its_end_a_subscription_is_off_with_one_farewell(lab: Lab) -> None:
    await lab.activate("a", end=datetime.now(UTC) + timedelta(milliseconds=200))
    await asyncio.sleep(0.25)
    (hold,) = await lab.claim()
    assert (hold.duty, hold.progress.status) == (Duty.FAREWELL, Status.OFF)
    await lab.settle(hold)
    assert await lab.claim() == []


async def test_numbers_go_on_after_a_trim_which_never_passes_the_cursor(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(*(lab.match(at, "a") for at in (1, 2, 3)))).holds
    assert await lab.log.trim(lab.name("a"), 10**6) == 0
    await lab.settle(hold)
    assert await lab.log.trim(lab.name("a"), 3) == 2
    assert await lab.log_length("a") == 1
    assert (await lab.commit(lab.match(4, "a"))).numbers == (4,)
    assert await lab.log_length("a") == 2
    ((first, references),) = await lab.log.read([(lab.name("a"), range(1, 5))])
    assert first == 3
    assert [reference.change.milliseconds for reference in references] == [3, 4]


async def test_a_deleted_subscription_never_gives_its_numbers_again(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"))
    removed = await lab.subscriptions.remove(SubscriptionKey("default", FhirVersion.R5, "a"), None)
    assert removed.code is WriteCode.OK
    assert (await lab.commit(lab.match(2, "a", 2))).numbers == (-1,)
    assert (await lab.put("a")).code is WriteCode.OK
    assert (await lab.commit(lab.match(3, "a", 3))).numbers == (2,)
    assert await lab.log_length("a") == 1


async def test_two_writers_of_one_definition_do_not_overwrite_each_other(lab: Lab) -> None:
    await lab.put("a")
    assert (await lab.put("a", 1, None)).version == 2
    late = await lab.put("a", 1, None)
    assert (late.code, late.version) == (WriteCode.CONFLICT, 2)
    assert (await lab.put("b", 5, None)).code is WriteCode.ABSENT


async def test_a_call_of_repeats_alone_does_not_set_the_mark_back(lab: Lab) -> None:
    """A crash before ADVANCE sends every chunk again, and the first of them holds nothing but repeats."""
    names = [f"s{number:03}" for number in range(90)]
    await lab.activate(*names)
    chunks = [[lab.match(1, name) for name in names[start : start + 30]] for start in (0, 30, 60)]
    for chunk in chunks:
        assert set((await lab.commit(*chunk)).numbers) == {1}
    for chunk in chunks:
        assert set((await lab.commit(*chunk)).numbers) == {0}
    assert {(await lab.record(name)).number for name in names} == {1}


async def test_a_stop_in_a_late_chunk_numbers_nothing_of_the_early_ones_again(lab: Lab) -> None:
    names = [f"s{number:03}" for number in range(60)]
    await lab.activate(*names)
    first, second = ([lab.match(1, name) for name in part] for part in (names[:30], names[30:]))
    await lab.commit(*first)
    await lab.put("s040", 1, None)
    assert (await lab.commit(*second)).code is CommitCode.STALE
    again = [lab.match(1, name, 2 if name == "s040" else 1) for name in names]
    for start in (0, 30):
        assert (await lab.commit(*again[start : start + 30])).code is CommitCode.OK
    assert {(await lab.record(name)).number for name in names} == {1}


async def test_a_trim_between_hold_and_read_does_not_shift_the_numbers(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(*(lab.match(at, "a") for at in (1, 2, 3)))).holds
    await lab.settle(hold)
    await lab.commit(lab.match(4, "a"), hold=False)
    (later,) = await lab.claim()
    await lab.log.trim(lab.name("a"), 4)
    ((first, references),) = await lab.log.read([(later.subscription, later.progress.batch)])
    assert (first, [reference.change.milliseconds for reference in references]) == (4, [4])


async def test_an_error_without_backlog_is_probed_by_a_heartbeat_and_heals(lab: Lab) -> None:
    """Otherwise it would stay in error until an event happens to come (decision 8)."""
    policy = RetryPolicy(initial=timedelta(milliseconds=1), error_after_failures=1)
    await lab.activate("a", heartbeat_seconds=1)
    await asyncio.sleep(0.95)
    (beat,) = await lab.claim()
    await lab.settle(beat, OutcomeKind.FAILED, policy=policy)
    assert (await lab.record("a")).status is Status.ERROR
    await asyncio.sleep(0.01)
    (probe,) = await lab.claim()
    assert probe.duty is Duty.HEARTBEAT
    await lab.settle(probe)
    assert (await lab.record("a")).status is Status.ACTIVE


async def test_an_update_does_not_put_a_heartbeat_off(lab: Lab) -> None:
    await lab.activate("a", heartbeat_seconds=1)
    before = await lab.agenda.next_due_milliseconds([0])
    await asyncio.sleep(0.1)
    await lab.put("a", 1, None, heartbeat_seconds=1)
    assert await lab.agenda.next_due_milliseconds([0]) == before


async def test_after_its_end_nothing_is_numbered_and_nothing_held_again(lab: Lab) -> None:
    await lab.activate("a", end=datetime.now(UTC) + timedelta(milliseconds=300), max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"), lab.match(2, "a"))).holds
    await asyncio.sleep(0.35)
    assert await lab.settle(hold, again=True) is True
    assert (await lab.commit(lab.match(3, "a"))).numbers == (-1,)
    (farewell,) = await lab.claim()
    assert farewell.duty is Duty.FAREWELL


async def test_entered_in_error_is_not_ended_once_more(lab: Lab) -> None:
    end = datetime.now(UTC) + timedelta(milliseconds=150)
    await lab.activate("a", end=end)
    await lab.put("a", 1, Status.ENTERED_IN_ERROR, end=end)
    await asyncio.sleep(0.2)
    assert await lab.claim() == []
    assert (await lab.record("a")).status is Status.ENTERED_IN_ERROR


async def test_a_farewell_never_goes_to_an_endpoint_that_did_not_shake_hands(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, Status.OFF)
    await lab.put("a", 2, Status.OFF, anew=True)
    assert await lab.claim() == []


async def test_a_deleted_subscription_leaves_no_secret_behind(lab: Lab) -> None:
    await lab.activate("a")
    await lab.subscriptions.remove(SubscriptionKey("default", FhirVersion.R5, "a"), None)
    assert await lab.subscriptions.definitions([(lab.name("a"), 1)]) == [None]


async def test_a_restarted_owner_does_not_wait_for_the_leases_of_its_former_life(lab: Lab) -> None:
    await lab.activate("a", "b")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    now = await lab.store.clock_milliseconds() + 1
    assert await Agenda(lab.store, "another").resume([0], now) == 0
    assert await lab.claim() == []
    assert await Agenda(lab.store, "lab").resume([0], now) == 1
    (again,) = await lab.claim()
    assert again.progress.batch == hold.progress.batch
    assert await lab.settle(hold) is False
