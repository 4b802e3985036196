"""PATCH inside Bundles: with the rest of a transaction or not at all, races included; in a batch each for itself."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe
from tests.api.bundle_builders import (
    bundle,
    by,
    delete,
    entry,
    fresh,
    identified,
    locations,
    post,
    put,
    statuses,
    urn,
    written,
)
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox

ACTIVE = [{"op": "add", "path": "/active", "value": True}]


def binary(patch: Any, **elements: Any) -> dict[str, Any]:
    """A JSON Patch as it stands in a Bundle."""
    raw = patch if isinstance(patch, bytes) else orjson.dumps(patch)
    data = base64.b64encode(raw).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data} | elements


def parameters(kind: str, path: str, **more: tuple[str, Any]) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    parts += [{"name": name, f"value{value_type}": value} for name, (value_type, value) in more.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def patch(url: str, asked: Any, full_url: str = "", **request: Any) -> Any:
    return entry("PATCH", url, asked if isinstance(asked, dict) else binary(asked), full_url, **request)


def renamed(name: str) -> list[dict[str, Any]]:
    return [{"op": "add", "path": "/name/-", "value": {"text": name}}]


def linked(reference: str) -> list[dict[str, Any]]:
    return [{"op": "add", "path": "/link", "value": [{"other": {"reference": reference}}]}]


NO_BIRTH_DATE = parameters("replace", "Patient.birthDate", value=("Date", "2020"))
NO_OPERATION = {"resourceType": "Parameters", "parameter": [{"name": "x"}]}


async def stored(api: Api, *identities: str, **elements: Any) -> None:
    for identity in identities:
        assert (await api.put(f"Patient/{identity}", patient(identity, **elements))).status_code == 201


async def test_both_languages_patch_in_a_transaction_and_count_one_by_one(api: Api, inbox: Inbox) -> None:
    one, two, mark = fresh(3)
    for identity in (one, two):
        await api.put(f"Patient/{identity}", identified(mark, identity, active=False))
    await subscribe(api, inbox, filters=(f"identifier={mark}",), content="full-resource")
    second = parameters("replace", "Patient.active", value=("Boolean", True))
    answer = await api.post(
        "", bundle("transaction", patch(f"Patient/{one}", ACTIVE), patch(f"Patient/{two}", second), post(patient())),
        Prefer="return=representation",
    )  # fmt: skip
    assert statuses(answer) == ["200", "200", "201"]
    assert [each["resource"].get("active") for each in answer.json()["entry"]] == [True, True, None]
    assert [each["response"]["etag"] for each in answer.json()["entry"]] == ['W/"2"', 'W/"2"', 'W/"1"']
    for number, identity in ((1, one), (2, two)):
        event = await inbox.event()
        assert event.numbers == [number]
        (told,) = event.entries
        assert (told["resource"]["id"], told["resource"]["active"]) == (identity, True)
        assert told["request"]["method"] == "PUT"


async def test_a_bundled_patch_keeps_the_digits_of_every_number(api: Api) -> None:
    identity = fresh_id()
    raw = b'{"resourceType":"Observation","id":"%s","valueQuantity":{"value":6.30},"note":[{"text":"x"}]}'
    await api.put(f"Observation/{identity}", raw % identity.encode())
    asked = patch(f"Observation/{identity}", [{"op": "remove", "path": "/note"}])
    assert statuses(await api.post("", bundle("transaction", asked))) == ["200"]
    found = (await api.get(f"Observation/{identity}")).content
    assert b'"value":6.30' in found and b"note" not in found


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_conditional_patch_patches_the_one_that_is_found(api: Api, kind: str) -> None:
    mark, other, nobody = fresh(3)
    known = (await api.post("Patient", identified(mark))).json()["id"]
    await stored(api, other)
    asked = patch(f"Patient?{by(mark)}", ACTIVE), patch(f"Patient?_id={other}", ACTIVE)
    answer = await api.post("", bundle(kind, *asked))
    assert statuses(answer) == ["200", "200"]
    assert locations(answer) == [f"Patient/{known}", f"Patient/{other}"]
    assert (await api.get(f"Patient/{known}")).json()["active"] is True
    lost = bundle(kind, patch(f"Patient?{by(nobody)}", ACTIVE))
    answer = await api.post("", lost)
    if kind == "transaction":
        assert expressions_of(answer, 404) == ["Bundle.entry[0].request.url"]
    else:
        assert statuses(answer) == ["404"]
    for _ in range(2):
        await api.post("Patient", identified(nobody))
    answer = await api.post("", lost)
    assert answer.status_code == 412 if kind == "transaction" else statuses(answer) == ["412"]


async def test_if_match_of_a_patch_guards_the_whole_transaction(api: Api) -> None:
    identity, other = fresh(2)
    await stored(api, identity)
    stale = patch(f"Patient/{identity}", ACTIVE, ifMatch='W/"7"')
    refused = await api.post("", bundle("transaction", put(patient(other)), stale))
    assert expressions_of(refused, 412) == ["Bundle.entry[1]"]
    outcome_of(await api.get(f"Patient/{other}"), 404)
    fitting = patch(f"Patient/{identity}", ACTIVE, ifMatch='W/"1"')
    assert statuses(await api.post("", bundle("transaction", put(patient(other)), fitting))) == ["201", "200"]
    assert statuses(await api.post("", bundle("batch", fitting))) == ["412"]


async def test_references_that_a_patch_brings_become_literal(api: Api) -> None:
    """Whether they stand in a Reference of the patch, or in a bare value that only becomes one."""
    one, two, three, mark = fresh(4)
    known = (await api.post("Patient", identified(mark))).json()["id"]
    for identity in (one, two, three):
        await stored(api, identity, link=[{"other": {"reference": "Patient/old"}, "type": "seealso"}])
    added = {"op": "add", "path": "/link/-", "value": {"other": {"reference": urn(1)}, "type": "seealso"}}
    bare = {"op": "replace", "path": "/link/0/other/reference", "value": f"Patient?{by(mark)}"}
    typed = parameters("replace", "Patient.link[0].other", value=("Reference", {"reference": urn(2)}))
    answer = await api.post(
        "",
        bundle(
            "transaction", patch(f"Patient/{one}", [added]), patch(f"Patient/{two}", [bare], urn(2)),
            patch(f"Patient/{three}", typed), post(patient(), urn(1)),
        ),
    )  # fmt: skip
    assert statuses(answer) == ["200", "200", "200", "201"]

    async def links(identity: str) -> list[str]:
        return [each["other"]["reference"] for each in (await api.get(f"Patient/{identity}")).json()["link"]]

    assert await links(one) == ["Patient/old", locations(answer)[3]]
    assert await links(two) == [f"Patient/{known}"]
    assert await links(three) == [f"Patient/{two}"]


async def test_references_that_stood_there_before_a_patch_stay_what_they_are(api: Api) -> None:
    """They are none of this Bundle's, whatever they look like."""
    identity, root = fresh_id(), "http://other.example.org/fhir"
    before = [{"other": {"reference": each}} for each in (urn(9), "Patient?name=x", "Patient/7", f"{root}/Patient/8")]
    await stored(api, identity, link=before)
    answer = await api.post(
        "",
        bundle(
            "transaction", patch(f"Patient/{identity}", ACTIVE, f"{root}/Patient/6"),
            post(patient("7"), f"{root}/Patient/7"), post(patient("8"), f"{root}/Patient/8"), post(patient(), urn(9)),
        ),
    )  # fmt: skip
    assert statuses(answer) == ["200", "201", "201", "201"]
    found = (await api.get(f"Patient/{identity}")).json()
    assert (found["link"], found["active"]) == (before, True)


