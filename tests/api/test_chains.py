"""Chains and ValueSets through the doors: what is decided fires, what cannot be told is no event (ruling 23)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from tests.api.builders import classic, encounter, patient, subscribe, subscription
from tests.api.bundle_builders import fresh
from tests.api.harness import FHIR_JSON, Api, RunningHub, outcome_of, running_hub
from tests.api.receiver import Inbox

URL = "http://example.org/topics/visits"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OUTPATIENT = "http://example.org/ValueSet/outpatient"


def value_set(*codes: str) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet", "url": OUTPATIENT, "status": "active",
        "compose": {"include": [{"system": ACT, "concept": [{"code": code} for code in codes]}]},
    }  # fmt: skip


VISITS = {
    "resourceType": "SubscriptionTopic", "id": "visits", "url": URL, "version": "1.0.0", "status": "active",
    "resourceTrigger": [{"resource": "Encounter"}],
    "canFilterBy": [
        {"resource": "Encounter", "filterParameter": "_id"},
        {"resource": "Encounter", "filterParameter": "patient.gender", "modifier": ["not"]},
        {"resource": "Encounter", "filterParameter": "patient.identifier"},
        {"resource": "Encounter", "filterParameter": "subject.birthdate", "comparator": ["ge"]},
        {"resource": "Encounter", "filterParameter": "class", "modifier": ["in", "not-in"]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
async def visits(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    topics, value_sets = tmp_path_factory.mktemp("topics"), tmp_path_factory.mktemp("value-sets")
    (topics / "visits.json").write_text(json.dumps(VISITS))
    (value_sets / "outpatient.json").write_text(json.dumps(value_set("AMB", "VR")))
    settings = {"topics_dir": topics, "valuesets_dir": value_sets}
    async with running_hub(f"{api_redis_url}?db=4", tmp_path_factory.mktemp("hub"), **settings) as hub:
        yield hub


@pytest.fixture
def api(visits: RunningHub, base: FhirVersion) -> Api:
    return visits.api(base)


async def seen(inbox: Inbox) -> str:
    return (await inbox.event()).events[0].focus.rpartition("/")[2]


async def visit(api: Api, identity: str, patient_id: str) -> None:
    answer = await api.put(f"Encounter/{identity}", encounter(api.base, identity, patient_id))
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "condition", ["patient.gender=female", "patient:Patient.gender=female", "subject:Patient.birthdate=ge1980"]
)
async def test_a_chain_is_judged_on_the_patient_that_the_hub_holds(api: Api, inbox: Inbox, condition: str) -> None:
    """S-268: told of the visit of one patient, not of the other's."""
    one, other, first, second, third = fresh(5)
    await api.put(f"Patient/{one}", patient(one, gender="male", birthDate="1950-01-01"))
    await api.put(f"Patient/{other}", patient(other, gender="female", birthDate="1980-05-01"))
    ids = f"_id={first},{second},{third}"
    await subscribe(api, inbox, URL, filters=(ids, condition))
    await visit(api, first, one)
    await visit(api, second, other)
    assert await seen(inbox) == second
    await api.put(f"Patient/{one}", patient(one, gender="female", birthDate="1980-05-01"))
    await visit(api, third, one)
    assert await seen(inbox) == third
    assert inbox.nothing_unread()


@pytest.mark.parametrize("base_of_classic", [FhirVersion.R4, FhirVersion.R4B])
async def test_a_classic_search_may_follow_a_reference(
    visits: RunningHub, inbox: Inbox, base_of_classic: FhirVersion
) -> None:
    """S-011, S-268."""
    api = visits.api(base_of_classic)
    one, other, first, second = fresh(4)
    await api.put(f"Patient/{one}", patient(one, gender="male"))
    await api.put(f"Patient/{other}", patient(other, gender="female"))
    criteria = f"Encounter?_id={first},{second}&patient.gender=female"
    made = await api.post("Subscription", classic(inbox.url, criteria, FHIR_JSON))
    assert made.status_code == 201, made.text
    await visit(api, first, one)
    await visit(api, second, other)
    assert json.loads((await inbox.bare()).body)["id"] == second


