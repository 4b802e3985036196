"""Topics on R4 are Basics (S-060…S-065): published, replaced, withdrawn, read and found; other Basics stay data."""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import quote

import pytest
from fhir.resources.R4B.basic import Basic

from hub.domain.versions import FhirVersion
from hub.fhir.basic_topics import read_basic_topic, write_basic_topic
from tests.api.builders import PATIENT_CHANGE, SHIPPED, fresh_id, ids_in, patient, subscribe, subscription, topic
from tests.api.harness import BASE_URL, Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Receiver

TYPES = "http://hl7.org/fhir/fhir-types"
SEARCH = f"Basic?code={quote(TYPES + '|SubscriptionTopic', safe='')}"
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
DATA = {"resourceType": "Basic", "code": {"text": "a note"}}


@pytest.fixture
def api(running: RunningHub) -> Api:
    return running.api(FhirVersion.R4)


def fresh_url() -> str:
    return f"http://example.org/topics/{fresh_id()}"


def basic(url: str, resource: str = "Patient", *filters: str, **trigger: Any) -> dict[str, Any]:
    body = topic(FhirVersion.R5, url, resource, **trigger)
    if filters:
        body["canFilterBy"] = [{"resource": resource, "filterParameter": name} for name in filters]
    return write_basic_topic(body)


async def test_a_topic_is_published_read_replaced_and_withdrawn_as_basic(api: Api) -> None:
    url = fresh_url()
    created = await api.post("Basic", basic(url))
    assert (created.status_code, created.headers["etag"]) == (201, 'W/"1"'), created.text
    here = f"Basic/{created.json()['id']}"
    assert created.headers["location"] == f"{BASE_URL}/fhir/r4/{here}/_history/1"
    read = await api.get(here)
    assert read.json() == created.json()
    Basic.model_validate(copy.deepcopy(read.json()))
    assert (await api.get(here, If_None_Match='W/"1"')).status_code == 304
    renamed = write_basic_topic(topic(FhirVersion.R5, url, "Patient") | {"title": "Renamed"})
    changed = await api.put(here, renamed | {"id": created.json()["id"]}, If_Match='W/"1"')
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert read_basic_topic((await api.get(here)).json()).title == "Renamed"
    assert (await api.get(f"{here}/_history/1")).json() == created.json()
    outcome_of(await api.delete(here, If_Match='W/"1"'), 412)
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.get(here), 410)
    assert ids_in(await api.get(SEARCH)).count(created.json()["id"]) == 0


async def test_a_published_topic_fires_for_r4_subscriptions(api: Api, receiver: Receiver) -> None:
    url, inbox = fresh_url(), receiver.inbox()
    assert (await api.post("Basic", basic(url, "Patient", "gender"))).status_code == 201
    await subscribe(api, inbox, url, filters=("gender=female",))
    for gender in ("male", "female"):
        mark = fresh_id()
        await api.put(f"Patient/{mark}", patient(mark, gender=gender))
    (event,) = (await inbox.event()).events
    assert (event.number, event.focus.rpartition("/")[2]) == ("1", mark)
    resources = (await api.get("metadata")).json()["rest"][0]["resource"]
    announced = next(each for each in resources if each["type"] == "Subscription")["extension"]
    assert url in {each["valueCanonical"] for each in announced}


async def test_a_client_may_name_its_topic_and_both_extension_stems_are_read(api: Api) -> None:
    """S-063."""
    identity, url = fresh_id(), fresh_url()
    body = basic(url) | {"id": identity}
    for extension in body["extension"]:
        extension["url"] = extension["url"].replace("/fhir/5.0/", "/fhir/4.3/")
    assert (await api.put(f"Basic/{identity}", body)).status_code == 201
    outcome_of(await api.put(f"Basic/{identity}", body | {"id": "other"}), 400)
    assert (await api.get(f"Basic/{identity}")).json()["extension"] == body["extension"]


async def test_shipped_topics_are_listed_and_read_as_basic(api: Api) -> None:
    found = (await api.get(f"{SEARCH}&_count=1000")).json()["entry"]
    shown = {entry["resource"]["id"]: entry["resource"] for entry in found}
    assert {"admission", "hub-test", "patient-change"} <= shown.keys()
    for identity, resource in shown.items():
        Basic.model_validate(copy.deepcopy(resource))
        assert (await api.get(f"Basic/{identity}")).json() == resource
    assert read_basic_topic(shown["patient-change"]).url == PATIENT_CHANGE
    outcome_of(await api.delete("Basic/patient-change"), 405)


