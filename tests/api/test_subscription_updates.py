"""What an update of a Subscription does to its deliveries (rulings 16, 17, 20; S-071…S-079)."""

from __future__ import annotations

import asyncio
import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.store.agenda import Hold
from tests.api.builders import PATIENT_CHANGE, fresh_id, patient, subscribe, subscription, until_status
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox, Receiver, Reply


def changed(api: Api, told: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The same Subscription written anew with these options."""
    where = told if api.base is FhirVersion.R5 else told["channel"]
    options = {"content": "id-only", "status": told["status"]} | options
    return subscription(api.base, options.pop("endpoint", where["endpoint"]), id=told["id"], **options)


async def test_a_change_accepted_before_the_subscription_gives_no_event(api: Api, inbox: Inbox) -> None:
    """Ruling 16: events count from the 201 on."""
    before, after = fresh_id(), fresh_id()
    await api.put(f"Patient/{before}", patient(before))
    created = await api.post("Subscription", subscription(api.base, inbox.url))
    assert created.status_code == 201
    await api.put(f"Patient/{after}", patient(after))
    await inbox.next("handshake")
    (event,) = (await inbox.event()).events
    assert (event.number, event.focus.rpartition("/")[2]) == ("1", after)


async def test_events_before_the_handshake_succeeds_are_delivered_after_it(api: Api, inbox: Inbox) -> None:
    go_on = asyncio.Event()
    inbox.replies = [Reply(after=go_on)]
    await api.post("Subscription", subscription(api.base, inbox.url))
    await inbox.next("handshake")
    marks = [fresh_id() for _ in range(3)]
    for mark in marks:
        await api.put(f"Patient/{mark}", patient(mark))
    assert inbox.nothing_unread()
    go_on.set()
    told = [(await inbox.event()).events[0] for _ in marks]
    assert [event.focus.rpartition("/")[2] for event in told] == marks
    assert [event.number for event in told] == ["1", "2", "3"]


async def test_new_filters_apply_between_two_events_without_a_new_handshake(api: Api, inbox: Inbox) -> None:
    """Ruling 17."""
    told = await subscribe(api, inbox, filters=("gender=male",))
    one, two, three = (fresh_id() for _ in range(3))
    await api.put(f"Patient/{one}", patient(one, gender="male"))
    (event,) = (await inbox.event()).events  # judged: a change that is not yet is judged by the newer filters
    found = {event.number: event.focus.rpartition("/")[2]}
    answer = await api.put(f"Subscription/{told['id']}", changed(api, told, filters=("gender=female",)))
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    await api.put(f"Patient/{two}", patient(two, gender="male"))
    await api.put(f"Patient/{three}", patient(three, gender="female"))
    while len(found) < 2:  # an event whose attempt the update overtook comes twice, under its number (S-147)
        (event,) = (await inbox.event()).events
        found[event.number] = event.focus.rpartition("/")[2]
    assert found == {"1": one, "2": three}
    await until_status(api, told["id"], "active")
    assert [each.type for each in inbox.everything].count("handshake") == 1


CHANGES: dict[str, dict[str, Any]] = {
    "content": {"content": "full-resource"}, "header": {"headers": ("X-Key: new",)}, "endpoint": {"endpoint": ""},
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_a_new_endpoint_header_or_content_is_shaken_hands_with_before_any_event(
    api: Api, receiver: Receiver, what: str
) -> None:
    """Ruling 17, SECURITY B1; what waits goes out in the new shape."""
    inbox, elsewhere = receiver.inbox(), receiver.inbox()
    told = await subscribe(api, inbox, headers=("X-Key: old",))
    options = {"headers": ("X-Key: old",)} | CHANGES[what]
    target = elsewhere if what == "endpoint" else inbox
    options["endpoint"] = target.url
    answer = await api.put(f"Subscription/{told['id']}", changed(api, told, **options))
    assert (answer.status_code, answer.json()["status"]) == (200, "requested")
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    handshake = await target.next("handshake")
    event = await target.event()
    assert handshake.header("x-key") == event.header("x-key") == ("new" if what == "header" else "old")
    assert bool(event.entries) is (what == "content")
    assert what != "endpoint" or inbox.nothing_unread()


async def test_a_new_endpoint_that_refuses_the_handshake_sees_nothing_else(api: Api, receiver: Receiver) -> None:
    inbox, elsewhere = receiver.inbox(), receiver.inbox()
    elsewhere.reply = Reply(403)
    told = await subscribe(api, inbox)
    await api.put(f"Subscription/{told['id']}", changed(api, told, endpoint=elsewhere.url))
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    for _ in range(3):
        await elsewhere.next("handshake")
    assert {each.type for each in elsewhere.everything} == {"handshake"}
    await until_status(api, told["id"], "error")
    assert inbox.nothing_unread()


async def test_off_is_told_once_and_then_there_is_silence(api: Api, inbox: Inbox) -> None:
    """Ruling 20, S-078: one last heartbeat with status off; what happens meanwhile is not numbered."""
    told = await subscribe(api, inbox)
    answer = await api.put(f"Subscription/{told['id']}", changed(api, told, status="off"))
    assert answer.json()["status"] == "off"
    farewell = await inbox.next("heartbeat")
    assert farewell.carrier["status"] == "off"
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    await asyncio.sleep(0.1)
    assert len(inbox.everything) == 2
    assert (await api.get(f"Subscription/{told['id']}")).json()["status"] == "off"


async def test_what_waited_when_it_was_switched_off_goes_out_after_a_new_request(api: Api, inbox: Inbox) -> None:
    """Ruling 20: delivery goes on after the cursor; numbers go on."""
    told = await subscribe(api, inbox)
    one, two, three = (fresh_id() for _ in range(3))
    await api.put(f"Patient/{one}", patient(one))
    assert (await inbox.event()).numbers == [1]
    inbox.reply = Reply(503)
    await api.put(f"Patient/{two}", patient(two))
    await inbox.event()
    await api.put(f"Subscription/{told['id']}", changed(api, told, status="off"))
    await until_status(api, told["id"], "off")
    await api.put(f"Patient/{three}", patient(three))
    await asyncio.sleep(0.05)
    inbox.reply = Reply(200)
    arrived = len(inbox.everything)
    answer = await api.put(f"Subscription/{told['id']}", changed(api, told))
    assert answer.json()["status"] == "requested"
    while not [each for each in inbox.everything[arrived:] if each.type == "event-notification"]:
        await asyncio.sleep(0.01)
    kinds = [each.type for each in inbox.everything[arrived:] if each.carrier["status"] != "off"]
    assert kinds == ["handshake", "event-notification"]
    (event,) = inbox.everything[-1].events
    assert (event.number, event.focus.rpartition("/")[2]) == ("2", two)
    await api.put(f"Patient/{one}", patient(one, active=False))
    while inbox.everything[-1].numbers != [3]:
        await asyncio.sleep(0.01)


async def test_end_switches_a_subscription_off(api: Api, inbox: Inbox) -> None:
    """S-079."""
    moment = datetime.now(UTC) + timedelta(milliseconds=400)
    told = await subscribe(api, inbox, end=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    farewell = await inbox.next("heartbeat")
    assert farewell.carrier["status"] == "off"
    assert datetime.now(UTC) >= moment
    await until_status(api, told["id"], "off")
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    await asyncio.sleep(0.05)
    assert inbox.nothing_unread()


async def test_what_happened_between_its_end_and_its_new_life_is_no_event(
    running: RunningHub, api: Api, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-079, ruling 16: also when nobody has come round to switch it off, and the change is judged only afterwards."""
    moment = datetime.now(UTC) + timedelta(milliseconds=1500)
    told = await subscribe(api, inbox, end=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    async def nothing(_: object) -> list[Hold]:
        return []

    between, after = fresh_id(), fresh_id()
    with monkeypatch.context() as held_up:
        held_up.setattr(running.hub.worker, "_claim", nothing)
        held_up.setattr(running.hub.changes, "stand_still", lambda _: True)
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()) + 0.01)
        await api.put(f"Patient/{between}", patient(between))
        again = await api.put(f"Subscription/{told['id']}", changed(api, told, status="requested"))
        assert again.status_code == 200, again.text
    await api.put(f"Patient/{after}", patient(after))
    await inbox.next("handshake")
    (event,) = (await inbox.event()).events
    assert (event.number, event.focus.rpartition("/")[2]) == ("1", after)


