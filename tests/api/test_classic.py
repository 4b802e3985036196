"""Classic Subscriptions of R4 and R4B: to a search, beside those to topics (S-007, S-011…S-017; HOUSE ruling 29)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import classic, fresh_id, patient, subscribe, subscription, until_status
from tests.api.harness import Api, RunningHub, outcome_of
from tests.api.receiver import Inbox, Receiver, Reply
from tests.channels.receivers import Request

pytestmark = pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B], indirect=True)
JSON = "application/fhir+json"


async def subscribed(api: Api, inbox: Inbox, criteria: str, payload: str = "", **elements: Any) -> dict[str, Any]:
    answer = await api.post("Subscription", classic(inbox.url, criteria, payload, **elements))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def put(api: Api, identity: str, **elements: Any) -> None:
    assert (await api.put(f"Patient/{identity}", patient(identity, **elements))).is_success


def target(request: Request, inbox: Inbox) -> tuple[str, str]:
    """The method, and the path below the endpoint."""
    method, path, _ = request.line.split()
    return method, path.removeprefix("/inbox/" + inbox.url.rpartition("/")[2])


async def test_it_is_active_at_once_and_nobody_shakes_hands_s017(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    created = await subscribed(api, inbox, f"Patient?family={mark}")
    assert created["status"] == "active"
    await put(api, mark, name=[{"family": mark}])
    assert target(await inbox.bare(), inbox) == ("POST", "")


async def test_without_a_payload_comes_an_empty_post_with_its_headers_s012_s013(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    resource = classic(inbox.url, f"Patient?family={mark}")
    resource["channel"]["header"] = ["Authorization: Bearer abc", "X-Ward: 7"]
    assert (await api.post("Subscription", resource)).status_code == 201
    await put(api, mark, name=[{"family": mark}])
    request = await inbox.bare()
    assert (request.body, request.values("content-type"), request.values("content-length")) == (b"", [], ["0"])
    assert (request.values("authorization"), request.values("x-ward")) == (["Bearer abc"], ["7"])


async def test_with_a_payload_the_resource_is_sent_as_an_update_s012(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await subscribed(api, inbox, f"Patient?_id={mark}", JSON)
    raw = f'{{"resourceType":"Patient","id":"{mark}",   "multipleBirthInteger": 1.0}}'.encode()
    assert (await api.put(f"Patient/{mark}", raw)).status_code == 201
    request = await inbox.bare()
    assert target(request, inbox) == ("PUT", f"/Patient/{mark}")
    assert request.values("content-type") == [JSON]
    assert b'   "multipleBirthInteger": 1.0' in request.body, "the received bytes are forwarded"
    assert json.loads(request.body)["meta"]["versionId"] == "1"


async def test_only_a_new_state_that_matches_fires_s011(api: Api, inbox: Inbox) -> None:
    """Neither a create nor an update that does not match, nor leaving the match, nor a delete."""
    mark, other = fresh_id(), fresh_id()
    await subscribed(api, inbox, f"/Patient?identifier={mark}&active=true", JSON)
    of_mark = {"identifier": [{"value": mark}]}
    await put(api, mark, active=False, **of_mark)
    await put(api, mark, active=True, **of_mark)
    await put(api, mark, active=False, **of_mark)
    await put(api, mark, active=True, gender="other", **of_mark)
    await put(api, mark, active=True, gender="male", **of_mark)
    assert (await api.delete(f"Patient/{mark}")).is_success
    await put(api, other, active=True, **of_mark)
    requests = [await inbox.bare() for _ in range(4)]
    found = [(json.loads(each.body)["id"], json.loads(each.body)["meta"]["versionId"]) for each in requests]
    assert found == [(mark, "2"), (mark, "4"), (mark, "5"), (other, "1")]
    assert inbox.nothing_unread()


async def test_a_search_without_conditions_hears_of_every_resource_of_its_type(api: Api, inbox: Inbox) -> None:
    await subscribed(api, inbox, "Medication?", JSON)
    marks = [fresh_id() for _ in range(3)]
    for mark in marks:
        resource = {"resourceType": "Medication", "id": mark}
        assert (await api.put(f"Medication/{mark}", resource)).status_code == 201
    heard = [target(await inbox.bare(), inbox)[1] for _ in marks]
    assert heard == [f"/Medication/{mark}" for mark in marks]


async def test_it_lives_beside_a_subscription_to_a_topic(api: Api, inbox: Inbox, receiver: Receiver) -> None:
    mark, other = fresh_id(), receiver.inbox()
    await subscribe(api, other, filters=(f"_id={mark}",))
    await subscribed(api, inbox, f"Patient?_id={mark}")
    await put(api, mark)
    assert (await other.event()).numbers == [1]
    assert target(await inbox.bare(), inbox) == ("POST", "")


async def test_a_failed_attempt_is_repeated_and_nothing_overtakes_it(api: Api, inbox: Inbox) -> None:
    marks = [fresh_id() for _ in range(3)]
    await subscribed(api, inbox, f"Patient?_id={','.join(marks)}", JSON)
    inbox.replies = [Reply(503), Reply(500)]
    for mark in marks:
        await put(api, mark)
    requests = [await inbox.bare() for _ in range(5)]
    paths = [target(each, inbox)[1].removeprefix("/Patient/") for each in requests]
    assert paths == [marks[0]] * 3 + marks[1:]
    names = [each.values("webhook-id")[0] for each in requests]
    assert len(set(names[:3])) == 1 and len(set(names)) == 3, "a repeat carries the name of the first attempt"


async def test_a_lasting_failure_is_an_error_and_a_success_makes_it_active_again_s016(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    created = await subscribed(api, inbox, f"Patient?_id={mark}")
    inbox.reply = Reply(503)
    await put(api, mark)
    assert "503" in (await until_status(api, created["id"], "error"))["error"]
    inbox.reply = Reply(200)
    assert "error" not in await until_status(api, created["id"], "active")


async def test_gone_switches_it_off_without_a_last_word_and_requested_makes_it_active(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    created = await subscribed(api, inbox, f"Patient?_id={mark}")
    inbox.replies = [Reply(410)]
    await put(api, mark)
    off = await until_status(api, created["id"], "off")
    answer = await api.put(f"Subscription/{created['id']}", off | {"status": "requested"})
    assert answer.json()["status"] == "active"
    await put(api, mark, active=True)
    await asyncio.gather(*(inbox.bare() for _ in range(3)))  # the 410, what waited, what is new: no farewell between
    assert [each.request.body for each in inbox.everything] == [b""] * 3


async def test_what_is_switched_off_by_its_client_hears_no_last_word(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    created = await subscribed(api, inbox, f"Patient?_id={mark}", JSON)
    switched = await api.put(f"Subscription/{created['id']}", created | {"status": "off"})
    assert switched.json()["status"] == "off"
    await put(api, mark)
    await api.put(f"Subscription/{created['id']}", created | {"status": "requested"})
    await put(api, mark, active=True)
    assert json.loads((await inbox.bare()).body)["active"] is True
    assert len(inbox.everything) == 1


async def test_a_new_search_holds_from_the_next_change_on_and_a_new_endpoint_at_once(
    api: Api, inbox: Inbox, receiver: Receiver
) -> None:
    """Ruling 17, without the handshake that a classic Subscription does not know."""
    mark, other = fresh_id(), fresh_id()
    created = await subscribed(api, inbox, f"Patient?_id={mark}", JSON)
    elsewhere = receiver.inbox()
    changed = classic(elsewhere.url, f"Patient?_id={other}", JSON, id=created["id"])
    assert (await api.put(f"Subscription/{created['id']}", changed)).json()["status"] == "active"
    await put(api, mark)
    await put(api, other)
    assert target(await elsewhere.bare(), elsewhere) == ("PUT", f"/Patient/{other}")
    assert inbox.everything == []


async def test_its_headers_are_masked_when_it_is_read(api: Api, inbox: Inbox) -> None:
    resource = classic(inbox.url, "Patient?_id=x")
    resource["channel"]["header"] = ["Authorization: Bearer abc"]
    created = (await api.post("Subscription", resource)).json()
    assert created["channel"]["header"] == ["Authorization: Bearer abc"]
    shown = (await api.get(f"Subscription/{created['id']}")).json()
    assert shown["channel"]["header"] == ["Authorization: ***"]
    assert shown["criteria"] == "Patient?_id=x"


async def test_status_names_no_topic_and_events_have_no_numbers_s017(api: Api, inbox: Inbox) -> None:
    created = await subscribed(api, inbox, "Patient?_id=x")
    answer = await api.get(f"Subscription/{created['id']}/$status")
    assert answer.status_code == 200
    assert '"topic"' not in answer.text and "active" in answer.text
    issues = outcome_of(await api.get(f"Subscription/{created['id']}/$events"), 422)
    assert "no numbers" in issues[0]["diagnostics"]


@pytest.mark.parametrize(
    ("criteria", "says"),
    [
        ("Pateint?_id=x", "no resource type"),
        ("Subscription?status=active", "Nothing would ever be sent"),
        ("Patient?colour=blue", "no search parameter 'colour'"),
        ("Patient?_has:Observation:patient:code=1", "_has"),
        ("Patient?birthdate=yesterday", "yesterday"),
        ("Patient?name", "not parameter=value"),
        ("Patient", "a search with its type"),
        ("Patient/x", "a search with its type"),
    ],
)
async def test_a_search_that_cannot_be_decided_is_refused_s082(
    api: Api, inbox: Inbox, criteria: str, says: str
) -> None:
    issues = outcome_of(await api.post("Subscription", classic(inbox.url, criteria)), 422)
    assert issues[0]["expression"] == ["Subscription.criteria"]
    assert says in issues[0]["diagnostics"]


async def test_what_cannot_be_sent_is_refused(api: Api, inbox: Inbox) -> None:
    wrong = classic(inbox.url + "?x=1", "Patient?_id=x", JSON)
    assert outcome_of(await api.post("Subscription", wrong), 422)[0]["expression"] == ["Subscription.channel.endpoint"]
    wrong = classic(inbox.url, "Patient?_id=x", "application/fhir+xml")
    assert outcome_of(await api.post("Subscription", wrong), 422)[0]["expression"] == ["Subscription.channel.payload"]


async def test_it_cannot_become_one_to_a_topic_nor_the_other_way(api: Api, inbox: Inbox, receiver: Receiver) -> None:
    created = await subscribed(api, inbox, "Patient?_id=x")
    told = await subscribe(api, receiver.inbox())
    for mine, other in ((created, told), (told, created)):
        answer = await api.put(f"Subscription/{mine['id']}", other | {"id": mine["id"], "status": "requested"})
        assert outcome_of(answer, 422)[0]["expression"] == ["Subscription.criteria"]


async def test_r5_knows_no_search_to_subscribe_to(api: Api, running: RunningHub, inbox: Inbox) -> None:
    resource = subscription(FhirVersion.R5, inbox.url, "Patient?_id=x")
    issues = outcome_of(await running.api(FhirVersion.R5).post("Subscription", resource), 422)
    assert (
        issues[0]["expression"] == ["Subscription.topic"] and "no subscriptions to a search" in issues[0]["diagnostics"]
    )
