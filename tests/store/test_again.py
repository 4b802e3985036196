"""Sending again and dead letters, as the store keeps them (S-190, S-191, ruling 19)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.domain.again import Stretch
from hub.domain.delivery import Duty, OutcomeKind, RetryPolicy
from hub.domain.subscription import Status
from hub.store.again import Again, AgainCode, read_stretches, write_stretches
from hub.store.agenda import Hold
from hub.store.client import Store
from hub.store.life import Life
from tests.store.factories import Lab

ANY = (Status.ACTIVE, Status.ERROR)


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


async def delivered(lab: Lab, count: int, **channel: object) -> None:
    """An active Subscription "a" with so many delivered events."""
    await lab.activate("a", **channel)
    (hold,) = (await lab.commit(*(lab.match(at, "a") for at in range(1, count + 1)))).holds
    result: Hold | bool = hold
    while isinstance(result, Hold):
        result = await lab.settle(result, again=True)
    assert (await lab.record("a")).cursor == count


async def ask(lab: Lab, *more: Stretch, letters: int = 0) -> AgainCode:
    again = Again(lab.store)
    waiting = (await lab.record("a")).again
    return (await again.add(lab.key("a"), waiting, letters, more, ANY)).code


async def the_one_hold(lab: Lab) -> Hold:
    (hold,) = await lab.claim()
    return hold


async def refused_events(lab: Lab, count: int) -> None:
    """An active Subscription "a" all of whose events were refused, one by one."""
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(*(lab.match(at, "a") for at in range(1, count + 1)))).holds
    for _ in range(count):
        await lab.settle(await with_references(lab, hold), OutcomeKind.REFUSED)
        hold = next(iter(await lab.claim()), hold)
    assert (await lab.record("a")).refused == count


async def with_references(lab: Lab, hold: Hold) -> Hold:
    ((_, references),) = await lab.log.read([(hold.subscription, hold.numbers)])
    return replace(hold, references=tuple(references))


def test_stretches_survive_the_record() -> None:
    some = (Stretch(range(5, 8), 17), Stretch(range(9, 10), 18, letters=True, singly=True))
    assert read_stretches(write_stretches(some).encode()) == some
    assert read_stretches(b"") == ()


async def test_what_is_asked_for_again_goes_out_in_batches_with_its_numbers_and_counts_nothing(lab: Lab) -> None:
    await delivered(lab, 5, max_count=2)
    assert await ask(lab, Stretch(range(2, 5), 7)) is AgainCode.OK
    batches = []
    for _ in range(2):
        hold = await the_one_hold(lab)
        assert (hold.duty, hold.progress.again_asked_at) == (Duty.AGAIN, 7)
        batches.append(list(hold.numbers))
        assert await lab.settle(hold) is True
    assert batches == [[2, 3], [4]]
    record = await lab.record("a")
    assert (record.again, record.cursor, record.number, record.status) == ((), 5, 5, Status.ACTIVE)
    assert await lab.claim() == []


async def test_events_that_came_meanwhile_go_first(lab: Lab) -> None:
    await delivered(lab, 3)
    await ask(lab, Stretch(range(1, 4), 7))
    (live,) = (await lab.commit(lab.match(9, "a"))).holds
    assert (live.duty, list(live.numbers)) == (Duty.EVENTS, [4])
    await lab.settle(live)
    assert list((await the_one_hold(lab)).numbers) == [1, 2, 3]


async def test_a_failed_attempt_is_repeated_with_the_same_numbers(lab: Lab) -> None:
    await delivered(lab, 3)
    await ask(lab, Stretch(range(1, 4), 7))
    first = await the_one_hold(lab)
    await lab.settle(first, OutcomeKind.FAILED)
    await ask(lab, Stretch(range(2, 3), 8))
    await lab.store.send(("ZADD", "{d0}:due", 1, lab.name("a")))
    while not (holds := await lab.claim()):  # the delay is one millisecond
        pass
    assert holds[0].numbers == first.numbers and holds[0].progress.failures == 1


async def test_a_late_settlement_of_what_was_sent_again_moves_nothing(lab: Lab) -> None:
    await delivered(lab, 3)
    await ask(lab, Stretch(range(1, 4), 7))
    late = await the_one_hold(lab)
    await lab.lease_ends_now("a")
    assert (await the_one_hold(lab)).fence > late.fence
    assert await lab.settle(late) is False
    assert len((await lab.record("a")).again) == 1


async def test_who_read_an_older_state_must_read_again(lab: Lab) -> None:
    await delivered(lab, 3)
    again = Again(lab.store)
    one = [Stretch(range(1, 2), 7)]
    assert (await again.add(lab.key("a"), [], 0, one, ANY)).code is AgainCode.OK
    assert (await again.add(lab.key("a"), [], 0, one, ANY)).code is AgainCode.MOVED
    assert (await again.add(lab.key("a"), one, 1, one, ANY)).code is AgainCode.MOVED, "another number of dead letters"
    assert (await again.add(lab.key("nobody"), [], 0, one, ANY)).code is AgainCode.ABSENT


async def test_a_status_that_does_not_allow_it_is_told(lab: Lab) -> None:
    await delivered(lab, 1)
    await lab.put("a", None, Status.OFF)
    reply = await Again(lab.store).add(lab.key("a"), [], 0, [Stretch(range(1, 2), 7)], ANY)
    assert (reply.code, reply.status) == (AgainCode.STATUS, Status.OFF)


async def test_the_log_keeps_what_is_to_be_sent_again(lab: Lab) -> None:
    await delivered(lab, 5)
    await ask(lab, Stretch(range(3, 5), 7))
    assert await lab.log.trim(lab.name("a"), 6) == 2
    assert await ask(lab, Stretch(range(2, 3), 8)) is AgainCode.MOVED, "number 2 is no longer held"
    await lab.settle(await the_one_hold(lab))
    assert await lab.log.trim(lab.name("a"), 6) == 3


async def test_dead_letters_that_arrive_are_none_any_more_and_the_last_makes_it_active(lab: Lab) -> None:
    await refused_events(lab, 3)
    await ask(lab, Stretch(range(1, 3), 7, letters=True), Stretch(range(3, 4), 7, letters=True), letters=3)
    for left in ([2, 3], [3], []):
        assert (await lab.record("a")).status is Status.ERROR
        await lab.settle(await the_one_hold(lab))
        assert [letter.number for letter in await lab.log.dead_letters(lab.name("a"))] == left
    record = await lab.record("a")
    assert (record.status, record.refused, record.error) == (Status.ACTIVE, 0, None)
    assert (await Life(lab.store).transitions(lab.name("a")))[-1].cause == "no-dead-letters"


async def test_a_dead_letter_that_is_refused_again_stays_one_and_is_counted_once(lab: Lab) -> None:
    await refused_events(lab, 1)
    await ask(lab, Stretch(range(1, 2), 7, letters=True), letters=1)
    assert await lab.settle(await with_references(lab, await the_one_hold(lab)), OutcomeKind.REFUSED) is True
    record = await lab.record("a")
    assert (record.status, record.refused, record.again) == (Status.ERROR, 1, ())
    assert len(await lab.log.dead_letters(lab.name("a"))) == 1


async def test_a_refused_batch_is_sent_again_one_by_one_and_only_the_refused_one_is_dead(lab: Lab) -> None:
    await delivered(lab, 3, max_count=3)
    await ask(lab, Stretch(range(1, 4), 7))
    await lab.settle(await the_one_hold(lab), OutcomeKind.REFUSED)
    for number, kind in ((1, OutcomeKind.DELIVERED), (2, OutcomeKind.REFUSED), (3, OutcomeKind.DELIVERED)):
        hold = await with_references(lab, await the_one_hold(lab))
        assert list(hold.numbers) == [number]
        await lab.settle(hold, kind)
    assert [letter.number for letter in await lab.log.dead_letters(lab.name("a"))] == [2]
    assert (await lab.record("a")).status is Status.ERROR


async def test_dropping_the_last_dead_letter_makes_it_active(lab: Lab) -> None:
    await refused_events(lab, 2)
    again, record = Again(lab.store), await lab.record("a")
    assert (await again.drop(lab.key("a"), record.again, [], [1, 7])).count == 1
    assert (await lab.record("a")).status is Status.ERROR
    assert (await again.drop(lab.key("a"), record.again, [], [2])).count == 1
    record = await lab.record("a")
    assert (record.status, record.refused, record.error) == (Status.ACTIVE, 0, None)


async def test_dropping_makes_an_attempt_in_flight_void(lab: Lab) -> None:
    """It was told how many dead letters there are, and would write that number back."""
    await refused_events(lab, 1)
    (live,) = (await lab.commit(lab.match(9, "a"))).holds
    await Again(lab.store).drop(lab.key("a"), [], [], [1])
    assert await lab.settle(live) is False
    assert await lab.settle(await the_one_hold(lab)) is True
    assert (await lab.record("a")).status is Status.ACTIVE


async def test_dead_letters_from_before_the_client_asked_to_go_on_hold_nothing_back(lab: Lab) -> None:
    await refused_events(lab, 1)
    await lab.put("a", None, Status.REQUESTED, max_count=1)
    await lab.settle(await the_one_hold(lab))
    (hold,) = (await lab.commit(lab.match(9, "a", 2))).holds
    await lab.settle(await with_references(lab, hold), OutcomeKind.REFUSED)
    await ask(lab, Stretch(range(1, 2), 7, letters=True), letters=2)
    await lab.settle(await the_one_hold(lab))
    record = await lab.record("a")
    assert (record.status, record.refused) == (Status.ERROR, 1), "number 2 is a dead letter still"


async def test_with_recovery_by_the_client_nothing_is_sent_again_before_it_asked(lab: Lab) -> None:
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    strict = RetryPolicy(recovers_by_itself=False)
    await lab.settle(await with_references(lab, hold), OutcomeKind.REFUSED, policy=strict)
    await ask(lab, Stretch(range(1, 2), 7, letters=True), letters=1)
    assert await lab.claim() == []