async def test_what_has_ended_is_not_begun_silently(api: Api, inbox: Inbox) -> None:
    """S-079, S-084: it would be accepted as requested and switched off without a word."""
    over = subscription(api.base, inbox.url, end="2020-12-31T12:00:00Z")
    assert expressions_of(await api.post("Subscription", over), 422) == ["Subscription.end"]
    assert (await api.post("Subscription", over | {"status": "off"})).status_code == 201
    told = await subscribe(api, inbox)
    again = changed(api, told, status="requested", end="2020-12-31T12:00:00Z")
    assert expressions_of(await api.put(f"Subscription/{told['id']}", again), 422) == ["Subscription.end"]
    stopped = changed(api, told, status="off", end="2020-12-31T12:00:00Z")
    assert (await api.put(f"Subscription/{told['id']}", stopped)).json()["status"] == "off"


async def test_entered_in_error_is_a_status_of_r5_only(api: Api, inbox: Inbox) -> None:
    """S-071."""
    told = await subscribe(api, inbox)
    answer = await api.put(f"Subscription/{told['id']}", changed(api, told, status="entered-in-error"))
    if api.base is not FhirVersion.R5:
        outcome_of(answer, 400, 422)
        return
    assert answer.json()["status"] == "entered-in-error"
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    await asyncio.sleep(0.05)
    assert inbox.nothing_unread()
    assert (await api.get(f"Subscription/{told['id']}")).json()["status"] == "entered-in-error"


