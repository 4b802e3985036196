"""``/metadata`` says what works and nothing else: every claim is tried (S-194…S-201)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.life_operations import LIFE_OPERATIONS
from tests.api.builders import PATIENT_CHANGE, fresh_id, ids_in, subscribe, subscription, topic
from tests.api.harness import BASE_URL, Api, RunningHub, outcome_of
from tests.api.receiver import Inbox

OWN_ROOMS = {"SearchParameter", "Subscription", "SubscriptionTopic"}
PATCH = [{"op": "add", "path": "/language", "value": "en"}]
BACKPORT_PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"


@pytest.fixture
async def claimed(api: Api) -> dict[str, dict[str, Any]]:
    """The claims of a base by resource type."""
    statement = (await api.get("metadata")).json()
    (rest,) = statement["rest"]
    assert {each["code"] for each in rest["interaction"]} == {"transaction", "batch"}  # no search of everything
    return {resource["type"]: resource for resource in rest["resource"]}


async def test_metadata_names_version_and_base(api: Api) -> None:
    statement = (await api.get("metadata")).json()
    assert statement["fhirVersion"] == api.base.number
    assert statement["implementation"]["url"].endswith(api.base.path)
    assert statement["kind"] == "instance"
    assert (await api.call("HEAD", "metadata")).status_code == 200


async def test_topics_are_announced_where_r4_clients_look(
    claimed: dict[str, dict[str, Any]], base: FhirVersion
) -> None:
    """S-199: the only discovery there is on R4."""
    announced = {each["valueCanonical"] for each in claimed["Subscription"]["extension"]}
    assert PATIENT_CHANGE in announced
    profiles = claimed["Subscription"].get("supportedProfile", [])
    assert (BACKPORT_PROFILE in profiles) is (base is not FhirVersion.R5)
    assert ("SubscriptionTopic" in claimed) is (base is not FhirVersion.R4)


async def test_every_claimed_interaction_with_every_ordinary_type_works(
    api: Api, claimed: dict[str, dict[str, Any]]
) -> None:
    ordinary = claimed.keys() - OWN_ROOMS
    assert len(ordinary) > 130
    for name in ordinary:
        claim = claimed[name]
        codes = {each["code"] for each in claim["interaction"]}
        assert codes - {"search-type"} == {
            "create", "read", "vread", "history-instance", "update", "patch", "delete",
        }  # fmt: skip
        assert ("search-type" in codes) is ("searchParam" in claim) is (name == "Basic" and api.base is FhirVersion.R4)
        assert claim["updateCreate"] is True and claim["conditionalRead"] == "not-match"
        assert claim["conditionalCreate"] is True and claim["conditionalUpdate"] is True
        assert claim["conditionalDelete"] == "single" and ("operation" in claim) is (
            name == "Basic" and api.base is FhirVersion.R4
        )
    await asyncio.gather(*(_walk(api, name) for name in ordinary))
    await asyncio.gather(*(_walk_conditions(api, name) for name in ordinary))


async def _walk(api: Api, name: str) -> None:
    created = await api.post(name, {"resourceType": name})
    assert created.status_code == 201, (name, created.text)
    here, body = f"{name}/{created.json()['id']}", created.json()
    assert (await api.get(here)).content == created.content
    assert (await api.get(here, If_None_Match='W/"1"')).status_code == 304
    assert (await api.put(here, body)).headers["etag"] == 'W/"2"'
    assert (await api.get(f"{here}/_history/2")).status_code == 200
    patched = await api.call("PATCH", here, PATCH, Content_Type="application/json-patch+json")
    assert (patched.status_code, patched.headers["etag"]) == (200, 'W/"3"'), (name, patched.text)
    assert (await api.delete(here)).status_code == 204
    history = (await api.get(f"{here}/_history")).json()
    methods = [each["request"]["method"] for each in history["entry"]]
    assert methods == ["DELETE", "PUT", "PUT", "POST"]


async def _walk_conditions(api: Api, name: str) -> None:
    """By ``_id``, which every type has."""
    made = await api.post(name, {"resourceType": name}, If_None_Exist=f"_id={fresh_id()}")
    assert made.status_code == 201
    here = f"_id={made.json()['id']}"
    assert (await api.post(name, {"resourceType": name}, If_None_Exist=here)).status_code == 200
    updated = await api.put(f"{name}?{here}", {"resourceType": name, "language": "de"})
    assert (updated.status_code, updated.headers["etag"]) == (200, 'W/"2"')
    assert (await api.delete(f"{name}?{here}")).status_code == 204


async def test_the_claimed_interactions_of_the_whole_base_work(api: Api) -> None:
    entry = {"request": {"method": "POST", "url": "Basic"}, "resource": {"resourceType": "Basic"}}
    for kind in ("transaction", "batch"):
        answer = await api.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert answer.json()["type"] == f"{kind}-response"


async def test_every_claim_about_subscription_works(api: Api, claimed: dict[str, dict[str, Any]], inbox: Inbox) -> None:
    claim = claimed["Subscription"]
    codes = {each["code"] for each in claim["interaction"]}
    assert codes == {"create", "read", "vread", "update", "delete", "search-type"}
    written = await subscribe(api, inbox, filters=(f"_id={fresh_id()}",))
    here = f"Subscription/{written['id']}"
    assert (await api.get(f"{here}/_history/1")).json()["id"] == written["id"]
    values = {
        "_id": written["id"], "status": "active", "topic": PATIENT_CHANGE, "type": "rest-hook", "url": inbox.url,
    }  # fmt: skip
    searched = {each["name"] for each in claim["searchParam"]}
    assert searched >= values.keys()  # test_search.py tries them all
    for name, value in values.items():
        assert written["id"] in ids_in(await api.get(f"Subscription?{name}={value}&_count=1000"))
        assert written["id"] not in ids_in(await api.get(f"Subscription?{name}={OTHER[name]}"))
    names = [each["name"] for each in claim["operation"]]
    assert sorted(names) == sorted(("status", "events", "explain", "get-ws-binding-token", *LIFE_OPERATIONS))
    for name in names:
        query = {"explain": "change=Patient/none", "resend": "eventsSinceNumber=1"}.get(name, "")
        answer = await api.post(f"{here}/${name}?{query}")
        if name == "get-ws-binding-token":  # tests/sockets opens them
            assert "websocket" in outcome_of(answer, 400)[0]["diagnostics"]
        else:
            assert answer.status_code in (200, 404) and "there is no operation" not in answer.text, answer.text
    for name in LIFE_OPERATIONS:
        definition = (await api.get(f"OperationDefinition/hub-{name}")).json()
        assert (definition["code"], definition["instance"], definition["type"]) == (name, True, False)
    assert (await api.put(here, written)).status_code == 200
    assert (await api.delete(here)).status_code == 204


OTHER = {
    "_id": "another", "status": "error", "topic": "http://example.org/another", "type": "email",
    "url": "http://example.org/",
}  # fmt: skip


@pytest.mark.parametrize("base", [FhirVersion.R4B, FhirVersion.R5])
async def test_every_claim_about_subscription_topic_works(api: Api, claimed: dict[str, dict[str, Any]]) -> None:
    claim = claimed["SubscriptionTopic"]
    codes = {each["code"] for each in claim["interaction"]}
    assert codes == {"create", "read", "vread", "update", "delete", "search-type"}
    url = f"http://example.org/topics/{fresh_id()}"
    event = {"event": {"coding": [{"system": "http://example.org/events", "code": "A01"}]}, "resource": "Basic"}
    body = topic(api.base, url) | {"derivedFrom": ["http://example.org/topics/mother"], "eventTrigger": [event]}
    created = await api.post("SubscriptionTopic", body)
    assert created.status_code in (201, 422), created.text
    if created.status_code == 422:  # a topic that waits for events from outside is not decidable here
        del body["eventTrigger"]
        created = await api.post("SubscriptionTopic", body)
    identity = created.json()["id"]
    (operation,) = claim["operation"]
    definition = await api.get(operation["definition"].removeprefix(BASE_URL))
    assert definition.json()["resource"] == ["Subscription", "SubscriptionTopic"]
    here = f"SubscriptionTopic/{identity}"
    values = {
        "_id": identity, "url": url, "derived-or-self": "http://example.org/topics/mother", "resource": "Basic",
        "status": "active", "code": "http://example.org/events|A01",
    }  # fmt: skip
    assert {each["name"] for each in claim["searchParam"]} >= values.keys()  # test_search.py tries them all
    for name, value in values.items():
        found = ids_in(await api.get(f"SubscriptionTopic?{name}={value}"))
        assert (identity in found) is (name != "code" or "eventTrigger" in body), name
    assert (await api.get(here)).json()["url"] == url
    assert (await api.get(f"{here}/_history/1")).json()["url"] == url
    assert (await api.put(here, created.json() | {"title": "x"})).status_code == 200
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.get(here), 410)


@pytest.mark.parametrize("name", ["reason", "header", "status:below", "topic:below", "_text", "_sort", "x"])
async def test_a_search_parameter_that_is_not_claimed_is_refused(api: Api, name: str) -> None:
    outcome_of(await api.get(f"Subscription?{name}=x"), 400)


async def test_a_subscription_shape_of_another_version_is_refused(running: RunningHub, base: FhirVersion) -> None:
    other = FhirVersion.R4 if base is FhirVersion.R5 else FhirVersion.R5
    body = subscription(other, "http://127.0.0.1:2001/")
    outcome_of(await running.api(base).post("Subscription", body), 400, 422)
