"""What the judge of the fault runs finds: each broken promise is shown to it once, and called by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.ledger import Change, Ledger, Promise, Unsure, Wish, faults_of
from tests.faults.receiver import Arrival, Event, Manner
from tests.faults.repeats import SETTLE_SECONDS, Repeats
from tests.faults.stage import Struck

BOX = "s"
BODY = b'["PUT", {"resourceType": "Patient", "id": "%s", "name": [{"text": "%s"}], "meta": {"versionId": "%d", '
BODY += b'"lastUpdated": "2026-01-01T00:00:00.00%dZ"}}]'


def ledger(*identities: str) -> Ledger:
    """The first version of each of these Patients, written one after the other."""
    found = Ledger()
    found.wish(BOX, Wish(0, 1, on=True, begins=True))
    for place, identity in enumerate(identities):
        found.note(Change(f"Patient/{identity}", 1, "male", 10 + place, 10.5 + place, 0))
    return found


def told(number: int, identity: str, *, at: float = 0, manner: Manner = Manner.TAKEN, name: str = "") -> Arrival:
    reference = f"Patient/{identity}"
    body = BODY % (identity.encode(), name.encode(), 1, number % 10)
    event = Event(number, 1767225600000 + number % 10, reference)
    return Arrival(BOX, "event-notification", f"id-{number}", (event,), {reference: body}, manner, at)


def promises(found: Ledger, *arrivals: Arrival) -> list[Promise]:
    return [broken.promise for broken in faults_of(found, BOX, arrivals, complete=True)]


def test_nothing_is_found_when_all_is_well() -> None:
    assert promises(ledger("a", "b"), told(1, "a"), told(2, "b")) == []


def test_an_event_that_never_came_is_lost() -> None:
    assert promises(ledger("a", "b"), told(1, "a")) == [Promise.LOST]


def test_an_event_that_was_never_taken_is_lost() -> None:
    assert promises(ledger("a"), told(1, "a", manner=Manner.BUSY)) == [Promise.LOST]


def test_a_gap_and_another_order_than_that_of_the_numbers_are_found() -> None:
    assert Promise.ORDER in promises(ledger("a", "b"), told(1, "a"), told(3, "b"))
    assert Promise.ORDER in promises(ledger("a", "b"), told(2, "b"), told(1, "a"))


def test_numbers_in_another_order_than_that_of_the_answers_are_found() -> None:
    assert promises(ledger("a", "b"), told(1, "b"), told(2, "a")) == [Promise.ORDER]


def test_a_number_with_two_contents_is_found() -> None:
    assert Promise.NUMBER in promises(ledger("a", "b"), told(1, "a"), told(1, "b"), told(2, "b"))


def test_a_change_with_two_numbers_is_found() -> None:
    assert promises(ledger("a"), told(1, "a"), told(2, "a")) == [Promise.ORDER]


def test_an_event_of_what_nobody_did_is_found() -> None:
    assert promises(ledger("a"), told(1, "a"), told(2, "z")) == [Promise.MADE_UP]


def test_a_write_that_nobody_is_sure_of_counts_once_somebody_was_told_of_it() -> None:
    found = ledger("a")
    found.unsure["k"] = Unsure("male", sent=11)
    assert promises(found, told(1, "a")) == [], "it need not stand"
    assert found.learn([told(2, "z", name="k", at=12)]) == 1
    assert promises(found, told(1, "a"), told(2, "z")) == []
    assert promises(found, told(1, "a")) == [Promise.LOST], "it stands for everybody"


@pytest.mark.parametrize("manner", [Manner.BUSY, Manner.LOST, Manner.LATE])
def test_a_repeat_that_the_receiver_asked_for_is_its_own(manner: Manner) -> None:
    repeats = Repeats()
    repeats.count(BOX, [told(1, "a", manner=manner), told(1, "a", at=1)], [])
    assert (repeats.by_receiver, repeats.by_faults, repeats.unexplained) == (1, 0, [])


def test_a_fault_explains_one_repeat_of_what_was_in_flight_and_no_more() -> None:
    fault = Struck("hub killed", 10, 10)
    repeats = Repeats()
    repeats.count(BOX, [told(1, "a", at=9.9), told(1, "a", at=12), told(1, "a", at=12.1)], [fault])
    assert (repeats.by_faults, repeats.in_flight, len(repeats.unexplained)) == (1, 1, 1)


def test_a_fault_explains_nothing_that_was_over_before_or_concerned_another() -> None:
    before = 10 - 2 * SETTLE_SECONDS
    for fault in (Struck("hub killed", 10, 10), Struck("Subscription changed", before, before, "another")):
        repeats = Repeats()
        repeats.count(BOX, [told(1, "a", at=before), told(1, "a", at=20)], [fault])
        assert repeats.by_faults == 0 and len(repeats.unexplained) == 1


def test_a_hub_that_wakes_up_may_send_what_it_had_begun() -> None:
    repeats = Repeats()
    repeats.count(BOX, [told(1, "a", at=14), told(1, "a", at=16.2)], [Struck("hub frozen", 10, 16)])
    assert (repeats.by_faults, repeats.unexplained) == (1, [])


def test_of_several_causes_the_one_is_taken_that_explains_least_else() -> None:
    long, short = Struck("Redis frozen", 10, 16), Struck("hub killed", 10, 10)
    arrivals = [told(1, "a", at=9.9), told(1, "a", at=12), told(2, "b", at=15), told(2, "b", at=22)]
    repeats = Repeats()
    repeats.count(BOX, arrivals, [long, short])
    assert (repeats.by_faults, repeats.unexplained) == (2, [])


def test_one_that_was_cut_off_may_come_again_in_parts() -> None:
    """Each of its events once: an edit while it was in flight made its batches smaller."""
    one, two = told(1, "a", at=10), told(2, "b", at=10)
    batch = replace(one, events=one.events + two.events)
    parts = [told(1, "a", at=10.1), told(2, "b", at=10.2)]
    repeats = Repeats()
    repeats.count(BOX, [batch, *parts], [Struck("Subscription changed", 10, 10, BOX)])
    assert (repeats.by_faults, repeats.unexplained) == (1, [])
    repeats.count(BOX, [batch, *parts, told(2, "b", at=10.3)], [Struck("Subscription changed", 10, 10, BOX)])
    assert len(repeats.unexplained) == 1
