"""What the benchmark says of records: percentiles, losses, repeats, gaps."""

from __future__ import annotations

import pytest

from hub.bench.figures import Receipt, in_milliseconds, percentile, settle


def receipt(subscription: int, change: int, number: int = 0, at: int = 100) -> Receipt:
    return Receipt(at, subscription, number, change)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([1, 2, 3, 4], 50) == 2
    assert percentile([1, 2, 3, 4], 99) == 4
    assert percentile([7], 1) == 7
    with pytest.raises(IndexError):
        percentile([], 50)


def test_a_latency_runs_from_the_moment_of_the_write_to_the_first_receipt() -> None:
    told = settle({0: 40}, [receipt(0, 0, at=100), receipt(0, 0, at=900)], matches=1, groups=1)
    assert told.latencies == [60]
    assert told.duplicates == 1
    assert told.last_receipt == 100


def test_what_one_of_the_concerned_did_not_hear_of_is_lost() -> None:
    told = settle({0: 0, 1: 0}, [receipt(0, 0), receipt(1, 0), receipt(2, 1)], matches=2, groups=2)
    assert told.lost == 1
    assert (told.duplicates, told.strangers) == (0, 0)


def test_a_receipt_at_a_subscription_that_a_change_does_not_concern_is_a_stranger_and_saves_no_loss() -> None:
    told = settle({0: 0}, [receipt(1, 0)], matches=1, groups=2)
    assert (told.strangers, told.lost) == (1, 1)


def test_a_receipt_of_a_change_that_was_not_accepted_is_a_stranger() -> None:
    told = settle({}, [receipt(0, 0)], matches=1, groups=1)
    assert (told.strangers, told.lost) == (1, 0)


def test_a_number_that_is_missing_between_two_is_a_gap() -> None:
    told = settle({0: 0, 1: 0}, [receipt(0, 0, number=4), receipt(0, 1, number=6)], matches=1, groups=1)
    assert told.gaps == 1


def test_where_there_are_no_numbers_there_are_no_gaps() -> None:
    told = settle({0: 0, 1: 0}, [receipt(0, 0), receipt(0, 1)], matches=1, groups=1)
    assert told.gaps == 0


def test_nothing_received_has_no_latency() -> None:
    assert in_milliseconds([]) == {}
    assert in_milliseconds([1_000_000, 3_000_000]) == {"p50": 1.0, "p99": 3.0, "max": 3.0}
