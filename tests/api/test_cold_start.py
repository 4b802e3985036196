"""Beginning beside a full EHR: what was there before is known, and nobody is told of it (rulings 13 and 34)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import ENCOUNTER_START, encounter, fresh_id, patient, subscribe
from tests.api.bundle_builders import SYSTEM, bundle, by, fresh, identified, post, put, written
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox, Notification

NDJSON = "application/fhir+ndjson"


def lines(*resources: dict[str, Any]) -> bytes:
    return b"\n".join(orjson.dumps(resource) for resource in resources)


async def load(api: Api, *resources: dict[str, Any]) -> int:
    answer = await api.post("$load", lines(*resources), Content_Type=NDJSON)
    assert answer.status_code == 200, answer.text
    (parameter,) = answer.json()["parameter"]
    assert parameter["name"] == "loaded"
    return int(parameter["valueInteger"])


async def told_after(api: Api, inbox: Inbox, subject: str) -> Notification:
    """The next event, after an admission that is certainly one: whatever came before it would have been told first."""
    visit = fresh_id()
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject))
    told = await inbox.event()
    assert told.events[0].focus.endswith(visit)
    return told


async def admissions(api: Api, inbox: Inbox) -> str:
    """Subscribed to the admissions of one Patient, whose id is returned."""
    subject = fresh_id()
    await subscribe(api, inbox, ENCOUNTER_START, filters=(f"patient=Patient/{subject}",))
    return subject


async def test_loading_tells_nobody_and_what_is_loaded_is_there(api: Api, inbox: Inbox) -> None:
    subject = await admissions(api, inbox)
    visits = [encounter(api.base, visit, subject) for visit in fresh(3)]
    assert await load(api, *visits[:2]) == 2
    collection = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": visits[2]}, {"fullUrl": "x"}]}
    assert (await api.post("$load", collection)).json()["parameter"][0]["valueInteger"] == 1
    told = await told_after(api, inbox, subject)
    assert told.numbers == [1]
    for visit in visits:
        assert (await api.get(f"Encounter/{visit['id']}")).json()["status"] == "in-progress"


async def test_the_first_change_after_loading_is_judged_against_the_true_previous_state(api: Api, inbox: Inbox) -> None:
    """encounter-start fires when an Encounter becomes in-progress: not for one that was so already."""
    subject = await admissions(api, inbox)
    running, planned = fresh(2)
    await load(api, encounter(api.base, running, subject), encounter(api.base, planned, subject, "planned"))
    await api.put(f"Encounter/{running}", encounter(api.base, running, subject) | {"language": "de"})
    changed = await api.put(f"Encounter/{planned}", encounter(api.base, planned, subject))
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    told = await inbox.event()
    assert (told.numbers, told.events[0].focus.rpartition("/")[2]) == ([1], planned)


async def test_loading_again_changes_nothing(api: Api) -> None:
    known, loaded = patient(fresh_id()), patient(fresh_id())
    await api.put(f"Patient/{known['id']}", known)
    for _ in range(3):
        assert await load(api, known, loaded) == 2
    for each in (known, loaded):
        assert (await api.get(f"Patient/{each['id']}")).headers["etag"] == 'W/"1"'


async def test_loading_again_after_retention_still_changes_nothing(
    start_hub: Callable[..., Awaitable[RunningHub]],
) -> None:
    hub = await start_hub(event_retention_seconds=1)
    api, loaded = hub.api(FhirVersion.R5), patient("1")
    await load(api, loaded)
    await _retire(hub)
    await load(api, loaded)
    assert (await api.get("Patient/1")).headers["etag"] == 'W/"1"'


async def _retire(hub: RunningHub) -> None:
    """A round of retention in an hour."""
    (partition,) = hub.hub.store.layout.partitions_of("default", FhirVersion.R5)
    while (last := await hub.hub.changes.last(partition)) != await hub.hub.changes.evaluated_upto(partition):
        await asyncio.sleep(0.01)
    await hub.hub.janitor.round(last.milliseconds + int(timedelta(hours=1).total_seconds() * 1000))


async def test_an_older_state_never_replaces_what_a_change_has_told(api: Api) -> None:
    """A load that is repeated beside a running feed must not turn back the clock."""
    identity, gone = fresh(2)
    dumped = patient(identity, active=False, meta={"versionId": "7", "lastUpdated": "2020-01-01T00:00:00Z"})
    await load(api, dumped, patient(gone))
    await api.put(f"Patient/{identity}", patient(identity, active=True))
    await api.delete(f"Patient/{gone}")
    await load(api, dumped, patient(gone))
    assert (await api.get(f"Patient/{identity}")).json()["active"] is True
    outcome_of(await api.get(f"Patient/{gone}"), 410)
    newer = dumped | {"gender": "other", "meta": {"lastUpdated": "2090-01-01T00:00:00Z"}}
    await load(api, newer)
    assert (await api.get(f"Patient/{identity}")).json()["gender"] == "other"


async def test_loaded_resources_are_found_by_conditions_and_keep_their_bytes(api: Api) -> None:
    mark, identity = fresh(2)
    raw = (
        b'{"resourceType":"Observation", "id":"%s","valueQuantity":{"value":6.30},'
        b'"identifier":[{"system":"%s","value":"%s"}]}'
    )
    raw %= (identity.encode(), SYSTEM.encode(), mark.encode())
    await api.post("$load", b"\n\n" + raw + b"\r\n \n", Content_Type=NDJSON)
    found = await api.post("Observation", {"resourceType": "Observation"}, If_None_Exist=by(mark))
    assert (found.status_code, found.json()["id"]) == (200, identity)
    assert b'"valueQuantity":{"value":6.30},' in found.content


WRONG_LOADS: dict[str, tuple[int, str, bytes]] = {
    "a line that is no json": (400, "line 2", lines(patient("a")) + b"\n{"),
    "a line that is a list": (400, "line 1", b"[]"),
    "no id": (400, "line 2", lines(patient("a"), patient())),
    "an id that is a number": (400, "line 1", lines({"resourceType": "Patient", "id": 1})),
    "an id with a space": (400, "line 1", lines(patient("a b"))),
    "no type": (400, "line 1", lines({"id": "1"})),
    "a type that is a list": (400, "line 1", lines({"id": "1", "resourceType": []})),
    "an unknown type": (400, "line 1", lines({"id": "1", "resourceType": "Unicorn"})),
    "a subscription": (422, "line 2", lines(patient("a"), {"id": "1", "resourceType": "Subscription"})),
    "a meta that is a string": (400, "line 2", lines(patient("a"), patient("b", meta="x"))),
    "a key twice": (400, "line 1", b'{"resourceType":"Patient","id":"a","id":"a"}'),
}


@pytest.mark.parametrize("why", WRONG_LOADS)
async def test_a_load_with_one_wrong_resource_loads_nothing_and_names_it(running: RunningHub, why: str) -> None:
    api, (status, place, raw) = running.api(FhirVersion.R4), WRONG_LOADS[why]
    before = await written(running)
    assert expressions_of(await api.post("$load", raw, Content_Type=NDJSON), status) == [place]
    assert await written(running) == before


@pytest.mark.parametrize("body", [
    {"resourceType": "Bundle", "entry": {}}, {"resourceType": "Bundle", "entry": "x"}, {"resourceType": "Patient"},
    {"resourceType": "Bundle", "entry": [1]}, {"resourceType": "Bundle", "entry": [{"resource": []}]}, [],
])  # fmt: skip
async def test_what_is_no_collection_is_not_loaded(running: RunningHub, body: Any) -> None:
    outcome_of(await running.api(FhirVersion.R4).post("$load", body), 400)


async def test_loading_spreads_over_partitions(start_hub: Callable[..., Awaitable[RunningHub]]) -> None:
    api = (await start_hub(partitions=4)).api(FhirVersion.R4)
    marks = fresh(300)
    assert await load(api, *(identified(mark, mark) for mark in marks)) == 300
    for mark in marks[::50]:
        assert (await api.post("Patient", patient(), If_None_Exist=by(mark))).json()["id"] == mark


def process_change(interaction: str | None = None, **states: Any) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [{"name": name, "resource": state} for name, state in states.items()]
    if interaction:
        parameters.append({"name": "interaction", "valueCode": interaction})
    return {"resourceType": "Parameters", "parameter": parameters}


async def test_a_change_is_judged_against_the_previous_state_that_comes_with_it(api: Api, inbox: Inbox) -> None:
    subject = await admissions(api, inbox)
    running, planned, fresh_one, gone = fresh(4)
    now = encounter(api.base, running, subject)
    assert (await api.post("$process-change", process_change("update", current=now, previous=now))).status_code == 200
    now = encounter(api.base, planned, subject)
    before = now | {"status": "planned"}
    answer = await api.post("$process-change", process_change("update", current=now, previous=before))
    assert (answer.status_code, answer.json()["id"], answer.headers["etag"]) == (200, planned, 'W/"2"')
    now = encounter(api.base, fresh_one, subject)
    assert (await api.post("$process-change", process_change("create", current=now))).status_code == 200
    visit = encounter(api.base, gone, subject)
    assert (await api.post("$process-change", process_change("delete", previous=visit))).status_code == 204
    outcome_of(await api.get(f"Encounter/{gone}"), 410)
    told = [event.focus.rpartition("/")[2] for _ in range(2) for event in (await inbox.event()).events]
    assert told == [planned, fresh_one]
    assert (await told_after(api, inbox, subject)).numbers == [3]


async def test_an_update_whose_previous_is_unknown_is_no_create(api: Api, inbox: Inbox) -> None:
    identity = fresh_id()
    await subscribe(api, inbox, filters=(f"_id={identity}",), content="full-resource")
    await api.post("$process-change", process_change("update", current=patient(identity)))
    assert (await inbox.event()).entries[0]["request"]["method"] == "PUT"


async def test_a_create_of_what_is_held_is_a_conflict(api: Api) -> None:
    identity = fresh_id()
    asked = process_change("create", current=patient(identity))
    assert (await api.post("$process-change", asked)).status_code == 200
    outcome_of(await api.post("$process-change", asked), 409)


@pytest.mark.parametrize("interaction", ["create", "update", "delete"])
async def test_a_repeated_process_change_is_told_the_same_and_happens_once(
    api: Api, inbox: Inbox, interaction: str
) -> None:
    identity = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={identity}",))
    states = {"create": ("current",), "update": ("current", "previous"), "delete": ("previous",)}[interaction]
    asked = process_change(interaction, **{name: patient(identity, active=name == "current") for name in states})
    key = {"Idempotency-Key": fresh_id()}
    first = await api.post("$process-change", asked, **key)
    for again in await asyncio.gather(*(api.post("$process-change", asked, **key) for _ in range(3))):
        assert (again.status_code, again.content, again.headers["etag"]) == (
            first.status_code, first.content, first.headers["etag"],
        )  # fmt: skip
    await inbox.event()
    events = (await api.get(f"Subscription/{told['id']}/$events")).text
    assert events.count("Patient/" + identity) >= 1 and inbox.nothing_unread()
    outcome_of(await api.post("$process-change", process_change("create", current=patient(fresh_id())), **key), 422)


P = patient("1")
WRONG_CHANGES: dict[str, tuple[int, Any]] = {
    "no parameters": (400, {"resourceType": "Parameters"}),
    "parameters that are no list": (400, {"resourceType": "Parameters", "parameter": {}}),
    "parameters that are a number": (400, {"resourceType": "Parameters", "parameter": 1}),
    "a parameter that is a string": (400, {"resourceType": "Parameters", "parameter": ["x"]}),
    "another resource": (400, P),
    "no interaction": (400, process_change(current=P)),
    "an unknown interaction": (400, process_change("merge", current=P)),
    "an interaction that is a list": (
        400, {"resourceType": "Parameters", "parameter": [{"name": "interaction", "valueCode": []}]},
    ),
    "another parameter": (400, process_change("create", current=P, focus=P)),
    "a name that is a list": (400, {"resourceType": "Parameters", "parameter": [{"name": []}]}),
    "a create with previous": (400, process_change("create", current=P, previous=P)),
    "a create without current": (400, process_change("create")),
    "an update without current": (400, process_change("update", previous=P)),
    "a delete with current": (400, process_change("delete", current=P, previous=P)),
    "a delete without previous": (400, process_change("delete")),
    "a state without id": (400, process_change("create", current=patient())),
    "an id that is none": (400, process_change("create", current=patient("a b"))),
    "states of two resources": (400, process_change("update", current=P, previous=patient("2"))),
    "a state that is a list": (400, process_change("create", current=[])),
    "a state twice": (400, process_change("create", current=P) | {"parameter": [
        *process_change("create", current=P)["parameter"], {"name": "current", "resource": P},
    ]}),
    "an unknown type": (400, process_change("create", current={"resourceType": "Unicorn", "id": "1"})),
    "a subscription": (422, process_change("create", current={"resourceType": "Subscription", "id": "1"})),
    "a meta that is a string": (400, process_change("update", current=P, previous=P | {"meta": "x"})),
}  # fmt: skip


@pytest.mark.parametrize("why", WRONG_CHANGES)
async def test_a_process_change_of_a_wrong_shape_changes_nothing(running: RunningHub, why: str) -> None:
    api, (status, body) = running.api(FhirVersion.R4B), WRONG_CHANGES[why]
    before = await written(running)
    outcome_of(await api.post("$process-change", body), status)
    assert await written(running) == before


async def test_a_topic_written_as_basic_is_not_loaded_as_data(running: RunningHub) -> None:
    coding = {"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}
    basic = {"resourceType": "Basic", "id": fresh_id(), "code": {"coding": [coding]}}
    api = running.api(FhirVersion.R4)
    outcome_of(await api.post("$load", lines(basic), Content_Type=NDJSON), 422)
    outcome_of(await api.post("", bundle("transaction", put(basic))), 422)
    outcome_of(await api.post("", bundle("transaction", post(basic))), 422)
    outcome_of(await api.post("$process-change", process_change("create", current=basic)), 422)
