"""Subscriptions on the three bases, each in its own shape (issue point 4, S-071…S-101)."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from fhir.resources.R4B.subscription import Subscription as R4BSubscription
from fhir.resources.subscription import Subscription as R5Subscription

from hub.domain.versions import FhirVersion
from tests.api.builders import (
    BACKPORT,
    ENCOUNTER_START,
    PATIENT_CHANGE,
    encounter,
    fresh_id,
    ids_in,
    patient,
    subscribe,
    subscription,
    until_status,
)
from tests.api.harness import BASE_URL, Api, expressions_of, outcome_of
from tests.api.receiver import Inbox, Receiver, Reply

NOWHERE = "http://127.0.0.1:2001/"


async def test_a_subscription_is_answered_as_requested_before_its_handshake_ends_and_then_becomes_active(
    api: Api, inbox: Inbox
) -> None:
    """S-155: the receiver here answers only after the 201 was read."""
    answered = asyncio.Event()
    inbox.replies = [Reply(after=answered)]
    created = await api.post("Subscription", subscription(api.base, inbox.url))
    assert (created.status_code, created.json()["status"]) == (201, "requested")
    identity = created.json()["id"]
    assert created.headers["location"] == f"{BASE_URL}{api.base.path}/Subscription/{identity}/_history/1"
    assert created.headers["etag"] == 'W/"1"'
    handshake = await inbox.next("handshake")
    assert handshake.carrier["status"] == "requested"
    assert (await api.get(f"Subscription/{identity}")).json()["status"] == "requested"
    answered.set()
    await until_status(api, identity, "active")
    assert (await api.get(f"Subscription/{identity}")).headers["etag"] == 'W/"1"'


async def test_what_is_answered_is_valid_and_writes_out_everything_in_effect(api: Api, inbox: Inbox) -> None:
    """S-080: clients shall see what was granted."""
    created = await api.post("Subscription", subscription(api.base, inbox.url, timeout=999, max_count=5000))
    model = R5Subscription if api.base is FhirVersion.R5 else R4BSubscription
    shown = created.json()
    model.model_validate(copy.deepcopy(shown))
    granted = (shown["timeout"], shown["maxCount"]) if api.base is FhirVersion.R5 else _granted(shown)
    assert granted == (120, 1000)


def _granted(shown: dict[str, Any]) -> tuple[int, int]:
    options = {each["url"].removeprefix(BACKPORT): each for each in shown["channel"]["extension"]}
    return options["backport-timeout"]["valueUnsignedInt"], options["backport-max-count"]["valuePositiveInt"]


async def test_a_failed_handshake_is_an_error_and_is_tried_again(api: Api, inbox: Inbox) -> None:
    """Ruling 16: no event goes to an endpoint whose handshake has not succeeded."""
    inbox.reply = Reply(500)
    created = await api.post("Subscription", subscription(api.base, inbox.url))
    identity = created.json()["id"]
    await inbox.next("handshake")
    shown = await until_status(api, identity, "error")
    assert ("error" in shown) is (api.base is not FhirVersion.R5)  # S-099
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    inbox.reply = Reply(200)
    while inbox.everything[-1].answered != 200:
        await inbox.next("handshake")
    assert (await inbox.event()).numbers == [1]
    await until_status(api, identity, "active")


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_extensions_of_primitives_survive_a_round_trip(api: Api, inbox: Inbox) -> None:
    """S-088; extensions of other publishers are kept and ignored (S-091)."""
    own = {"url": "http://example.org/own", "valueString": "kept"}
    body = subscription(api.base, inbox.url, filters=("_id=1", "Patient?gender=male"), extension=[own])
    body["_reason"] = {"extension": [own]}
    body["channel"]["_endpoint"] = {"extension": [own]}
    body["channel"]["_type"] = {"extension": [own]}
    identity = (await api.post("Subscription", body)).json()["id"]
    shown = (await api.get(f"Subscription/{identity}")).json()
    for name in ("_criteria", "_reason", "extension", "reason", "criteria"):
        assert shown[name] == body[name], name
    for name in ("_payload", "_endpoint", "_type", "payload", "type"):
        assert shown["channel"][name] == body["channel"][name], name


FILTERS = [
    "patient=Patient/{it}", "Encounter.patient=Patient/{it}", "Encounter?patient=Patient/{it}&status=in-progress",
    "patient=Patient/other,Patient/{it}", "Encounter?patient={it}",
]  # fmt: skip


@pytest.mark.parametrize("form", FILTERS)
@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_filter_strings_are_read_in_each_of_their_forms(api: Api, inbox: Inbox, form: str) -> None:
    """S-092."""
    mine, other = fresh_id(), fresh_id()
    form = form.replace("&status=in-progress", "&class=AMB").format(it=mine)
    await subscribe(api, inbox, ENCOUNTER_START, filters=(form,))
    for whose in (other, mine):
        await api.put(f"Encounter/of-{whose}", encounter(api.base, f"of-{whose}", whose))
    (event,) = (await inbox.event()).events
    assert event.focus.endswith(f"/Encounter/of-{mine}")
    assert event.number == "1"


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_a_filter_that_names_only_a_type_restricts_to_that_type(api: Api, inbox: Inbox) -> None:
    """S-093, S-094."""
    await subscribe(api, inbox, ENCOUNTER_START, filters=("Encounter?",))
    await api.put(f"Encounter/{(it := fresh_id())}", encounter(api.base, it, "1"))
    assert (await inbox.event()).numbers == [1]


TOPIC, FILTER, CONTENT, ENDPOINT, HEADER, END = range(6)
PLACES = {
    TOPIC: ("Subscription.criteria", "Subscription.topic"),
    FILTER: ("Subscription.criteria.extension", "Subscription.filterBy[0]"),
    CONTENT: ("Subscription.channel.payload", "Subscription.content"),
    ENDPOINT: ("Subscription.channel.endpoint", "Subscription.endpoint"),
    HEADER: ("Subscription.channel.header[0]", "Subscription.parameter[0]"),
    END: ("Subscription.end", "Subscription.end"),
}
"""Where an element stands on R4 and R4B, and on R5."""
REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "unknown topic": ({"topic": "http://example.org/unknown"}, TOPIC),
    "a search as topic": ({"topic": "Patient"}, TOPIC),
    "unknown filter": ({"filters": ("unicorn=1",)}, FILTER),
    "modifier that the topic does not list": ({"filters": ("birthdate:missing=true",)}, FILTER),
    "unknown content": ({"content": "everything"}, CONTENT),
    "relative endpoint": ({"endpoint": "/inbox"}, ENDPOINT),
    "ftp endpoint": ({"endpoint": "ftp://127.0.0.1/"}, ENDPOINT),
    "endpoint with a password": ({"endpoint": "http://a:b@127.0.0.1:2001/"}, ENDPOINT),
    "header of the hub": ({"headers": ("Content-Type: text/plain",)}, HEADER),
    "header beyond ASCII": ({"headers": ("X-Name: Jos\u00e9",)}, HEADER),
    "header with a line end": ({"headers": ("X-Name: a\r\nHost: b",)}, HEADER),
    "mask as a value": ({"headers": ("X-Name: ***",)}, HEADER),
    "end that does not exist": ({"end": "2030-02-31T00:00:00Z"}, END),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_done_exactly_is_refused_with_the_element(api: Api, what: str) -> None:
    """S-081…S-083."""
    options, place = REFUSED[what]
    answer = await api.post("Subscription", subscription(api.base, **({"endpoint": NOWHERE} | options)))
    element = PLACES[place][api.base is FhirVersion.R5]
    assert any(each.startswith(element) for each in expressions_of(answer, 400, 422)), answer.text
    assert answer.status_code == (400 if place == END else 422), answer.text


def _without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    owner = changed
    for name in path[:-1]:
        owner = owner[name]
    del owner[path[-1]]
    return changed


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_the_checks_of_the_backport_profile_are_made(api: Api) -> None:
    """S-090, S-091."""
    good = subscription(api.base, NOWHERE)
    for path in (("channel", "payload"), ("channel", "_payload")):
        outcome_of(await api.post("Subscription", _without(good, *path)), 422)
    wrong = {
        "channel.type": {"channel": good["channel"] | {"type": "email"}},
        "_type": {"channel": good["channel"] | {"_type": {"extension": [CUSTOM_CHANNEL]}}},
        "unknown": {"extension": [{"url": BACKPORT + "backport-unknown", "valueString": "x"}]},
        "misplaced": {"extension": [{"url": BACKPORT + "backport-timeout", "valueUnsignedInt": 3}]},
        "cross": {"extension": [{"url": CROSS + "extension-Subscription.topic", "valueUri": "x"}]},
        "modifier": {"modifierExtension": [{"url": "http://example.org/x", "valueBoolean": True}]},
    }
    for name, change in wrong.items():
        answer = await api.post("Subscription", good | change)
        assert expressions_of(answer, 400, 422), name
    identifier = {"url": CROSS + "extension-Subscription.identifier", "valueIdentifier": {"value": "1"}}
    assert (await api.post("Subscription", good | {"extension": [identifier], "status": "off"})).status_code == 201


CROSS = "http://hl7.org/fhir/5.0/StructureDefinition/"
CUSTOM_CHANNEL = {
    "url": BACKPORT + "backport-channel-type", "valueCoding": {"system": "http://example.org", "code": "zulip"},
}  # fmt: skip


@pytest.mark.parametrize("base", [FhirVersion.R5])
async def test_the_checks_of_r5_are_made(api: Api) -> None:
    good = subscription(api.base, NOWHERE)
    wrong: dict[str, Any] = {
        "Subscription.channelType": {"channelType": {"code": "sms"}},
        "Subscription.filterBy[0]": {
            "filterBy": [{"filterParameter": "gender", "value": "x", "comparator": "eq", "modifier": "not"}]
        },
        "Subscription.maxCount": {"maxCount": 0},
        "Subscription.timeout": {"timeout": "60"},
        "Subscription.error": {"error": "x"},
        "Subscription.contentType": {"contentType": "application/fhir+xml"},
    }
    for element, change in wrong.items():
        answer = await api.post("Subscription", good | change)
        assert any(each.startswith(element) for each in expressions_of(answer, 400, 422)), (element, answer.text)


async def test_content_defaults_to_empty_and_max_count_to_one(api: Api, inbox: Inbox) -> None:
    """Ruling 28; R4 and R4B must say the content (S-091)."""
    if api.base is not FhirVersion.R5:
        return
    body = _without(_without(subscription(api.base, inbox.url), "content"), "contentType")
    shown = (await api.post("Subscription", body)).json()
    assert (shown["content"], shown["contentType"], shown["maxCount"], shown["timeout"]) == (
        "empty", "application/fhir+json", 1, 15,
    )  # fmt: skip


async def test_header_values_are_shown_once_and_masked_ever_after(api: Api, inbox: Inbox) -> None:
    """Ruling 24, SECURITY C2: and a PUT with the mask keeps the value."""
    secret = f"Bearer {fresh_id()}"
    body = subscription(api.base, inbox.url, headers=(f"Authorization: {secret}", "X-Tag: a", "X-Tag: b"))
    created = await api.post("Subscription", body)
    assert secret in created.text
    here = f"Subscription/{created.json()['id']}"
    handshake = await inbox.next("handshake")
    assert (handshake.header("authorization"), handshake.request.values("x-tag")) == (secret, ["a", "b"])
    for path in (here, f"{here}/_history/1", f"Subscription?_id={created.json()['id']}"):
        shown = await api.get(path)
        assert secret not in shown.text and "***" in shown.text
    masked = (await api.get(here)).json()
    changed = await api.put(here, masked | {"end": "2040-01-01T00:00:00Z"})
    assert changed.status_code == 200
    assert (await api.get(here)).json()["status"] != "requested" or inbox.nothing_unread()  # no new handshake is due
    await until_status(api, created.json()["id"], "active")
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert (await inbox.event()).header("authorization") == secret
    assert secret not in (await api.get(f"{here}/_history/2")).text


async def test_a_mask_is_not_filled_in_for_another_host(api: Api, inbox: Inbox) -> None:
    """Whoever moves the endpoint is not handed the secret."""
    secret = fresh_id("secret")
    told = await subscribe(api, inbox, headers=(f"X-Key: {secret}",))
    moved = copy.deepcopy(told)
    (moved if api.base is FhirVersion.R5 else moved["channel"])["endpoint"] = "http://localhost:2001/"
    answer = await api.put(f"Subscription/{told['id']}", moved)
    outcome_of(answer, 422)
    assert secret not in answer.text


async def test_search_finds_subscriptions_by_each_of_its_parameters(api: Api, receiver: Receiver) -> None:
    one, two = receiver.inbox(), receiver.inbox()
    first = (await subscribe(api, one))["id"]
    second = (await subscribe(api, two, f"{ENCOUNTER_START}|1.0.0", content="empty"))["id"]
    both = f"url={one.url},{two.url}"
    assert ids_in(await api.get(f"Subscription?{both}")) == sorted([first, second])
    assert ids_in(await api.get(f"Subscription?{both}&topic={ENCOUNTER_START}")) == [second]  # S-256
    assert ids_in(await api.get(f"Subscription?{both}&topic={ENCOUNTER_START}|1.0.0")) == [second]
    assert ids_in(await api.get(f"Subscription?{both}&topic={ENCOUNTER_START}|2")) == []
    assert ids_in(await api.get(f"Subscription?{both}&topic={PATIENT_CHANGE}")) == [first]
    assert ids_in(await api.get(f"Subscription?{both}&status=active,off")) == sorted([first, second])
    assert ids_in(await api.get(f"Subscription?{both}&status=off")) == []
    assert ids_in(await api.get(f"Subscription?{both}&_id={first}")) == [first]
    assert ids_in(await api.get(f"Subscription?{both}&type=rest-hook")) == sorted([first, second])
    page = (await api.get(f"Subscription?{both}&_count=1")).json()
    assert (page["total"], len(page["entry"])) == (2, 1)
    assert page["entry"][0]["fullUrl"].startswith(f"{BASE_URL}{api.base.path}/Subscription/")
    (following,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    assert ids_in(await api.get(following.removeprefix(BASE_URL))) == [max(first, second)]
    await api.delete(f"Subscription/{first}")
    assert ids_in(await api.get(f"Subscription?{both}")) == [second]


async def test_a_deleted_subscription_is_gone_and_hears_nothing_more(api: Api, inbox: Inbox) -> None:
    told = await subscribe(api, inbox)
    here = f"Subscription/{told['id']}"
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.get(here), 410)
    outcome_of(await api.get(f"{here}/$status"), 410)
    outcome_of(await api.get(f"{here}/$events"), 410)
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.delete(f"Subscription/{fresh_id()}"), 404)
    await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    await asyncio.sleep(0.1)
    assert inbox.nothing_unread()


async def test_a_client_may_name_its_subscription_and_another_base_has_its_own(api: Api, inbox: Inbox) -> None:
    identity = fresh_id()
    body = subscription(api.base, inbox.url, id=identity)
    assert (await api.put(f"Subscription/{identity}", body)).status_code == 201
    assert (await api.put(f"Subscription/{identity}", body)).status_code == 200
    outcome_of(await api.put(f"Subscription/{identity}", body | {"id": "other"}), 400)
    outcome_of(await api.put(f"Subscription/{fresh_id()}", body), 400)
    outcome_of(await api.put(f"Subscription/{(new := fresh_id())}", body | {"id": new}, If_Match='W/"1"'), 412)
    outcome_of(await api.put(f"Subscription/{identity}", body, If_Match='W/"1"'), 412)
    outcome_of(await api.delete(f"Subscription/{identity}", If_Match='W/"1"'), 412)
    assert (await api.get(f"Subscription/{identity}/_history/1")).status_code == 200
    outcome_of(await api.get(f"Subscription/{identity}/_history/3"), 404)


async def test_prefer_chooses_what_the_answer_carries_and_warnings_are_in_the_outcome(api: Api, inbox: Inbox) -> None:
    """S-097: two filters on one parameter are AND, which rarely is what was meant."""
    body = subscription(api.base, inbox.url, filters=("gender=male", "gender=female"))
    minimal = await api.post("Subscription", body, Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    outcome = (await api.post("Subscription", body, Prefer="return=OperationOutcome")).json()
    assert [issue["severity"] for issue in outcome["issue"]] == ["information", "warning"]
