"""The pure parts of ``hub demo``: the hospital, the reading of a notification, the ledger that keeps it honest."""

from __future__ import annotations

from typing import Any

import pytest

from hub.demo.hospital import Hospital
from hub.demo.ledger import Ledger
from hub.demo.narration import Event, Notification, narrate, read_notification

FOCUS = "http://127.0.0.1:8080/fhir/r4/Encounter/encounter-1"
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "encounter-1",
    "status": "in-progress",
    "subject": {"display": "Ada Berger"},
    "location": [{"location": {"display": "Surgery"}}, {"location": {"display": "Cardiology"}}],
}


def bundle(resource: dict[str, Any] | None) -> dict[str, Any]:
    """An R4 notification with one event, as section "Notifications" of the Backport IG shows it."""
    event = [
        {"name": "event-number", "valueString": "2"},
        {"name": "timestamp", "valueInstant": "2026-01-05T08:12:00Z"},
        {"name": "focus", "valueReference": {"reference": FOCUS}},
    ]
    error = {"coding": [{"code": "no-response"}], "text": "127.0.0.1: timeout"}
    status = [
        {"name": "subscription", "valueReference": {"reference": "http://127.0.0.1:8080/fhir/r4/Subscription/1"}},
        {"name": "status", "valueCode": "error"},
        {"name": "type", "valueCode": "event-notification"},
        {"name": "events-since-subscription-start", "valueString": "3"},
        {"name": "notification-event", "part": event},
        {"name": "error", "valueCodeableConcept": error},
    ]
    entries: list[dict[str, Any]] = [{"resource": {"resourceType": "Parameters", "parameter": status}}]
    if resource:
        entries.append({"fullUrl": FOCUS, "resource": resource})
    return {"resourceType": "Bundle", "type": "history", "entry": entries}


def notification(*events: Event, kind: str = "event-notification") -> Notification:
    return Notification(kind, "active", len(events), events, ())


def event(number: int, focus: str = FOCUS) -> Event:
    return Event(number, "2026-01-05T08:12:00Z", focus, None)


def test_a_notification_is_read_with_its_resource() -> None:
    read = read_notification(bundle(ENCOUNTER))
    assert read == Notification(
        type="event-notification",
        status="error",
        events_since_start=3,
        events=(Event(2, "2026-01-05T08:12:00Z", FOCUS, ENCOUNTER),),
        errors=("127.0.0.1: timeout",),
    )


def test_an_event_is_told_with_patient_state_and_present_ward() -> None:
    (read,) = read_notification(bundle(ENCOUNTER)).events
    assert narrate(read) == "#2  Ada Berger: in-progress in Cardiology (Encounter/encounter-1)"


def test_an_event_without_resource_is_told_by_its_reference() -> None:
    (read,) = read_notification(bundle(None)).events
    assert narrate(read) == "#2  Encounter/encounter-1"


@pytest.mark.parametrize("broken", [{}, {"entry": []}, {"entry": [{"resource": {"parameter": []}}]}])
def test_what_is_no_notification_is_not_read(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, IndexError)):
        read_notification(broken)


def test_the_ledger_takes_a_repeated_event_once() -> None:
    ledger = Ledger()
    assert ledger.note(notification(event(1))) == [event(1)]
    assert ledger.note(notification(event(1), event(2))) == [event(2)]
    assert ledger.is_gapless_up_to(2)


@pytest.mark.parametrize("numbers", [[1, 3], [2, 1], [2], []])
def test_the_ledger_sees_a_gap_a_wrong_order_and_an_absence(numbers: list[int]) -> None:
    ledger = Ledger()
    for number in numbers:
        ledger.note(notification(event(number)))
    assert not ledger.is_gapless_up_to(2)


def test_the_ledger_sees_another_content_under_a_known_number() -> None:
    ledger = Ledger()
    ledger.note(notification(event(1)))
    ledger.note(notification(event(1, FOCUS + "0")))
    assert ledger.contradictions == [1]
    assert not ledger.is_gapless_up_to(1)


def test_the_ledger_counts_handshakes() -> None:
    ledger = Ledger()
    ledger.note(notification(kind="handshake"))
    assert ledger.handshakes == 1


def test_the_same_seed_gives_the_same_hospital() -> None:
    def day(seed: int) -> list[Any]:
        hospital = Hospital(seed)
        return [hospital.register(), hospital.admit(), hospital.visit(), hospital.transfer(), hospital.discharge()]

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_a_stay_keeps_its_encounter_from_admission_to_discharge() -> None:
    hospital = Hospital(1)
    admitted, moved, gone = hospital.admit(), hospital.transfer(), hospital.discharge()
    assert admitted.reference == moved.reference == gone.reference
    assert [change.resource["status"] for change in (admitted, moved, gone)] == [
        "in-progress",
        "in-progress",
        "finished",
    ]
    assert [place["status"] for place in moved.resource["location"]] == ["completed", "active"]
    assert gone.resource["period"]["end"] > gone.resource["period"]["start"]


def test_a_visit_is_no_inpatient_encounter() -> None:
    assert Hospital(1).visit().resource["class"]["code"] == "AMB"


def test_an_empty_hospital_has_nobody_to_discharge() -> None:
    with pytest.raises(IndexError):
        Hospital(1).discharge()
    with pytest.raises(IndexError):
        Hospital(1).transfer()
