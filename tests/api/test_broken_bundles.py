"""A Bundle that cannot be carried out is refused as a whole, in FHIR's words, and leaves nothing behind."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient
from tests.api.bundle_builders import bundle, by, delete, entry, identified, post, put, urn, written
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of

GOOD = put(patient("untouched"))
BROKEN: dict[str, tuple[int, Any]] = {
    "a type that does not exist": (400, post({"resourceType": "Unicorn"})),
    "a type of its own life": (422, entry("POST", "Subscription", {"resourceType": "Subscription"})),
    "no request": (400, {"resource": patient("1")}),
    "a request that is a list": (400, {"request": []}),
    "an unknown method": (400, entry("STEAL", "Patient/1")),
    "no url": (400, {"request": {"method": "GET"}}),
    "a patch of what is not there": (404, entry("PATCH", "Patient/nobody-at-all", {"resourceType": "Binary"})),
    "a search": (422, entry("GET", "Patient?name=x")),
    "a read of what is not there": (404, entry("GET", "Patient/nobody-at-all")),
    "a delete of what is not there": (404, delete("Patient/nobody-at-all")),
    "a post to an id": (400, entry("POST", "Patient/1", patient("1"))),
    "a put without id": (400, entry("PUT", "Patient", patient("1"))),
    "a put of another type": (400, entry("PUT", "Patient/1", {"resourceType": "Basic", "id": "1"})),
    "a put of another id": (400, entry("PUT", "Patient/1", patient("2"))),
    "a put without a resource": (400, entry("PUT", "Patient/1")),
    "an absolute url": (400, entry("PUT", "http://example.org/Patient/1", patient("1"))),
    "an id with a slash": (400, entry("PUT", "Patient/1/2", patient("1/2"))),
    "an id with a space": (400, entry("PUT", "Patient/1 2", patient("1 2"))),
    "a reference to no entry": (400, post(patient(link=[{"other": {"reference": urn(9)}}]))),
    "a condition that is not offered": (400, post(patient(), ifNoneExist="name=x")),
    "a condition with a list": (400, post(patient(), ifNoneExist="identifier=a,b")),
    "a condition of a system alone": (400, post(patient(), ifNoneExist="identifier=http://a|")),
    "an empty condition": (400, post(patient(), ifNoneExist="")),
    "a condition that is a number": (400, post(patient(), ifNoneExist=1)),
    "if-match that is a number": (400, put(patient("1"), ifMatch=1)),
    "if-match of no version": (400, put(patient("1"), ifMatch="latest")),
    "if-none-match": (400, put(patient("1"), ifNoneMatch="*")),
    "if-match on a post": (400, post(patient(), ifMatch='W/"1"')),
    "a meta that is a string": (400, post(patient(meta="x"))),
    "an id that is a number": (400, entry("PUT", "Patient/1", {"resourceType": "Patient", "id": 1})),
    "a resource that is a list": (400, entry("POST", "Patient") | {"resource": [1]}),
    "the same resource again": (400, put(patient("untouched", active=True))),
    "the same resource deleted": (400, delete("Patient/untouched")),
}  # fmt: skip


@pytest.mark.parametrize("why", BROKEN)
async def test_a_broken_transaction_changes_nothing_at_all(running: RunningHub, why: str) -> None:
    api, (status, wrong) = running.api(FhirVersion.R4), BROKEN[why]
    before = await written(running)
    for entries in ([GOOD, wrong], [wrong, GOOD]):
        refused = await api.post("", bundle("transaction", *entries))
        assert all(each.startswith("Bundle.entry[") for each in expressions_of(refused, status)), refused.text
        assert expressions_of(refused, status)
    assert await written(running) == before


async def test_two_entries_of_one_transaction_cannot_be_the_same(api: Api) -> None:
    mark = fresh_id()
    for double in (
        [post(patient(), urn(1)), post(patient(), urn(1))],
        [post(identified(mark), ifNoneExist=by(mark)), post(identified(mark), ifNoneExist=by(mark))],
        [delete(f"Patient/{mark}"), put(patient(mark))],
    ):
        refused = await api.post("", bundle("transaction", *double))
        assert expressions_of(refused, 400)[0].startswith("Bundle.entry[1]")


async def test_a_transaction_may_not_delete_what_it_reads(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    refused = await api.post(
        "", bundle("transaction", delete(f"Patient/{identity}"), entry("GET", f"Patient/{identity}"))
    )
    outcome_of(refused, 400)
    assert (await api.get(f"Patient/{identity}")).status_code == 200


async def test_too_many_entries_are_refused_before_anything_is_done(running: RunningHub) -> None:
    api = running.api(FhirVersion.R5)
    before = await written(running)
    for kind in ("transaction", "batch", "history"):
        many = bundle(kind, *(put(patient(f"many-{number}")) for number in range(10_000)))
        assert expressions_of(await api.post("", many), 413) == ["Bundle.entry"]
    assert await written(running) == before


WRONG_SHAPES: list[tuple[int, Any]] = [
    (400, patient("1")), (400, bundle("collection")), (400, bundle("searchset")), (400, {"resourceType": "Bundle"}),
    (400, {"resourceType": "Bundle", "type": ["transaction"]}), (400, {"resourceType": "Bundle", "type": {}}),
    (400, bundle("transaction") | {"entry": {}}), (400, bundle("transaction") | {"entry": "x"}),
    (400, bundle("batch") | {"entry": [1]}), (400, bundle("history") | {"entry": [[]]}), (400, []), (400, b"{"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG_SHAPES)))
async def test_what_is_no_bundle_to_act_on_is_refused(running: RunningHub, number: int) -> None:
    status, body = WRONG_SHAPES[number]
    outcome_of(await running.api(FhirVersion.R4B).post("", body), status)


async def test_conditions_and_parameters_of_the_whole_request_are_refused(api: Api) -> None:
    outcome_of(await api.post("?x=1", bundle("transaction", post(patient()))), 400)
    outcome_of(await api.post("", bundle("transaction", post(patient())), If_Match='W/"1"'), 400)


def _mangled(chance: random.Random, value: Any, depth: int = 0) -> Any:
    """The same JSON with a few members replaced by something else."""
    if chance.random() < 0.06:
        return chance.choice(
            [None, 0, -1, "", "x", [], {}, True, "urn:uuid:x", "Patient?identifier=x", "Patient/1", 1e3]
        )
    if isinstance(value, dict):
        return {
            name: _mangled(chance, item, depth + 1) for name, item in value.items() if chance.random() > 0.03
        }  # fmt: skip
    if isinstance(value, list):
        return [_mangled(chance, item, depth + 1) for item in value]
    return value


PATCH = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
FHIRPATH_PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.active"}],
        }
    ],
}


async def test_mangled_bundles_are_never_a_fault_of_the_hub(running: RunningHub) -> None:
    chance, api = random.Random(3), running.api(FhirVersion.R4B)
    for number in range(6):
        await api.put(f"Patient/fuzz-{number}-2", patient(f"fuzz-{number}-2"))
    for _ in range(400):
        mark = f"fuzz-{chance.randrange(6)}"
        asked = bundle(
            chance.choice(["transaction", "batch", "history"]), post(identified(mark), urn(1), ifNoneExist=by(mark)),
            put(patient(mark, link=[{"other": {"reference": urn(1)}}]), ifMatch='W/"1"'), delete(f"Patient/{mark}"),
            entry("PATCH", f"Patient/{mark}-2", PATCH), entry("PATCH", f"Patient?{by(mark)}", FHIRPATH_PATCH),
            entry("GET", f"Patient/{mark}"), entry("PUT", f"Patient?{by(mark)}", identified(mark)),
        )  # fmt: skip
        raw = orjson.dumps(_mangled(chance, asked))
        if chance.random() < 0.2:
            place = chance.randrange(len(raw))
            raw = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        path = chance.choice(["", "", "", "$load", "$process-change"])
        answer = await api.post(path, raw)
        assert answer.status_code < 500, (path, raw, answer.text)
        for each in answer.json().get("entry", ()) if answer.status_code == 200 else ():
            assert int(each["response"]["status"][:3]) < 500, (raw, answer.text)