async def test_a_change_finds_the_patient_that_came_just_before_it(api: Api, inbox: Inbox) -> None:
    """Both in one transaction."""
    subject, identity = fresh(2)
    await subscribe(api, inbox, URL, filters=(f"_id={identity}", f"patient.identifier=urn:mrn|{subject}"))
    named = patient(subject, identifier=[{"system": "urn:mrn", "value": subject}])
    entries = [
        {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
        for resource in (named, encounter(api.base, identity, subject))
    ]
    answer = await api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    assert await seen(inbox) == identity


async def test_a_target_that_is_not_held_makes_no_event_and_is_told(
    visits: RunningHub, api: Api, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Ruling 23: undecided is no event, whichever way the condition is turned; counted, with the reason in the log."""
    unknown, gone, known, first, second, third = fresh(6)
    await api.put(f"Patient/{known}", patient(known, gender="female"))
    await api.put(f"Patient/{gone}", patient(gone, gender="female"))
    await api.delete(f"Patient/{gone}")
    await subscribe(api, inbox, URL, filters=(f"_id={first},{second},{third}", "patient.gender:not=male"))
    before = visits.hub.registry.faults[f"{URL}|1.0.0"]
    with caplog.at_level(logging.WARNING):
        await visit(api, first, unknown)
        await visit(api, second, gone)
        await visit(api, third, known)
        assert await seen(inbox) == third
    assert inbox.nothing_unread()
    assert visits.hub.registry.faults[f"{URL}|1.0.0"] == before + 2
    reasons = [record.__dict__.get("reason") for record in caplog.records]
    assert {f"Patient/{unknown} is not held here", f"Patient/{gone} is not held here"} <= set(reasons)
    ready = (await api.get("/health/ready")).json()
    assert ready["evaluations_that_failed"][f"{URL}|1.0.0"] == before + 2


async def test_explaining_follows_the_chain_too(api: Api, inbox: Inbox) -> None:
    """Ruling 23: undecided is an answer of its own, with the reference that is missing."""
    unknown, known, first, second = fresh(4)
    await api.put(f"Patient/{known}", patient(known, gender="female"))
    made = await subscribe(api, inbox, URL, filters=(f"_id={first},{second}", "patient.gender=female"))
    await visit(api, first, unknown)
    await visit(api, second, known)
    assert await seen(inbox) == second
    for identity, answer, said in ((first, "undecided", f"Patient/{unknown} is not held here"), (second, "event", "")):
        told = await api.get(f"Subscription/{made['id']}/$explain?change=Encounter/{identity}")
        assert told.status_code == 200, told.text
        (found,) = [each["valueCode"] for each in told.json()["parameter"] if each["name"] == "answer"]
        assert found == answer and said in told.text and "patient.gender=female" in told.text


async def test_one_reason_is_one_line_however_many_it_keeps_from_being_judged(
    visits: RunningHub, api: Api, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    unknown, identity, last = fresh(3)
    for _ in range(3):
        await subscribe(api, inbox, URL, filters=(f"_id={identity}", "patient.gender=male"))
    await subscribe(api, inbox, URL, filters=(f"_id={last}",))
    before = visits.hub.registry.faults[f"{URL}|1.0.0"]
    with caplog.at_level(logging.WARNING):
        await visit(api, identity, unknown)
        await visit(api, last, unknown)
        assert await seen(inbox) == last
    assert visits.hub.registry.faults[f"{URL}|1.0.0"] == before + 3
    told = [record.__dict__ for record in caplog.records if "reason" in record.__dict__]
    assert [(each["times"], each["reason"]) for each in told] == [(3, f"Patient/{unknown} is not held here")]


async def test_a_filter_changed_to_a_chain_finds_what_it_needs(api: Api, inbox: Inbox) -> None:
    subject, first, second = fresh(3)
    await api.put(f"Patient/{subject}", patient(subject, gender="female"))
    made = await subscribe(api, inbox, URL, filters=(f"_id={first},{second}", "patient.gender=male"))
    await visit(api, first, subject)
    changed = subscription(api.base, inbox.url, URL, filters=(f"_id={first},{second}", "patient.gender=female"))
    assert (await api.put(f"Subscription/{made['id']}", changed | {"id": made["id"]})).status_code == 200
    await inbox.next("handshake")
    await visit(api, second, subject)
    assert await seen(inbox) == second
    assert inbox.nothing_unread()


@pytest.mark.parametrize(("modifier", "expected"), [("in", "AMB"), ("not-in", "IMP")])
async def test_a_code_is_looked_for_in_a_value_set(api: Api, inbox: Inbox, modifier: str, expected: str) -> None:
    """S-250."""
    ids = dict(zip(("AMB", "IMP"), fresh(2), strict=True))
    await subscribe(api, inbox, URL, filters=(f"_id={','.join(ids.values())}", f"class:{modifier}={OUTPATIENT}"))
    for code, identity in ids.items():
        body = encounter(api.base, identity, "x")
        coding = {"system": ACT, "code": code}
        body["class"] = [{"coding": [coding]}] if api.base is FhirVersion.R5 else coding
        await api.put(f"Encounter/{identity}", body)
    assert await seen(inbox) == ids[expected]
    assert inbox.nothing_unread()


@pytest.mark.parametrize("condition", ["patient.organization.name=x", "patient:Group.gender=x", "patient.name=x"])
async def test_a_chain_that_cannot_be_had_is_refused(api: Api, inbox: Inbox, condition: str) -> None:
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, URL, filters=(condition,))), 422)


async def test_an_unknown_value_set_is_refused_with_the_name_of_the_setting(api: Api, inbox: Inbox) -> None:
    made = subscription(api.base, inbox.url, URL, filters=("class:in=http://example.org/ValueSet/other",))
    (issue,) = outcome_of(await api.post("Subscription", made), 422)
    assert "HUB_VALUESETS_DIR" in issue["diagnostics"]


async def test_every_bad_value_set_is_told_when_the_start_is_stopped(api_redis_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "value-sets"
    folder.mkdir()
    is_a = {"op": "is-a", "property": "concept", "value": "x"}
    filtered = value_set() | {"compose": {"include": [{"system": ACT, "filter": [is_a]}]}}
    for name, text in (
        ("a.json", json.dumps(filtered)), ("b.json", "{"), ("c.json", '{"resourceType": "Patient"}'),
        ("d.json", json.dumps(value_set("AMB"))), ("e.json", json.dumps(value_set("AMB"))),
    ):  # fmt: skip
        (folder / name).write_text(text)
    with pytest.raises(CannotStart) as stopped:
        async with running_hub(f"{api_redis_url}?db=2", tmp_path / "hub", valuesets_dir=folder):
            raise AssertionError("it started")
    told = str(stopped.value)
    assert all(part in told for part in ("HUB_VALUESETS_DIR", "a.json: ", "filter", "b.json: ", "c.json: ", "twice"))
    assert "d.json" not in told