BROKEN: dict[str, tuple[int, Callable[[str], Any]]] = {
    "nothing there": (422, lambda it: patch(f"Patient/{it}", [{"op": "remove", "path": "/nothing"}])),
    "a failing test": (422, lambda it: patch(f"Patient/{it}", [{"op": "test", "path": "/gender", "value": "x"}])),
    "another id": (422, lambda it: patch(f"Patient/{it}", [{"op": "replace", "path": "/id", "value": "x"}])),
    "a meta that is a string": (400, lambda it: patch(f"Patient/{it}", [{"op": "add", "path": "/meta", "value": "x"}])),
    "no list": (400, lambda it: patch(f"Patient/{it}", {**binary({})})),
    "no json": (400, lambda it: patch(f"Patient/{it}", binary(b"[{"))),
    "no utf-8": (400, lambda it: patch(f"Patient/{it}", binary(b'["\xff"]'))),
    "no base64": (400, lambda it: patch(f"Patient/{it}", binary([], data="[]"))),
    "base64 of other letters": (400, lambda it: patch(f"Patient/{it}", binary([], data="ä"))),
    "no data": (400, lambda it: patch(f"Patient/{it}", binary([], data=None))),
    "another language": (422, lambda it: patch(f"Patient/{it}", binary([], contentType="application/xml-patch+xml"))),
    "no content type": (422, lambda it: patch(f"Patient/{it}", binary([], contentType=None))),
    "another resource": (400, lambda it: patch(f"Patient/{it}", patient(it))),
    "no resource": (400, lambda it: entry("PATCH", f"Patient/{it}")),
    "fhirpath to nothing": (422, lambda it: patch(f"Patient/{it}", NO_BIRTH_DATE)),
    "fhirpath that is none": (400, lambda it: patch(f"Patient/{it}", parameters("delete", "Patient.((("))),
    "no operation": (400, lambda it: patch(f"Patient/{it}", NO_OPERATION)),
    "too many operations": (422, lambda it: patch(f"Patient/{it}", ACTIVE * 1001)),
    "an id that nobody has": (404, lambda _: patch("Patient/nobody-at-all", ACTIVE)),
    "a type without id": (400, lambda _: patch("Patient", ACTIVE)),
    "a type that does not exist": (400, lambda it: patch(f"Unicorn/{it}", ACTIVE)),
    "a type of its own life": (422, lambda it: patch(f"Subscription/{it}", ACTIVE)),
    "a condition that is not offered": (400, lambda _: patch("Patient?name=x", ACTIVE)),
    "if-none-match": (400, lambda it: patch(f"Patient/{it}", ACTIVE, ifNoneMatch="*")),
    "if-none-exist": (400, lambda it: patch(f"Patient/{it}", ACTIVE, ifNoneExist="identifier=x")),
    "a reference to no entry": (400, lambda it: patch(f"Patient/{it}", linked(urn(9)))),
    "a conditional reference to nobody": (412, lambda it: patch(f"Patient/{it}", linked(f"Patient?{by(it)}"))),
}  # fmt: skip


