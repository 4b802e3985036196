"""SearchParameters of clients: written, checked, used by topics, kept, and never pulled away (S-038, S-046)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import TOPIC_BASES, classic, fresh_id, ids_in, patient, subscribe, subscription, topic
from tests.api.harness import FHIR_JSON, Api, RunningHub, expressions_of, outcome_of, running_hub
from tests.api.receiver import Inbox

StartHub = Callable[..., Awaitable[RunningHub]]

URL = "http://example.org/SearchParameter/"
EYES = "http://example.org/StructureDefinition/eye-colour"


def parameter(code: str = "", **elements: Any) -> dict[str, Any]:
    """Eye colour: a code in an extension of Patient."""
    code = code or fresh_id("eyes")
    return {
        "resourceType": "SearchParameter", "url": URL + code, "name": "EyeColour", "status": "active",
        "description": "The colour of the eyes.", "code": code, "base": ["Patient"], "type": "token",
        "expression": f"Patient.extension('{EYES}').value.ofType(code)", **elements,
    }  # fmt: skip


def with_eyes(identity: str, colour: str) -> dict[str, Any]:
    return patient(identity, extension=[{"url": EYES, "valueCode": colour}])


async def made(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post("SearchParameter", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def topic_with(base: FhirVersion, *names: str, **filters: str) -> dict[str, Any]:
    """``names`` are filtered by their code, ``filters`` by the url that they are defined by."""
    can = [{"resource": "Patient", "filterParameter": name} for name in ("_id", *names)]
    can += [{"resource": "Patient", "filterParameter": k, "filterDefinition": v} for k, v in filters.items()]
    return topic(base, f"http://example.org/topics/{fresh_id()}", "Patient") | {"canFilterBy": can}


async def published(api: Api, body: dict[str, Any]) -> str:
    answer = await api.post("SubscriptionTopic", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def focus(inbox: Inbox) -> str:
    return (await inbox.event()).events[0].focus.rpartition("/")[2]


async def test_its_life_is_that_of_every_definition(api: Api) -> None:
    body = parameter()
    created = await api.post("SearchParameter", body)
    assert created.status_code == 201 and created.headers["etag"] == 'W/"1"'
    identity = created.json()["id"]
    read = await api.get(f"SearchParameter/{identity}")
    assert read.status_code == 200
    shown = read.json()
    assert {name: value for name, value in shown.items() if name not in ("id", "meta")} == body
    changed = body | {"id": identity, "description": "Of both eyes."}
    assert (await api.put(f"SearchParameter/{identity}", changed, If_Match='W/"1"')).status_code == 200
    outcome_of(await api.put(f"SearchParameter/{identity}", changed, If_Match='W/"1"'), 412)
    assert (await api.get(f"SearchParameter/{identity}/_history/1")).json()["description"] == body["description"]
    assert (await api.delete(f"SearchParameter/{identity}")).status_code == 204
    outcome_of(await api.get(f"SearchParameter/{identity}"), 410)
    outcome_of(await api.get("SearchParameter/never-there"), 404)
    outcome_of(await api.delete("SearchParameter/never-there"), 404)


async def test_it_is_found_by_url_and_code(api: Api) -> None:
    one, other = parameter(), parameter(base=["Encounter"], expression="Encounter.status")
    ids = [(await made(api, body))["id"] for body in (one, other)]
    assert ids_in(await api.get(f"SearchParameter?url={one['url']}")) == [ids[0]]
    assert ids_in(await api.get(f"SearchParameter?code={other['code']}&base=Encounter")) == [ids[1]]
    assert ids_in(await api.get(f"SearchParameter?code={other['code']}&base=Patient")) == []
    statement = (await api.get("metadata")).json()
    (claimed,) = [each for each in statement["rest"][0]["resource"] if each["type"] == "SearchParameter"]
    assert {"url", "code"} <= {each["name"] for each in claimed["searchParam"]}
    assert {"create", "update", "delete", "search-type"} <= {each["code"] for each in claimed["interaction"]}


BAD: list[tuple[dict[str, Any], str, int]] = [
    ({"url": "eyes"}, "url", 422),
    ({"url": URL + "x|1"}, "url", 422),
    ({"code": "_eyes"}, "code", 422),
    ({"code": "eye.colour"}, "code", 422),
    ({"code": "gender"}, "code", 409),
    ({"code": "status", "base": ["Resource"], "expression": "Resource.id"}, "code", 409),
    ({"url": "http://hl7.org/fhir/SearchParameter/individual-gender"}, "url", 409),
    ({"base": ["Human"]}, "base[0]", 422),
    ({"type": "special"}, "type", 422),
    ({"expression": "Patient.eyes"}, "expression", 422),
    ({"expression": "Patient.extension("}, "expression", 422),
    ({"expression": "%vs-eyes"}, "expression", 422),
    ({"type": "reference", "target": ["Human"]}, "target[0]", 422),
    ({"type": "composite"}, "component", 422),
    ({"status": "new"}, "status", 422),
]


@pytest.mark.parametrize(("elements", "where", "status"), BAD)
async def test_what_cannot_be_evaluated_or_would_change_the_standard_is_refused(
    api: Api, elements: dict[str, Any], where: str, status: int
) -> None:
    answer = await api.post("SearchParameter", parameter(**elements))
    assert f"SearchParameter.{where}" in expressions_of(answer, status), answer.text
    assert await of_url(api, {"url": URL + "x", **elements}["url"]) == []


async def of_url(api: Api, url: str) -> list[str]:
    return ids_in(await api.get("SearchParameter?url=" + url.replace("|", "%7C")))


@pytest.mark.parametrize("element", ["expression", "code", "base", "url", "status", "type"])
async def test_what_is_needed_must_be_there(api: Api, element: str) -> None:
    body = {name: value for name, value in parameter().items() if name != element}
    found = expressions_of(await api.post("SearchParameter", body), 400, 422)
    assert f"SearchParameter.{element}" in found


async def test_one_url_and_one_code_mean_one_thing(api: Api) -> None:
    body = parameter()
    await made(api, body)
    again = expressions_of(await api.post("SearchParameter", body | {"code": "other"}), 409)
    assert again == ["SearchParameter.url"]
    same_code = body | {"url": body["url"] + "2", "base": ["Encounter", "Patient"], "expression": "Patient.id"}
    assert expressions_of(await api.post("SearchParameter", same_code), 409) == ["SearchParameter.code"]


async def test_it_cannot_come_in_a_bundle(api: Api) -> None:
    """It would be stored as data and mean nothing."""
    entry = {"resource": parameter(), "request": {"method": "POST", "url": "SearchParameter"}}
    outcome_of(await api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}), 422)


@pytest.fixture(params=TOPIC_BASES, ids=[base.value for base in TOPIC_BASES])
def topic_api(running: RunningHub, request: pytest.FixtureRequest) -> Api:
    return running.api(FhirVersion(request.param))


@pytest.mark.parametrize("by_definition", [True, False])
async def test_a_topic_filters_by_it(topic_api: Api, inbox: Inbox, by_definition: bool) -> None:
    """S-046: by its canonical under any name, or by its code."""
    body = parameter()
    await made(topic_api, body)
    name = "colour" if by_definition else body["code"]
    written = topic_with(topic_api.base, **{name: body["url"]}) if by_definition else topic_with(topic_api.base, name)
    await published(topic_api, written)
    blue, brown = fresh_id(), fresh_id()
    await subscribe(topic_api, inbox, written["url"], filters=(f"{name}=blue",))
    await topic_api.put(f"Patient/{brown}", with_eyes(brown, "brown"))
    await topic_api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
    assert await focus(inbox) == blue
    assert inbox.nothing_unread()


async def test_criteria_and_chains_may_use_it(topic_api: Api, inbox: Inbox) -> None:
    body = parameter()
    await made(topic_api, body)
    written = topic(
        topic_api.base,
        f"http://example.org/topics/{fresh_id()}",
        "Observation",
        queryCriteria={"current": f"subject:Patient.{body['code']}=blue"},
    )
    await published(topic_api, written)
    blue, brown, seen, unseen = (fresh_id() for _ in range(4))
    await topic_api.put(f"Patient/{brown}", with_eyes(brown, "brown"))
    await topic_api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
    await subscribe(topic_api, inbox, written["url"])
    for identity, subject in ((unseen, brown), (seen, blue)):
        observation = {
            "resourceType": "Observation", "id": identity, "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/{subject}"},
        }  # fmt: skip
        await topic_api.put(f"Observation/{identity}", observation)
    assert await focus(inbox) == seen
    assert inbox.nothing_unread()


async def test_a_topic_that_was_there_before_gains_it(topic_api: Api, inbox: Inbox) -> None:
    """A filter that nobody could use becomes usable, for the topics of clients and for shipped ones alike."""
    body = parameter()
    written = topic_with(topic_api.base, body["code"])
    await published(topic_api, written)
    refused = await topic_api.post(
        "Subscription", subscription(topic_api.base, inbox.url, written["url"], filters=(f"{body['code']}=blue",))
    )
    outcome_of(refused, 422)
    await made(topic_api, body)
    blue = fresh_id()
    await subscribe(topic_api, inbox, written["url"], filters=(f"{body['code']}=blue",))
    await topic_api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
    assert await focus(inbox) == blue


async def test_it_is_neither_changed_nor_deleted_while_it_is_used(topic_api: Api, inbox: Inbox) -> None:
    """Whoever uses it is named, and nothing is done."""
    body = parameter()
    identity = (await made(topic_api, body))["id"]
    written = topic_with(topic_api.base, body["code"])
    topic_id = await published(topic_api, written)
    listening = await subscribe(topic_api, inbox, written["url"], filters=(f"{body['code']}=blue",))
    attempts = [
        topic_api.delete(f"SearchParameter/{identity}"),
        *(
            topic_api.put(f"SearchParameter/{identity}", body | {"id": identity} | change)
            for change in ({"expression": "Patient.language"}, {"status": "retired"}, {"base": ["Person"]})
        ),
    ]
    for attempt in attempts[:3]:
        (issue,) = outcome_of(await attempt, 409)
        assert written["url"] in issue["diagnostics"] and f"Subscription/{listening['id']}" in issue["diagnostics"]
    outcome_of(await attempts[3], 409, 422)
    assert (await topic_api.get(f"SearchParameter/{identity}")).json()["meta"]["versionId"] == "1"
    told = body | {"id": identity, "description": "Told in other words."}
    assert (await topic_api.put(f"SearchParameter/{identity}", told)).status_code == 200
    blue = fresh_id()
    await topic_api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
    assert await focus(inbox) == blue
    assert (await topic_api.delete(f"Subscription/{listening['id']}")).status_code in (200, 204)
    assert (await topic_api.delete(f"SubscriptionTopic/{topic_id}")).status_code == 204
    assert (await topic_api.delete(f"SearchParameter/{identity}")).status_code == 204


@pytest.mark.parametrize("base_of_classic", [FhirVersion.R4, FhirVersion.R4B])
async def test_a_classic_search_uses_it_and_holds_it_too(
    running: RunningHub, inbox: Inbox, base_of_classic: FhirVersion
) -> None:
    """S-011."""
    api, body = running.api(base_of_classic), parameter()
    identity = (await made(api, body))["id"]
    answer = await api.post("Subscription", classic(inbox.url, f"Patient?{body['code']}=blue", FHIR_JSON))
    assert answer.status_code == 201, answer.text
    blue, brown = fresh_id(), fresh_id()
    await api.put(f"Patient/{brown}", with_eyes(brown, "brown"))
    await api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
    assert json.loads((await inbox.bare()).body)["id"] == blue
    (issue,) = outcome_of(await api.delete(f"SearchParameter/{identity}"), 409)
    assert f"Subscription/{answer.json()['id']}" in issue["diagnostics"]
    assert (await api.delete(f"Subscription/{answer.json()['id']}")).status_code in (200, 204)
    assert (await api.delete(f"SearchParameter/{identity}")).status_code == 204


async def test_it_belongs_to_one_base(running: RunningHub) -> None:
    """Ruling 22."""
    r4b, r5 = (running.api(base) for base in TOPIC_BASES)
    body = parameter()
    identity = (await made(r5, body))["id"]
    outcome_of(await r4b.get(f"SearchParameter/{identity}"), 404)
    criteria = {"queryCriteria": {"current": f"{body['code']}=blue"}}
    for api, status in ((r4b, 422), (r5, 201)):
        written = topic(api.base, f"http://example.org/topics/{fresh_id()}", "Patient", **criteria)
        assert (await api.post("SubscriptionTopic", written)).status_code == status


async def test_a_composite_of_own_and_standard_parts(topic_api: Api, inbox: Inbox) -> None:
    """S-266."""
    body = parameter()
    await made(topic_api, body)
    parts = [
        {"definition": body["url"], "expression": f"extension('{EYES}').value.ofType(code)"},
        {"definition": "http://hl7.org/fhir/SearchParameter/individual-birthdate", "expression": "birthDate"},
    ]
    both = parameter(type="composite", expression="Patient", component=parts)
    identity = (await made(topic_api, both))["id"]
    (issue,) = outcome_of(await topic_api.delete(f"SearchParameter/{await only(topic_api, body)}"), 409)
    assert f"SearchParameter/{identity}" in issue["diagnostics"]
    written = topic_with(topic_api.base, both["code"])
    await published(topic_api, written)
    young, old = fresh_id(), fresh_id()
    await subscribe(topic_api, inbox, written["url"], filters=(f"{both['code']}=blue$ge2000",))
    await topic_api.put(f"Patient/{old}", with_eyes(old, "blue") | {"birthDate": "1950-01-01"})
    await topic_api.put(f"Patient/{young}", with_eyes(young, "blue") | {"birthDate": "2010-01-01"})
    assert await focus(inbox) == young


async def only(api: Api, body: dict[str, Any]) -> str:
    (identity,) = await of_url(api, body["url"])
    return identity


async def test_it_outlives_a_restart_and_shipped_topics_gain_it_too(
    api_redis_url: str, tmp_path: Path, inbox: Inbox
) -> None:
    body = parameter()
    folder = tmp_path / "topics"
    folder.mkdir()
    written = topic_with(FhirVersion.R5, body["code"]) | {"id": "shipped"}
    (folder / "shipped.json").write_text(json.dumps(written))
    settings: dict[str, Any] = {"topics_dir": folder}
    url = f"{api_redis_url}?db=5"
    filters = (f"{body['code']}=blue",)
    async with running_hub(url, tmp_path / "hub", **settings) as first:
        api = first.api(FhirVersion.R4)
        identity = (await made(api, body))["id"]
        await subscribe(api, inbox, written["url"], filters=filters)
    async with running_hub(url, tmp_path / "hub", fresh=False, **settings) as second:
        api = second.api(FhirVersion.R4)
        assert second.hub.registry.broken == {}
        assert (await api.get(f"SearchParameter/{identity}")).status_code == 200
        blue = fresh_id()
        await api.put(f"Patient/{blue}", with_eyes(blue, "blue"))
        assert await focus(inbox) == blue
        outcome_of(await api.delete(f"SearchParameter/{identity}"), 409)


async def test_every_process_learns_of_it(api_redis_url: str, tmp_path: Path) -> None:
    url = f"{api_redis_url}?db=6"
    async with running_hub(url, tmp_path / "a") as one, running_hub(url, tmp_path / "b", fresh=False) as other:
        here, there = one.api(FhirVersion.R5), other.api(FhirVersion.R5)
        body = parameter()
        identity = (await made(here, body))["id"]
        assert await of_url(there, body["url"]) == [identity]
        changed = {"here": here, "there": there}  # the same text in the same millisecond would be one request, repeated
        answers = await asyncio.gather(
            *(
                api.put(f"SearchParameter/{identity}", body | {"id": identity, "purpose": name}, If_Match='W/"1"')
                for name, api in changed.items()
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        assert (await there.delete(f"SearchParameter/{identity}")).status_code == 204
        assert await of_url(here, body["url"]) == []
