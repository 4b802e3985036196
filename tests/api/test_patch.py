"""PATCH: JSON Patch and FHIRPath Patch on the present version, races included. The languages: tests/unit/fhir."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe
from tests.api.bundle_builders import by, identified
from tests.api.harness import Api, RunningHub, outcome_of
from tests.api.receiver import Inbox

JSON_PATCH = "application/json-patch+json"


async def patch(api: Api, path: str, body: Any, **headers: str) -> httpx.Response:
    """A list is JSON Patch, Parameters are FHIRPath Patch."""
    if isinstance(body, list):
        headers.setdefault("Content_Type", JSON_PATCH)
    return await api.call("PATCH", path, body, **headers)


def operation(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **more}


def parameters(kind: str, path: str, **more: Any) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    parts += [{"name": name, f"value{value_type}": value} for name, (value_type, value) in more.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


async def test_a_json_patch_makes_a_new_version_and_an_event(api: Api, inbox: Inbox) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity, active=False))
    await subscribe(api, inbox, filters=(f"_id={identity}",), content="full-resource")
    answer = await patch(api, f"Patient/{identity}", [operation("replace", "/active", value=True)])
    assert (answer.status_code, answer.headers["etag"], answer.json()["active"]) == (200, 'W/"2"', True)
    (entry,) = (await inbox.event()).entries
    assert (entry["request"]["method"], entry["resource"]["active"]) == ("PUT", True)


async def test_a_fhirpath_patch_makes_a_new_version(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity, active=False))
    asked = parameters("replace", "Patient.active", value=("Boolean", True))
    answer = await patch(api, f"Patient/{identity}", asked)
    assert (answer.status_code, answer.json()["active"]) == (200, True)
    assert (await api.get(f"Patient/{identity}")).content == answer.content


async def test_a_patch_keeps_the_digits_of_every_number(api: Api) -> None:
    identity = fresh_id()
    raw = b'{"resourceType":"Observation","id":"%s","valueQuantity":{"value":6.30},"note":[{"text":"x"}]}'
    await api.put(f"Observation/{identity}", raw % identity.encode())
    answer = await patch(api, f"Observation/{identity}", [operation("remove", "/note")])
    assert b'"value":6.30' in answer.content and b"note" not in answer.content


async def test_patches_of_the_same_resource_at_the_same_time_are_none_of_them_lost(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity, name=[]))

    async def add(number: int) -> int:
        while True:  # 409: others were faster five times
            name = [operation("add", "/name/-", value={"text": str(number)})]
            answer = await patch(api, f"Patient/{identity}", name)
            if answer.status_code != 409:
                return answer.status_code

    assert await asyncio.gather(*(add(number) for number in range(12))) == [200] * 12
    found = (await api.get(f"Patient/{identity}")).json()
    assert sorted(int(name["text"]) for name in found["name"]) == list(range(12))
    assert (await api.get(f"Patient/{identity}")).headers["etag"] == 'W/"13"'


async def test_of_patches_with_one_if_match_only_one_is_applied(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity, name=[]))
    one = [operation("add", "/name/-", value={"text": "x"})]
    answers = await asyncio.gather(*(patch(api, f"Patient/{identity}", one, If_Match='W/"1"') for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    assert len((await api.get(f"Patient/{identity}")).json()["name"]) == 1
    outcome_of(await patch(api, f"Patient/{identity}", one, If_Match='W/"1"'), 412)
    assert (await patch(api, f"Patient/{identity}", one, If_Match='W/"2"')).status_code == 200


async def test_a_repeated_patch_is_applied_once_and_answered_the_same(api: Api) -> None:
    """Applied again it would fail: what it removes is gone."""
    identity, key = fresh_id(), fresh_id()
    await api.put(f"Patient/{identity}", patient(identity, active=True))
    asked = [operation("remove", "/active")]
    first = await patch(api, f"Patient/{identity}", asked, Idempotency_Key=key)
    assert first.status_code == 200
    await api.delete(f"Patient/{identity}")
    again = await patch(api, f"Patient/{identity}", asked, Idempotency_Key=key)
    assert (again.status_code, again.content, again.headers["etag"]) == (200, first.content, first.headers["etag"])
    outcome_of(await patch(api, f"Patient/{identity}", [operation("remove", "/id")], Idempotency_Key=key), 422)


async def test_a_patch_of_the_unknown_is_404_and_of_the_deleted_410(api: Api) -> None:
    identity, asked = fresh_id(), [operation("add", "/active", value=True)]
    outcome_of(await patch(api, f"Patient/{identity}", asked), 404)
    await api.put(f"Patient/{identity}", patient(identity))
    await api.delete(f"Patient/{identity}")
    outcome_of(await patch(api, f"Patient/{identity}", asked), 410)


WRONG: dict[str, tuple[int, Any]] = {
    "nothing there": (422, [operation("remove", "/nothing")]),
    "a failing test": (422, [operation("test", "/gender", value="x"), operation("add", "/active", value=True)]),
    "another id": (422, [operation("replace", "/id", value="other")]),
    "another type": (422, [operation("replace", "/resourceType", value="Basic")]),
    "a meta that is a string": (400, [operation("add", "/meta", value="x")]),
    "an unknown operation": (400, [operation("steal", "/active")]),
    "no operation": (400, [1]),
    "no list": (400, b"{}"),
    "no json": (400, b"[{"),
    "the whole resource": (422, [operation("remove", "")]),
    "too many": (422, [operation("add", "/active", value=True)] * 1001),
    "fhirpath to nothing": (422, parameters("replace", "Patient.birthDate", value=("Date", "2020-01-01"))),
    "fhirpath that is none": (400, parameters("delete", "Patient.(((")),
    "another resource": (400, patient("1")),
}


@pytest.mark.parametrize("why", WRONG)
async def test_a_patch_that_does_not_apply_changes_nothing(running: RunningHub, why: str) -> None:
    api, (status, body), identity = running.api(FhirVersion.R4B), WRONG[why], fresh_id()
    written = await api.put(f"Patient/{identity}", patient(identity, gender="female"))
    headers = {"Content_Type": JSON_PATCH} if isinstance(body, bytes) else {}
    outcome_of(await patch(api, f"Patient/{identity}", body, **headers), status)
    assert (await api.get(f"Patient/{identity}")).content == written.content


async def test_a_patch_in_another_language_is_415(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    for media_type in ("application/merge-patch+json", "application/xml-patch+xml", "text/plain"):
        outcome_of(await patch(api, f"Patient/{identity}", b"{}", Content_Type=media_type), 415)


async def test_a_conditional_patch_patches_the_one_that_is_found_and_creates_none(api: Api) -> None:
    mark, asked = fresh_id(), [operation("add", "/active", value=True)]
    outcome_of(await patch(api, f"Patient?{by(mark)}", asked), 404)
    known = (await api.post("Patient", identified(mark))).json()["id"]
    key = fresh_id()
    first = await patch(api, f"Patient?{by(mark)}", asked, Idempotency_Key=key)
    assert (first.status_code, first.json()["id"], first.json()["active"]) == (200, known, True)
    outcome_of(await patch(api, f"Patient?{by(mark)}", asked, If_Match='W/"1"'), 412)
    outcome_of(await patch(api, "Patient?name=x", asked), 400)
    await api.post("Patient", identified(mark))
    outcome_of(await patch(api, f"Patient?{by(mark)}", asked), 412)
    again = await patch(api, f"Patient?{by(mark)}", asked, Idempotency_Key=key)
    assert (again.status_code, again.content) == (200, first.content)