@pytest.mark.parametrize("why", BROKEN)
async def test_a_patch_that_does_not_apply_keeps_the_whole_transaction_from_happening(
    running: RunningHub, why: str
) -> None:
    api, (status, wrong), identity = running.api(FhirVersion.R4B), BROKEN[why], fresh_id()
    await stored(api, identity, gender="female")
    before = await written(running)
    for entries in ([post(patient()), wrong(identity)], [wrong(identity), delete(f"Patient/{identity}-no")]):
        place = "Bundle.entry[1]" if entries[0]["request"]["method"] == "POST" else "Bundle.entry[0]"
        found = expressions_of(await api.post("", bundle("transaction", *entries)), status)
        assert found and all(each.startswith(place) for each in found)
    assert await written(running) == before


async def test_in_a_batch_a_patch_stands_for_itself(api: Api) -> None:
    one, two, gone = fresh(3)
    await stored(api, one, two, gone)
    await api.delete(f"Patient/{gone}")
    tied, conditional = linked(urn(1)), linked(f"Patient?{by('1')}")
    answer = await api.post(
        "",
        bundle(
            "batch", patch(f"Patient/{one}", ACTIVE), patch(f"Patient/{one}", [{"op": "remove", "path": "/active"}]),
            patch(f"Patient/{two}", [{"op": "remove", "path": "/active"}]), patch("Patient/nobody-at-all", ACTIVE),
            patch(f"Patient/{gone}", ACTIVE), patch(f"Patient/{two}", tied), patch(f"Patient/{two}", conditional),
            post(patient(), urn(1)), patch(f"Patient/{two}", renamed("x")[:0]),
        ),
    )  # fmt: skip
    assert statuses(answer) == ["200", "200", "422", "404", "410", "400", "400", "201", "200"]
    assert "active" not in (await api.get(f"Patient/{one}")).json()
    outcome = answer.json()["entry"][2]["response"]["outcome"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[2].resource"]


async def test_what_another_entry_writes_cannot_be_patched_too(api: Api) -> None:
    """A transaction may name a resource once; its outcome would hang on an order that FHIR does not give."""
    mark = fresh_id()
    known = (await api.post("Patient", identified(mark))).json()["id"]
    for other in (
        put(patient(known)), delete(f"Patient/{known}"), patch(f"Patient/{known}", ACTIVE),
        patch(f"Patient?{by(mark)}", ACTIVE), entry("PUT", f"Patient?{by(mark)}", identified(mark)),
    ):  # fmt: skip
        refused = await api.post("", bundle("transaction", patch(f"Patient/{known}", ACTIVE), other))
        assert expressions_of(refused, 400) == ["Bundle.entry[1]"]
    assert (await api.get(f"Patient/{known}")).headers["etag"] == 'W/"1"'


async def test_a_transaction_reads_what_it_has_patched(api: Api) -> None:
    identity = fresh_id()
    await stored(api, identity)
    asked = bundle("transaction", entry("GET", f"Patient/{identity}"), patch(f"Patient/{identity}", ACTIVE))
    assert (await api.post("", asked)).json()["entry"][0]["resource"]["active"] is True


async def test_patches_of_racing_transactions_are_none_of_them_lost(api: Api) -> None:
    """409 comes when others were faster each time; nothing of such a transaction has happened."""
    left, right = fresh(2)
    await stored(api, left, right, name=[])
    refused = 0

    async def both(number: int) -> None:
        nonlocal refused
        pair = [patch(f"Patient/{each}", renamed(str(number))) for each in (left, right)]
        while (answer := await api.post("", bundle("transaction", *pair, post(patient())))).status_code == 409:
            refused += 1
        assert statuses(answer) == ["200", "200", "201"]

    async def one(number: int) -> None:
        url, headers = f"Patient/{left}", {"Content_Type": "application/json-patch+json"}
        asked = [{"op": "add", "path": "/name/0", "value": {"text": f"single-{number}"}}]
        while (answer := await api.call("PATCH", url, asked, **headers)).status_code == 409:
            pass
        assert answer.status_code == 200

    await asyncio.gather(*(work(number) for number in range(10) for work in (both, one)))
    found = [(await api.get(f"Patient/{each}")).json()["name"] for each in (left, right)]
    told = [[name["text"] for name in names if name["text"].isdecimal()] for names in found]
    assert told[0] == told[1] and sorted(told[0], key=int) == [str(number) for number in range(10)]
    assert len(found[0]) == 20


async def test_another_writer_between_read_and_write_makes_the_whole_be_worked_out_anew(
    running: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also its conditions: what the first look found may be another one at the second."""
    api, (identity, other, mark) = running.api(FhirVersion.R5), fresh(3)
    await stored(api, identity, name=[])
    present, meddled = running.hub.intake.present, 0

    async def meddling(*arguments: Any) -> Any:
        nonlocal meddled
        entry = await present(*arguments)
        meddled += 1
        if meddled <= 2:
            told = [{"text": f"meddler-{meddled}"}]
            assert (await api.put(f"Patient/{identity}", patient(identity, name=told))).status_code == 200
            await api.put(f"Patient/{other}", identified(mark, other))
        return entry

    asked = bundle(
        "transaction", patch(f"Patient/{identity}", renamed("patch")), post(identified(mark), ifNoneExist=by(mark))
    )
    with monkeypatch.context() as patched:
        patched.setattr(running.hub.intake, "present", meddling)
        answer = await api.post("", asked)
    assert (statuses(answer), meddled) == (["200", "200"], 3)
    assert locations(answer)[1] == f"Patient/{other}"
    found = await api.get(f"Patient/{identity}")
    assert [name["text"] for name in found.json()["name"]] == ["meddler-2", "patch"]
    assert found.headers["etag"] == 'W/"4"'


async def test_a_writer_who_is_always_faster_gets_a_patch_refused_in_the_end(
    running: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, (identity, other) = running.api(FhirVersion.R4), fresh(2)
    await stored(api, identity)
    present = running.hub.intake.present

    async def meddling(*arguments: Any) -> Any:
        entry = await present(*arguments)
        await api.put(f"Patient/{identity}", patient(identity, language="de"))
        return entry

    asked = [put(patient(other)), patch(f"Patient/{identity}", ACTIVE)]
    guarded = [put(patient(other)), patch(f"Patient/{identity}", ACTIVE, ifMatch='W/"6"')]
    with monkeypatch.context() as patched:
        patched.setattr(running.hub.intake, "present", meddling)
        assert expressions_of(await api.post("", bundle("transaction", *asked)), 409) == ["Bundle.entry[1]"]
        outcome_of(await api.post("", bundle("transaction", *guarded)), 412)
    outcome_of(await api.get(f"Patient/{other}"), 404)


async def test_who_is_deleted_meanwhile_cannot_be_patched(running: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    api, (identity, other) = running.api(FhirVersion.R4), fresh(2)
    await stored(api, identity)
    present = running.hub.intake.present

    async def meddling(*arguments: Any) -> Any:
        entry = await present(*arguments)
        await api.delete(f"Patient/{identity}")
        return entry

    with monkeypatch.context() as patched:
        patched.setattr(running.hub.intake, "present", meddling)
        asked = bundle("transaction", put(patient(other)), patch(f"Patient/{identity}", ACTIVE))
        assert expressions_of(await api.post("", asked), 410) == ["Bundle.entry[1]"]
    outcome_of(await api.get(f"Patient/{other}"), 404)


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_repeated_bundle_patches_once_and_is_answered_the_same(api: Api, kind: str) -> None:
    """Applied again the first patch would fail and the second would add a name; also when both come at once."""
    one, two = fresh(2)
    await stored(api, one, two, active=True, name=[])
    asked = bundle(
        kind, patch(f"Patient/{one}", [{"op": "remove", "path": "/active"}]), patch(f"Patient/{two}", renamed("x"))
    )
    key = {"Idempotency-Key": fresh_id()}
    first, *more = await asyncio.gather(*(api.post("", asked, **key) for _ in range(6)))
    assert statuses(first) == ["200", "200"]
    await api.delete(f"Patient/{one}")
    for again in (*more, await api.post("", asked, **key)):
        assert again.content == first.content
    found = await api.get(f"Patient/{two}")
    assert (found.headers["etag"], len(found.json()["name"])) == ('W/"2"', 1)


async def test_a_repeated_patch_that_overtakes_itself_is_answered_the_same(api: Api) -> None:
    identity, key = fresh_id(), fresh_id()
    await stored(api, identity, active=True)
    asked, headers = [{"op": "remove", "path": "/active"}], {"Content_Type": "application/json-patch+json"}
    answers = await asyncio.gather(
        *(api.call("PATCH", f"Patient/{identity}", asked, Idempotency_Key=key, **headers) for _ in range(6))
    )
    assert {(each.status_code, each.content) for each in answers} == {(200, answers[0].content)}


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_many_patches_may_cost_no_more_than_one(running: RunningHub, kind: str) -> None:
    """Each doubles its resource again and again, within what a single patch may."""
    api, identities = running.api(FhirVersion.R4), fresh(3)
    await stored(api, *identities, text={"status": "generated", "div": "x" * 1_000_000})
    doubling = [{"op": "copy", "from": "/text", "path": f"/contained{number}"} for number in range(9)]
    answer = await api.post("", bundle(kind, *(patch(f"Patient/{each}", doubling) for each in identities)))
    if kind == "batch":
        assert statuses(answer) == ["200", "422", "422"]
    else:
        (issue,) = outcome_of(answer, 422)
        assert (issue["code"], issue["expression"]) == ("too-costly", ["Bundle.entry[1].resource"])
        assert (await api.get(f"Patient/{identities[0]}")).headers["etag"] == 'W/"1"'


async def test_a_transaction_patches_no_more_than_the_store_takes_at_once(api: Api) -> None:
    identities = fresh(9)
    await stored(api, *identities, text={"status": "generated", "div": "x" * 1_950_000})
    refused = await api.post("", bundle("transaction", *(patch(f"Patient/{each}", ACTIVE) for each in identities)))
    assert expressions_of(refused, 413) == ["Bundle.entry[8]"]
    assert (await api.get(f"Patient/{identities[0]}")).headers["etag"] == 'W/"1"'


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_patch_makes_no_topic_of_data(running: RunningHub, kind: str) -> None:
    """A topic in R4 is a Basic; it is published by a request of its own (S-065)."""
    api, identity = running.api(FhirVersion.R4), fresh_id()
    await api.put(f"Basic/{identity}", {"resourceType": "Basic", "id": identity, "code": {"text": "x"}})
    code = {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]}
    asked = patch(f"Basic/{identity}", [{"op": "replace", "path": "/code", "value": code}])
    answer = await api.post("", bundle(kind, asked))
    assert answer.status_code == 422 if kind == "transaction" else statuses(answer) == ["422"]
    assert (await api.get(f"Basic/{identity}")).headers["etag"] == 'W/"1"'


async def test_a_history_tells_of_no_patches(api: Api) -> None:
    assert statuses(await api.post("", bundle("history", patch("Patient/1", ACTIVE)))) == ["400"]


async def test_patches_span_several_partitions(start_hub: Callable[..., Awaitable[RunningHub]]) -> None:
    hub = await start_hub(partitions=4)
    api, mark = hub.api(FhirVersion.R4), fresh_id()
    identities = fresh(12)
    await stored(api, *identities, name=[])
    await api.post("Patient", identified(mark, name=[]))
    asked = bundle(
        "transaction", *(patch(f"Patient/{each}", renamed("x")) for each in identities),
        patch(f"Patient?{by(mark)}", renamed("x")),
    )  # fmt: skip
    key = {"Idempotency-Key": fresh_id()}
    first = await api.post("", asked, **key)
    assert statuses(first) == ["200"] * 13
    assert (await api.post("", asked, **key)).content == first.content
    before = await written(hub)
    outcome_of(await api.post("", bundle("transaction", *asked["entry"], patch("Patient/nobody", ACTIVE))), 404)
    assert await written(hub) == before