async def test_topics_are_found_by_what_is_claimed(api: Api) -> None:
    """S-198."""
    resources = (await api.get("metadata")).json()["rest"][0]["resource"]
    claim = next(each for each in resources if each["type"] == "Basic")
    assert {"code": "search-type"} in claim["interaction"]
    assert {each["name"] for each in claim["searchParam"]} == {"_id", "_lastUpdated", "code"}
    identity = (await api.post("Basic", basic(fresh_url()))).json()["id"]
    assert ids_in(await api.get(f"{SEARCH}&_id={identity}")) == [identity]
    assert ids_in(await api.get(f"{SEARCH}&_id={identity}&_lastUpdated=lt2020")) == []
    form = f"code={quote(TYPES + '|SubscriptionTopic', safe='')}&_id={identity}".encode()
    assert ids_in(await api.post("Basic/_search", form, **FORM)) == [identity]
    page = (await api.get(f"{SEARCH}&_count=2&_sort=-_id")).json()
    assert len(page["entry"]) == 2 and {link["relation"] for link in page["link"]} == {"self", "next"}


@pytest.mark.parametrize("query", ["", "?_id=1", "?code=http://example.org|note", "?code=SubscriptionTopic"])
async def test_ordinary_basics_are_not_searched(api: Api, query: str) -> None:
    """An answer without them would say that there are none."""
    answer = await api.get(f"Basic{query}")
    outcome_of(answer, 405)
    assert "SubscriptionTopic" in answer.text
    outcome_of(await api.get(f"{SEARCH}&created=2020"), 400)


async def test_other_basics_are_ordinary_data(api: Api, receiver: Receiver) -> None:
    """The shipped test topic is about them: a topic that is published is no event of it."""
    inbox = receiver.inbox()
    await subscribe(api, inbox, SHIPPED + "hub-test")
    assert (await api.post("Basic", basic(fresh_url()))).status_code == 201
    tested = {**DATA, "id": fresh_id(), "code": {"coding": [HUB_TEST]}}
    here = f"Basic/{tested['id']}"
    assert (await api.put(here, tested)).status_code == 201
    assert (await inbox.event()).numbers == [1]
    assert inbox.nothing_unread()
    assert (await api.get(here)).json()["code"] == tested["code"]
    assert (await api.get(f"{here}/_history")).json()["type"] == "history"
    patched = await api.call("PATCH", here, PATCH, Content_Type="application/json-patch+json")
    assert patched.status_code == 200
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.get(here), 410)


HUB_TEST = {"system": "https://fhir-notification-hub.example/codes", "code": "hub-test"}
PATCH = [{"op": "add", "path": "/language", "value": "en"}]


async def test_an_id_is_a_topics_or_datas_never_both(api: Api) -> None:
    data, own = fresh_id("data"), fresh_id("topic")
    await api.put(f"Basic/{data}", DATA | {"id": data})
    await api.put(f"Basic/{own}", basic(fresh_url()) | {"id": own})
    outcome_of(await api.put(f"Basic/{data}", basic(fresh_url()) | {"id": data}), 409)
    for identity in (own, "patient-change"):
        outcome_of(await api.put(f"Basic/{identity}", DATA | {"id": identity}), 409)
    await api.delete(f"Basic/{own}")
    outcome_of(await api.put(f"Basic/{own}", DATA | {"id": own}), 409)
    assert (await api.put(f"Basic/{own}", basic(fresh_url()) | {"id": own})).status_code == 201
    assert (await api.get(f"Basic/{data}")).json()["code"] == DATA["code"]