async def test_active_written_by_a_client_means_requested(api: Api, inbox: Inbox) -> None:
    """S-072, S-074: the status is the server's to set; on an active one it changes nothing."""
    created = await api.post("Subscription", subscription(api.base, inbox.url, status="active"))
    assert created.json()["status"] == "requested"
    await inbox.next("handshake")
    told = await until_status(api, created.json()["id"], "active")
    assert (await api.put(f"Subscription/{told['id']}", told)).json()["status"] == "active"
    await asyncio.sleep(0.05)
    assert [each.type for each in inbox.everything] == ["handshake"]


async def test_requested_written_to_an_active_one_shakes_hands_again(api: Api, inbox: Inbox) -> None:
    told = await subscribe(api, inbox)
    assert (await api.put(f"Subscription/{told['id']}", told | {"status": "requested"})).json()["status"] == "requested"
    await inbox.next("handshake")
    await until_status(api, told["id"], "active")


async def test_an_error_of_the_client_is_left_out_and_one_of_the_hub_is_shown(api: Api, inbox: Inbox) -> None:
    """S-087, S-099."""
    if api.base is FhirVersion.R5:
        return
    body = subscription(api.base, inbox.url, error="mine")
    inbox.reply = Reply(500)
    created = await api.post("Subscription", body)
    assert "error" not in created.json()
    shown = await until_status(api, created.json()["id"], "error")
    assert "500" in shown["error"]


async def test_a_refused_update_changes_nothing(api: Api, inbox: Inbox) -> None:
    told = await subscribe(api, inbox, filters=("gender=male",))
    for options in ({"filters": ("unicorn=1",)}, {"topic": PATIENT_CHANGE + "x"}, {"content": "all"}):
        outcome_of(await api.put(f"Subscription/{told['id']}", changed(api, told, **options)), 422)
    again = await api.get(f"Subscription/{told['id']}")
    assert (again.json(), again.headers["etag"]) == (told, 'W/"1"')


async def test_a_shorter_heartbeat_holds_at_once(api: Api, inbox: Inbox) -> None:
    """Ruling 17: heartbeat, maxCount, timeout and end apply without a new handshake."""
    told = await subscribe(api, inbox)
    fast = copy.deepcopy(changed(api, told, heartbeat=1))
    assert (await api.put(f"Subscription/{told['id']}", fast)).json()["status"] == "active"
    assert (await inbox.next("heartbeat")).carrier["status"] == "active"


async def test_a_put_with_the_mask_is_answered_with_the_mask(api: Api, inbox: Inbox) -> None:
    """Ruling 24: whoever reads a Subscription and writes it back need not learn its secret."""
    told = await subscribe(api, inbox, headers=("Authorization: Bearer s3cret",))
    assert "s3cret" not in str(told) and "***" in str(told)
    answer = await api.put(f"Subscription/{told['id']}", told)
    assert answer.status_code == 200
    assert "s3cret" not in answer.text and "***" in answer.text
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert (await inbox.event()).header("authorization") == "Bearer s3cret"


async def test_a_subscription_is_no_store_for_megabytes(api: Api, inbox: Inbox) -> None:
    """SECURITY E3: it is read again with every event and every search."""
    large = subscription(api.base, inbox.url, reason="x" * 70_000)
    assert outcome_of(await api.post("Subscription", large), 413)


@pytest.mark.parametrize(
    "meta", [{"versionId": 7}, {"versionId": ""}, {"lastUpdated": "nonsense"}, {"lastUpdated": []}]
)
async def test_a_meta_of_wrong_types_is_not_handed_on(api: Api, meta: dict[str, Any]) -> None:
    mark = fresh_id()
    assert outcome_of(await api.put(f"Patient/{mark}", patient(mark, meta=meta)), 400)
