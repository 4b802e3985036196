"""Notifications through the whole hub: content × version × interaction (issue point 5, S-107…S-141)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import BACKPORT, ENCOUNTER_START, PATIENT_CHANGE, encounter, fresh_id, patient, subscribe
from tests.api.harness import BASE_URL, Api
from tests.api.receiver import Inbox, Notification, Receiver

CONTENTS = ("empty", "id-only", "full-resource")
SECRET = "Vandersteen"


async def _three_changes(api: Api, inbox: Inbox, mark: str) -> list[Notification]:
    """Create, update and delete one Patient; the notifications of each."""
    here, written = f"Patient/{mark}", patient(mark, name=[{"family": SECRET}])
    assert (await api.put(here, written)).status_code == 201
    assert (await api.put(here, written | {"active": True})).status_code == 200
    assert (await api.delete(here)).status_code == 204
    return [await inbox.event() for _ in range(3)]


@pytest.mark.parametrize("content", CONTENTS)
async def test_each_interaction_is_told_in_the_form_of_the_version_and_the_content(
    api: Api, inbox: Inbox, content: str
) -> None:
    told = await subscribe(api, inbox, content=content, filters=(f"_id={(mark := fresh_id('pat'))}",))
    notifications = await _three_changes(api, inbox, mark)
    for number, notification in enumerate(notifications, 1):
        _check_envelope(api.base, notification, told["id"], number)
        _check_content(api, content, notification, mark)
        assert notification.header("content-type").startswith("application/fhir+json")
    if content == "full-resource":
        _check_entries(api, notifications, mark)


def _check_envelope(base: FhirVersion, notification: Notification, subscription_id: str, number: int) -> None:
    bundle, carrier = notification.bundle, notification.carrier
    assert bundle["type"] == ("subscription-notification" if base is FhirVersion.R5 else "history")
    assert "total" not in bundle and bundle["timestamp"]
    assert carrier["type"] == "event-notification" and carrier["status"] == "active"
    assert carrier["eventsSinceSubscriptionStart"] == str(number)  # S-107, S-110: a string in every version
    assert notification.numbers == [number]
    assert carrier["subscription"]["reference"].endswith(f"Subscription/{subscription_id}")
    opening = bundle["entry"][0]
    assert opening["fullUrl"] == f"urn:uuid:{opening['resource']['id']}"
    if base is FhirVersion.R5:
        assert all("response" not in entry for entry in bundle["entry"])  # S-129
    else:
        assert all("request" in entry and "response" in entry for entry in bundle["entry"])  # S-123
        assert opening["request"]["url"].endswith(f"Subscription/{subscription_id}/$status")  # S-124
        suffix = "-r4" if base is FhirVersion.R4 else ""
        assert bundle["meta"]["profile"] == [f"{BACKPORT}backport-subscription-notification{suffix}"]


def _check_content(api: Api, content: str, notification: Notification, mark: str) -> None:
    """S-113, S-132…S-134: empty tells neither which resource nor which type nor which topic."""
    (event,) = notification.events
    assert event.timestamp.endswith("Z")
    if content == "empty":
        for leak in (mark, "Patient", PATIENT_CHANGE, SECRET, "focus"):
            assert leak.encode() not in notification.body, leak
        assert event.focus == "" and notification.entries == []
        return
    assert event.focus == f"{BASE_URL}{api.base.path}/Patient/{mark}"
    assert notification.carrier["topic"] == PATIENT_CHANGE
    if content == "id-only":
        assert notification.entries == []
        assert SECRET.encode() not in notification.body


def _check_entries(api: Api, notifications: list[Notification], mark: str) -> None:
    """S-125, S-134, S-137: a deleted focus is told by the request alone."""
    expected = [("POST", "Patient", "201"), ("PUT", f"Patient/{mark}", "200"), ("DELETE", f"Patient/{mark}", "204")]
    for notification, (method, url, status) in zip(notifications, expected, strict=True):
        (entry,) = notification.entries
        assert entry["fullUrl"] == notification.events[0].focus
        assert entry["request"] == {"method": method, "url": url}
        assert api.base is FhirVersion.R5 or entry["response"]["status"] == status
        assert ("resource" in entry) is (method != "DELETE")
    first, second = (notification.entries[0]["resource"] for notification in notifications[:2])
    assert (first["meta"]["versionId"], second["meta"]["versionId"]) == ("1", "2")
    assert "active" not in first and second["active"] is True
    assert SECRET.encode() not in notifications[2].body


@pytest.mark.parametrize("content", CONTENTS)
async def test_a_handshake_carries_no_event_and_counts_nothing(api: Api, inbox: Inbox, content: str) -> None:
    """S-107, SECURITY B1."""
    await subscribe(api, inbox, content=content)
    handshake = inbox.everything[0]
    assert handshake.carrier["eventsSinceSubscriptionStart"] == "0"
    assert handshake.events == [] and len(handshake.bundle["entry"]) == 1
    assert (PATIENT_CHANGE.encode() in handshake.body) is (content != "empty")  # S-114


async def test_a_heartbeat_comes_within_its_period_and_counts_nothing(api: Api, inbox: Inbox) -> None:
    """S-106, S-145; ruling 28: due at 0.9 of the period."""
    told = await subscribe(api, inbox, heartbeat=1, filters=(f"_id={(mark := fresh_id())}",))
    await api.put(f"Patient/{mark}", patient(mark))
    await inbox.event()
    heartbeat = await inbox.next("heartbeat", seconds=1.0)
    assert heartbeat.carrier["status"] == "active"
    assert heartbeat.carrier["eventsSinceSubscriptionStart"] == "1"
    assert heartbeat.events == [] and len(heartbeat.bundle["entry"]) == 1
    await api.delete(f"Subscription/{told['id']}")


async def test_a_subscription_without_heartbeat_period_gets_no_heartbeat(api: Api, inbox: Inbox) -> None:
    await subscribe(api, inbox)
    assert [each.type for each in inbox.everything] == ["handshake"]


async def test_a_patient_filter_lets_only_that_patient_through(api: Api, receiver: Receiver) -> None:
    mine, theirs = fresh_id(), fresh_id()
    inboxes = {whose: receiver.inbox() for whose in (mine, theirs)}
    for whose, inbox in inboxes.items():
        await subscribe(api, inbox, ENCOUNTER_START, content="full-resource", filters=(f"patient=Patient/{whose}",))
    for turn in range(3):
        for whose in (mine, theirs):
            identity = f"of-{whose}-{turn}"
            await api.put(f"Encounter/{identity}", encounter(api.base, identity, whose))
    for whose, inbox in inboxes.items():
        other = theirs if whose == mine else mine
        arrived = [await inbox.event() for _ in range(3)]
        assert [number for each in arrived for number in each.numbers] == [1, 2, 3]
        assert all(other.encode() not in each.body for each in inbox.everything)
        assert inbox.nothing_unread()


async def test_subscriptions_to_several_topics_are_told_of_their_own(api: Api, receiver: Receiver) -> None:
    mark = fresh_id()
    patients, encounters = receiver.inbox(), receiver.inbox()
    await subscribe(api, patients, PATIENT_CHANGE, filters=(f"_id={mark}",))
    await subscribe(api, encounters, ENCOUNTER_START, filters=(f"patient=Patient/{mark}",))
    await api.put(f"Patient/{mark}", patient(mark))
    await api.put(f"Encounter/{mark}", encounter(api.base, mark, mark))
    await api.put(f"Encounter/{mark}", encounter(api.base, mark, mark, "finished"))
    assert (await patients.event()).events[0].focus.endswith(f"/Patient/{mark}")
    assert (await encounters.event()).events[0].focus.endswith(f"/Encounter/{mark}")
    assert patients.nothing_unread() and encounters.nothing_unread()


async def test_several_filters_are_all_conditions_and_commas_are_alternatives(api: Api, inbox: Inbox) -> None:
    """S-096."""
    marks = [fresh_id() for _ in range(3)]
    await subscribe(api, inbox, filters=(f"_id={','.join(marks)}", "gender=male,female"))
    for mark, gender in zip(marks, ("other", "female", "male"), strict=True):
        await api.put(f"Patient/{mark}", patient(mark, gender=gender))
    told = [(await inbox.event()).events[0].focus.rpartition("/")[2] for _ in range(2)]
    assert told == marks[1:]


async def test_a_change_on_one_base_is_told_on_that_base_only(receiver: Receiver, running: Any) -> None:
    """HOUSE decision 1."""
    mark, inboxes = fresh_id(), {base: receiver.inbox() for base in FhirVersion}
    for base, inbox in inboxes.items():
        await subscribe(running.api(base), inbox, filters=(f"_id={mark}",))
    for base, inbox in inboxes.items():
        await running.api(base).put(f"Patient/{mark}", patient(mark))
        assert (await inbox.event()).events[0].focus == f"{BASE_URL}{base.path}/Patient/{mark}"
    assert all(inbox.nothing_unread() for inbox in inboxes.values())


async def test_events_come_in_the_order_in_which_changes_were_accepted(api: Api, inbox: Inbox) -> None:
    """Ruling 32: across resources."""
    marks = [fresh_id() for _ in range(40)]
    await subscribe(api, inbox, max_count=7, filters=(f"_id={','.join(marks)}",))
    for mark in marks:
        await api.put(f"Patient/{mark}", patient(mark))
    told: list[tuple[int, str]] = []
    while len(told) < len(marks):
        told += [(int(each.number), each.focus.rpartition("/")[2]) for each in (await inbox.event()).events]
    assert told == list(enumerate(marks, 1))


@pytest.mark.parametrize("content", CONTENTS)
async def test_numbers_are_strings_on_the_wire(api: Api, inbox: Inbox, content: str) -> None:
    """S-110."""
    await subscribe(api, inbox, content=content, filters=(f"_id={(mark := fresh_id())}",))
    await api.put(f"Patient/{mark}", patient(mark))
    notification = await inbox.event()
    text = json.dumps(notification.bundle["entry"][0])
    assert '"1"' in text and ": 1}" not in text and ": 1," not in text