async def test_a_topic_is_published_alone_never_by_the_way(api: Api) -> None:
    """Among the data it would look published and fire nothing."""
    body, identity = basic(fresh_url()), fresh_id()
    entry = {"resource": body | {"id": identity}, "request": {"method": "PUT", "url": f"Basic/{identity}"}}
    for kind in ("transaction", "batch"):
        answer = await api.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        statuses = {answer.status_code, *(each["response"]["status"] for each in answer.json().get("entry", ()))}
        assert statuses <= {422, 200, "422"} and statuses & {422, "422"}, answer.text
    await api.put(f"Basic/{identity}", DATA | {"id": identity})
    patch = [{"op": "replace", "path": "/code", "value": body["code"]}]
    outcome_of(await api.call("PATCH", f"Basic/{identity}", patch, Content_Type="application/json-patch+json"), 422)
    outcome_of(await api.put("Basic?identifier=urn:x|1", body), 422)
    outcome_of(await api.post("Basic", body, If_None_Exist="identifier=urn:x|1"), 400)
    assert (await api.get(f"Basic/{identity}")).json()["code"] == DATA["code"]


async def test_what_cannot_be_decided_is_refused_with_its_place_in_the_basic(api: Api) -> None:
    """HOUSE decision 9."""
    wrong: list[dict[str, Any]] = [
        {"resource": "Unicorn"}, {"queryCriteria": {"current": "unicorn=1"}}, {"fhirPathCriteria": "status ="},
        {"queryCriteria": {"current": "_has:Observation:patient:code=1"}},
    ]  # fmt: skip
    for trigger in wrong:
        answer = await api.post("Basic", basic(fresh_url(), **({"resource": "Patient"} | trigger)))
        places = expressions_of(answer, 422)
        assert places and all(each.startswith("Basic.extension[") for each in places), answer.text
    cut = basic(fresh_url())
    cut["extension"] = [each for each in cut["extension"] if not each["url"].endswith(".resourceTrigger")]
    outcome_of(await api.post("Basic", cut), 422)
    cut = basic(fresh_url())
    del cut["modifierExtension"]
    outcome_of(await api.post("Basic", cut), 422)
    broken = basic(fresh_url()) | {"subject": "Patient/1"}
    outcome_of(await api.post("Basic", broken), 400)
    outcome_of(await api.post("Basic", b"{"), 400)
    outcome_of(await api.post("Basic", {"resourceType": "Patient"}), 400)


async def test_a_topic_in_use_is_not_taken_away_from_under_its_subscriptions(api: Api, receiver: Receiver) -> None:
    url, inbox = fresh_url(), receiver.inbox()
    identity = (await api.post("Basic", basic(url, "Patient", "gender"))).json()["id"]
    told = await subscribe(api, inbox, url, filters=("gender=male",))
    here = f"Basic/{identity}"
    outcome_of(await api.delete(here), 409)
    outcome_of(await api.put(here, basic(url) | {"id": identity}), 409)
    outcome_of(await api.put(here, basic(url + "x", "Patient", "gender") | {"id": identity}), 409)
    outcome_of(await api.post("Basic", basic(url, "Patient", "gender")), 409)
    assert (await api.put(here, basic(url, "Patient", "gender", "_id") | {"id": identity})).status_code == 200
    assert (await api.delete(f"Subscription/{told['id']}")).status_code == 204
    assert (await api.delete(here)).status_code == 204
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, url)), 422)


@pytest.mark.parametrize("base", [FhirVersion.R4B, FhirVersion.R5])
async def test_elsewhere_a_basic_is_data_whatever_its_code(running: RunningHub, base: FhirVersion) -> None:
    other = running.api(base)
    body = {"resourceType": "Basic", "code": {"coding": [{"system": TYPES, "code": "SubscriptionTopic"}]}}
    created = await other.post("Basic", body)
    assert created.status_code == 201
    outcome_of(await other.get(SEARCH), 405)
    outcome_of(await other.get("Basic/patient-change"), 404)


async def test_warnings_and_hints_have_their_places_in_the_basic(api: Api) -> None:
    body = topic(FhirVersion.R5, fresh_url(), "Patient") | {
        "canFilterBy": [{"resource": "Patient", "filterParameter": "gender"}],
        "notificationShape": [{"resource": "Patient", "include": ["Patient:organisation"]}],
    }
    answer = await api.post("Basic", write_basic_topic(body), Prefer="return=OperationOutcome")
    done, *notes = answer.json()["issue"]
    assert (answer.status_code, done["diagnostics"]) == (201, "published on /fhir/r4")
    assert [each["severity"] for each in notes] == ["warning", "information"]
    assert all(each["expression"][0].startswith("Basic.extension[") for each in notes)
