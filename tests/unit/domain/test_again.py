"""What is sent again, in numbers (S-190, S-191), and what follows from an attempt at it (ruling 19)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hub.domain.again import Stretch, consecutive, dropped, stretches, without
from hub.domain.delivery import Duty, Outcome, OutcomeKind, Progress, RetryPolicy, Verdict, judge
from hub.domain.subscription import Status
from hub.domain.transition import Cause

POLICY = RetryPolicy()
AGAIN = Progress(Status.ACTIVE, number=9, cursor=9, again=range(5, 8))
LETTERS = replace(AGAIN, status=Status.ERROR, refused=3, again_letters=True)


def verdict(progress: Progress, kind: OutcomeKind, policy: RetryPolicy = POLICY) -> Verdict:
    return judge(Duty.AGAIN, progress, Outcome(kind, 500, "error-response"), policy, 0)


def test_numbers_are_cut_where_dead_letters_begin_and_end() -> None:
    found = stretches([range(1, 8)], {3, 4, 99}, [], 7)
    assert found == [
        Stretch(range(1, 3), 7),
        Stretch(range(3, 5), 7, letters=True),
        Stretch(range(5, 8), 7),
    ]


def test_what_waits_already_is_not_asked_for_twice() -> None:
    found = stretches([range(1, 8)], [], [range(2, 4), range(7, 20)], 7)
    assert [each.numbers for each in found] == [range(1, 2), range(4, 7)]
    assert stretches([range(1, 8)], [], [range(1, 8)], 7) == []


def test_ranges_are_cut_out_exactly() -> None:
    assert without([range(1, 10)], [range(1, 10)]) == []
    assert without([range(1, 10)], [range(20, 30)]) == [range(1, 10)]
    assert without([range(1, 4), range(6, 9)], [range(3, 7)]) == [range(1, 3), range(7, 9)]
    assert consecutive([3, 1, 2, 7, 3]) == [range(1, 4), range(7, 8)]


def test_a_dropped_dead_letter_is_not_sent_but_an_event_asked_for_is() -> None:
    waiting = [Stretch(range(1, 5), 7, letters=True), Stretch(range(1, 3), 8)]
    assert dropped(waiting, [2]) == [
        Stretch(range(1, 2), 7, letters=True),
        Stretch(range(3, 5), 7, letters=True),
        Stretch(range(1, 3), 8),
    ]


def test_a_delivery_is_over_with_its_numbers_and_leaves_the_cursor() -> None:
    found = verdict(AGAIN, OutcomeKind.DELIVERED)
    assert (found.again_done, found.cursor, found.status, found.sent) == (7, 9, Status.ACTIVE, True)


def test_dead_letters_that_arrive_count_no_more() -> None:
    found = verdict(LETTERS, OutcomeKind.DELIVERED)
    assert (found.refused, found.status, found.cause, found.error) == (0, Status.ACTIVE, Cause.NO_DEAD_LETTERS, None)
    some = verdict(replace(LETTERS, refused=5), OutcomeKind.DELIVERED)
    assert (some.refused, some.status) == (2, Status.ERROR)
    assert some.error and "dead letters" in some.error.text


def test_dead_letters_that_were_forgiven_are_not_counted_off() -> None:
    assert verdict(replace(LETTERS, refused=3, forgiven=6), OutcomeKind.DELIVERED).refused == 2


def test_a_backlog_keeps_it_in_error_though_no_dead_letter_is_left() -> None:
    assert verdict(replace(LETTERS, number=12), OutcomeKind.DELIVERED).status is Status.ERROR


def test_a_failure_is_tried_again_and_drops_nothing() -> None:
    found = verdict(AGAIN, OutcomeKind.FAILED)
    assert (found.again_done, found.again_singly, found.failures, found.delay) == (0, 0, 1, timedelta(seconds=1))


def test_a_refused_batch_goes_one_by_one() -> None:
    found = verdict(AGAIN, OutcomeKind.REFUSED)
    assert (found.again_singly, found.again_done, found.dead_number, found.status) == (7, 0, 0, Status.ACTIVE)


def test_a_refused_event_is_a_dead_letter_once() -> None:
    single = replace(AGAIN, again=range(5, 6))
    found = verdict(single, OutcomeKind.REFUSED)
    assert (found.dead_number, found.again_done, found.refused, found.status) == (5, 5, 1, Status.ERROR)
    letter = replace(LETTERS, again=range(5, 6))
    assert verdict(letter, OutcomeKind.REFUSED).refused == 3
    forgiven = verdict(replace(single, forgiven=5), OutcomeKind.REFUSED)
    assert (forgiven.dead_number, forgiven.refused, forgiven.status) == (5, 0, Status.ACTIVE)
    strict = RetryPolicy(recovers_by_itself=False)
    assert verdict(single, OutcomeKind.REFUSED, strict).held


def test_410_switches_it_off_and_keeps_what_waits() -> None:
    found = verdict(AGAIN, OutcomeKind.GONE)
    assert (found.status, found.cause, found.again_done) == (Status.OFF, Cause.GONE, 0)
