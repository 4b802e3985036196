"""What follows from one attempt (HOUSE decision 8, rulings 16, 19, 20; S-075, S-076, S-148)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hub.domain.delivery import Duty, Outcome, OutcomeKind, Progress, RetryPolicy, Verdict, judge, status_after_update
from hub.domain.subscription import Status

POLICY = RetryPolicy()
ACTIVE = Progress(Status.ACTIVE, number=3, cursor=0, frozen_upto=3)
FRESH = Progress(Status.REQUESTED, number=0, cursor=0, verified=False)
DELIVERED = Outcome(OutcomeKind.DELIVERED, 200)
FAILED = Outcome(OutcomeKind.FAILED, 503, "error-response", "HTTP 503")
REFUSED = Outcome(OutcomeKind.REFUSED, 422, "error-response", "HTTP 422")
GONE = Outcome(OutcomeKind.GONE, 410, "error-response", "HTTP 410")


def verdict(
    duty: Duty, progress: Progress, outcome: Outcome, policy: RetryPolicy = POLICY, jitter: float = 0
) -> Verdict:
    return judge(duty, progress, outcome, policy, jitter)


def test_a_handshake_that_succeeds_makes_it_active() -> None:
    found = verdict(Duty.HANDSHAKE, FRESH, DELIVERED)
    assert (found.status, found.verified, found.sent, found.error) == (Status.ACTIVE, True, True, None)


@pytest.mark.parametrize("outcome", [FAILED, REFUSED, GONE])
def test_any_handshake_failure_is_an_error_and_tried_again(outcome: Outcome) -> None:
    found = verdict(Duty.HANDSHAKE, FRESH, outcome)
    assert (found.status, found.verified, found.failures) == (Status.ERROR, False, 1)
    assert found.delay == timedelta(seconds=1)
    assert found.error and found.error.code == "error-response"


def test_a_delivered_batch_moves_the_cursor_to_its_last_event() -> None:
    found = verdict(Duty.EVENTS, replace(ACTIVE, cursor=1), DELIVERED)
    assert (found.cursor, found.failures, found.status, found.keep_frozen) == (3, 0, Status.ACTIVE, False)


def test_a_failed_batch_stays_frozen_and_waits_twice_as_long_each_time() -> None:
    waits = [verdict(Duty.EVENTS, replace(ACTIVE, failures=n), FAILED).delay for n in range(4)]
    assert waits == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8)]
    assert verdict(Duty.EVENTS, ACTIVE, FAILED).keep_frozen
    assert verdict(Duty.EVENTS, ACTIVE, FAILED).cursor == 0


def test_waits_are_capped_and_moved_by_a_fifth_of_the_jitter() -> None:
    late = replace(ACTIVE, failures=10**6)
    assert verdict(Duty.EVENTS, late, FAILED).delay == timedelta(hours=2)
    assert verdict(Duty.EVENTS, ACTIVE, FAILED, jitter=1).delay == timedelta(seconds=1.2)
    assert verdict(Duty.EVENTS, ACTIVE, FAILED, jitter=-1).delay == timedelta(seconds=0.8)


def test_what_the_receiver_asks_for_is_obeyed_exactly() -> None:
    asked = replace(FAILED, retry_after_seconds=4 * 3600)
    assert verdict(Duty.EVENTS, ACTIVE, asked, jitter=1).delay == timedelta(hours=4)


def test_enough_failures_in_a_row_are_an_error() -> None:
    assert verdict(Duty.EVENTS, replace(ACTIVE, failures=8), FAILED).status is Status.ACTIVE
    assert verdict(Duty.EVENTS, replace(ACTIVE, failures=9), FAILED).status is Status.ERROR


def test_an_error_is_active_again_only_when_the_backlog_is_out() -> None:
    in_error = replace(ACTIVE, status=Status.ERROR, failures=12)
    part = verdict(Duty.EVENTS, replace(in_error, frozen_upto=2), DELIVERED)
    assert (part.status, part.cursor) == (Status.ERROR, 2)
    assert part.error and "being delivered" in part.error.text
    whole = verdict(Duty.EVENTS, in_error, DELIVERED)
    assert (whole.status, whole.error) == (Status.ACTIVE, None)


def test_after_long_failure_it_is_off_with_a_farewell_and_nothing_is_dropped() -> None:
    failing = replace(ACTIVE, status=Status.ERROR, failures=99, failing_for=timedelta(days=7))
    found = verdict(Duty.EVENTS, failing, FAILED)
    assert (found.status, found.farewell, found.cursor) == (Status.OFF, True, 0)
    assert verdict(Duty.EVENTS, failing, FAILED, replace(POLICY, off_after=timedelta(0))).status is Status.ERROR


def test_a_classic_subscription_hears_no_farewell_s017() -> None:
    failing = replace(ACTIVE, status=Status.ERROR, failing_for=timedelta(days=8), classic=True)
    found = verdict(Duty.EVENTS, failing, FAILED)
    assert (found.status, found.farewell) == (Status.OFF, False)


def test_an_endpoint_that_never_shook_hands_gets_no_farewell() -> None:
    failing = replace(FRESH, status=Status.ERROR, failing_for=timedelta(days=8))
    found = verdict(Duty.HANDSHAKE, failing, FAILED)
    assert (found.status, found.farewell) == (Status.OFF, False)


def test_gone_is_off_at_once_without_farewell() -> None:
    found = verdict(Duty.EVENTS, ACTIVE, GONE)
    assert (found.status, found.farewell, found.cursor) == (Status.OFF, False, 0)


def test_a_refused_batch_is_split_and_a_refused_event_is_set_aside() -> None:
    split = verdict(Duty.EVENTS, ACTIVE, REFUSED)
    assert (split.status, split.cursor, split.singly_upto, split.dead_number) == (Status.ACTIVE, 0, 3, 0)
    assert not split.keep_frozen and split.delay == timedelta(0)
    single = verdict(Duty.EVENTS, replace(ACTIVE, frozen_upto=1), REFUSED)
    assert (single.status, single.cursor, single.dead_number, single.refused) == (Status.ERROR, 1, 1, 1)


def test_while_a_dead_letter_is_left_it_stays_in_error_whatever_is_delivered() -> None:
    found = verdict(Duty.EVENTS, replace(ACTIVE, status=Status.ERROR, refused=1), DELIVERED)
    assert (found.status, found.cursor) == (Status.ERROR, 3)
    assert found.error and "dead letters" in found.error.text


def test_under_client_recovery_an_error_waits_for_the_client() -> None:
    strict = replace(POLICY, recovers_by_itself=False)
    found = verdict(Duty.EVENTS, replace(ACTIVE, failures=9), FAILED, strict)
    assert (found.status, found.held) == (Status.ERROR, True)
    probe = verdict(Duty.HEARTBEAT, replace(ACTIVE, status=Status.ERROR, held=True), DELIVERED, strict)
    assert (probe.status, probe.held) == (Status.ERROR, True)


@pytest.mark.parametrize("outcome", [DELIVERED, FAILED, REFUSED, GONE])
def test_a_farewell_is_tried_once_and_never_again(outcome: Outcome) -> None:
    found = verdict(Duty.FAREWELL, replace(ACTIVE, status=Status.OFF), outcome)
    assert (found.status, found.farewell) == (Status.OFF, False)


@pytest.mark.parametrize("kind", [DELIVERED, FAILED])
def test_a_heartbeat_moves_no_number(kind: Outcome) -> None:
    found = verdict(Duty.HEARTBEAT, replace(ACTIVE, cursor=3), kind)
    assert found.cursor == 3
    assert found.failures == (0 if kind is DELIVERED else 1)


@pytest.mark.parametrize(
    ("present", "submitted", "verify_anew", "expected"),
    [
        (Status.ACTIVE, Status.ACTIVE, False, None),
        (Status.ACTIVE, Status.ACTIVE, True, Status.REQUESTED),
        (Status.ACTIVE, Status.REQUESTED, False, Status.REQUESTED),
        (Status.ACTIVE, Status.OFF, False, Status.OFF),
        (Status.ACTIVE, Status.ENTERED_IN_ERROR, False, Status.ENTERED_IN_ERROR),
        (Status.REQUESTED, Status.ACTIVE, False, None),
        (Status.ERROR, Status.ERROR, False, None),
        (Status.ERROR, Status.ACTIVE, False, Status.REQUESTED),
        (Status.ERROR, Status.REQUESTED, False, Status.REQUESTED),
        (Status.OFF, Status.OFF, True, Status.OFF),
        (Status.OFF, Status.ACTIVE, False, Status.REQUESTED),
        (Status.OFF, Status.REQUESTED, True, Status.REQUESTED),
        (Status.OFF, Status.ERROR, True, None),
    ],
)
def test_what_a_clients_update_does_to_the_status(
    present: Status, submitted: Status, verify_anew: bool, expected: Status | None
) -> None:
    """S-072…S-074, ruling 17."""
    assert status_after_update(present, submitted, verify_anew=verify_anew) is expected


def test_a_receiver_that_asks_for_no_wait_is_not_called_in_a_loop() -> None:
    asked = replace(FAILED, retry_after_seconds=0)
    assert verdict(Duty.EVENTS, ACTIVE, asked).delay == timedelta(seconds=1)


def test_while_active_no_heartbeat_period_passes_in_silence() -> None:
    """A wait longer than the period makes it an error, which promises no heartbeats (ruling 33)."""
    beating = replace(ACTIVE, heartbeat=timedelta(seconds=60))
    assert verdict(Duty.EVENTS, beating, FAILED).status is Status.ACTIVE
    asked = replace(FAILED, retry_after_seconds=3600)
    assert verdict(Duty.EVENTS, beating, asked).status is Status.ERROR


def test_long_waits_do_not_keep_it_from_being_given_up() -> None:
    failing = replace(ACTIVE, failures=3, failing_for=timedelta(days=8))
    assert verdict(Duty.EVENTS, failing, FAILED).status is Status.OFF


def test_waits_never_overflow() -> None:
    slow = replace(POLICY, initial=timedelta(hours=1), longest=timedelta(hours=2))
    assert verdict(Duty.EVENTS, replace(ACTIVE, failures=10**9), FAILED, slow).delay == timedelta(hours=2)


@pytest.mark.parametrize("duty", [Duty.EVENTS, Duty.HEARTBEAT])
def test_nobody_listening_changes_nothing_but_that_nothing_is_due_s167(duty: Duty) -> None:
    before = replace(ACTIVE, cursor=1, failing_for=timedelta(days=30))
    found = verdict(duty, before, Outcome(OutcomeKind.UNHEARD))
    assert found.deaf and found.keep_frozen and not found.sent
    assert (found.status, found.cursor, found.failures, found.error) == (Status.ACTIVE, 1, 0, None)


def test_a_farewell_that_nobody_hears_is_over() -> None:
    found = verdict(Duty.FAREWELL, ACTIVE, Outcome(OutcomeKind.UNHEARD))
    assert (found.status, found.farewell, found.error) == (Status.OFF, False, None)


def test_what_reached_the_socket_before_is_settled_up_to_there() -> None:
    found = verdict(Duty.EVENTS, ACTIVE, Outcome(OutcomeKind.DELIVERED, delivered_upto=2))
    assert (found.cursor, found.keep_frozen, found.deaf) == (2, False, False)
