"""Transactions, batches and histories: each entry a change of its own, a transaction all or nothing (ruling 26)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Gone
from tests.api.builders import PATIENT_CHANGE, encounter, fresh_id, patient, subscribe
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
from tests.api.receiver import Event, Inbox


async def test_entries_are_numbered_one_by_one_in_the_order_that_fhir_gives_them(api: Api, inbox: Inbox) -> None:
    """Deletes, creates, updates, reads; whatever their order in the Bundle."""
    mark, (gone, kept) = fresh_id(), fresh(2)
    for identity in (gone, kept):
        await api.put(f"Patient/{identity}", identified(mark, identity))
    await subscribe(api, inbox, filters=(f"identifier={mark}",), content="id-only", max_count=10)
    answer = await api.post(
        "",
        bundle(
            "transaction", entry("GET", f"Patient/{kept}"), put(identified(mark, kept, active=True)),
            post(identified(mark)), delete(f"Patient/{gone}"),
        ),
    )  # fmt: skip
    assert answer.json()["type"] == "transaction-response"
    assert statuses(answer) == ["200", "200", "201", "204"]
    assert answer.json()["entry"][0]["resource"]["active"] is True
    events: list[Event] = []
    while len(events) < 3:
        events += (await inbox.event()).events
    assert [int(event.number) for event in events] == [1, 2, 3]
    created = locations(answer)[2]
    assert ["/".join(event.focus.split("/")[-2:]) for event in events] == [
        f"Patient/{gone}", created, f"Patient/{kept}",
    ]  # fmt: skip


async def test_references_to_other_entries_become_literal_also_in_circles(api: Api) -> None:
    one = patient(link=[{"other": {"reference": urn(2)}, "type": "seealso"}])
    two = patient(link=[{"other": {"reference": urn(1)}, "type": "seealso"}])
    first, second = locations(await api.post("", bundle("transaction", post(one, urn(1)), post(two, urn(2)))))
    assert (await api.get(first)).json()["link"][0]["other"]["reference"] == second
    assert (await api.get(second)).json()["link"][0]["other"]["reference"] == first


async def test_an_entry_keeps_its_received_bytes_but_for_its_references(api: Api) -> None:
    body = (
        b'{ "resourceType" : "Observation","status":"final", "code":{"text":"caf\\u00e9"},'
        b'\n\t"subject":{"reference":"%s"},'
        b'"identifier":[{"value":"%s"}],"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
        b'<a href=\\"%s\\">x</a></div>"},"valueQuantity":{"value":6.30,"unit":"mmol\\/L"} }'
    )
    first = urn(1).encode()
    raw = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"%s","request":{"method":"POST","url":"Patient"}'
        b',"resource":{"resourceType":"Patient"}},{"request":{"url":"Observation","method":"POST"},"resource":%s}]}'
    ) % (first, body % (first, first, first))
    subject, observation = locations(await api.post("", raw))
    identity = observation.split("/")[1]
    found = (await api.get(observation)).content
    named = body.replace(b'{ "resourceType"', b'{"id":"%s", "resourceType"' % identity.encode(), 1)
    told = found[: found.index(b'"meta"')] + found[found.index(b"},") + 2 :]
    reference = subject.encode()
    link = b'"div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><a href=\\"%s\\">x</a></div>"' % reference
    assert link in found
    assert b'"identifier":[{"value":"%s"}]' % first in found  # an identifier is no reference
    assert b'"subject":{"reference":"%s"}' % reference in found
    assert b'"value":6.30,"unit":"mmol\\/L"} }' in found and b"caf\\u00e9" in found
    assert len(told) == len(named % (reference, first, reference))


async def test_a_reference_to_the_old_address_of_a_created_resource_follows_it(api: Api) -> None:
    old = "http://other.example.org/fhir"
    visit = encounter(api.base, "", "7")
    del visit["id"]
    again = visit | {"subject": {"reference": f"{old}/Patient/7"}}
    answer = await api.post(
        "",
        bundle(
            "transaction", post(patient("7"), f"{old}/Patient/7"), post(visit, f"{old}/Encounter/1"), post(again),
            post(visit, "http://third.example.org/Encounter/1"),
        ),
    )  # fmt: skip
    subject, *visits = locations(answer)
    read = [(await api.get(each)).json()["subject"]["reference"] for each in visits]
    assert read == [subject, subject, "Patient/7"]


async def test_conditional_references_are_resolved_or_refuse_everything(api: Api) -> None:
    mark, other = fresh(2)
    known = (await api.post("Patient", identified(mark))).json()["id"]
    visit = encounter(api.base, fresh_id(), "x") | {"subject": {"reference": f"Patient?{by(mark)}"}}
    answer = await api.post("", bundle("transaction", put(visit)))
    assert (await api.get(locations(answer)[0])).json()["subject"]["reference"] == f"Patient/{known}"
    lost = visit | {"id": fresh_id(), "subject": {"reference": f"Patient?{by(other)}"}}
    refused = await api.post("", bundle("transaction", post(identified(other)), put(lost)))
    assert expressions_of(refused, 412) == ["Bundle.entry[1].resource"]
    outcome_of(await api.get(f"Encounter/{lost['id']}"), 404)


async def test_conditions_of_entries_are_kept(api: Api) -> None:
    mark, new, gone, nobody = fresh(4)
    known = (await api.post("Patient", identified(mark))).json()["id"]
    left = (await api.post("Patient", identified(gone))).json()["id"]
    answer = await api.post(
        "",
        bundle(
            "transaction", post(identified(mark), urn(1), ifNoneExist=by(mark)),
            post(identified(new), ifNoneExist=by(new)),
            delete(f"Patient?{by(gone)}"), delete(f"Patient?{by(nobody)}"),
            post({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": urn(1)}}),
        ),
    )  # fmt: skip
    assert statuses(answer) == ["200", "201", "204", "204", "201"]
    assert locations(answer)[0] == f"Patient/{known}"
    assert (await api.get(locations(answer)[4])).json()["subject"]["reference"] == f"Patient/{known}"
    assert answer.json()["entry"][0]["response"]["etag"] == 'W/"1"'
    outcome_of(await api.get(f"Patient/{left}"), 410)
    changed = entry("PUT", f"Patient?{by(mark)}", identified(mark, active=True))
    made = entry("PUT", f"Patient?{by(nobody)}", identified(nobody))
    answer = await api.post("", bundle("transaction", changed, made))
    assert statuses(answer) == ["200", "201"]
    assert locations(answer)[0] == f"Patient/{known}"


async def test_if_match_of_one_entry_guards_them_all(api: Api) -> None:
    identity, other = fresh(2)
    await api.put(f"Patient/{identity}", patient(identity))
    stale = put(patient(identity, active=True), ifMatch='W/"7"')
    refused = await api.post("", bundle("transaction", put(patient(other)), stale))
    assert expressions_of(refused, 412) == ["Bundle.entry[1]"]
    outcome_of(await api.get(f"Patient/{other}"), 404)
    fitting = put(patient(identity, active=True), ifMatch='W/"1"')
    assert statuses(await api.post("", bundle("transaction", put(patient(other)), fitting))) == ["201", "200"]


async def test_a_thousand_entries_are_one_step(api: Api) -> None:
    marks = [fresh_id() for _ in range(1000)]
    answer = await api.post("", bundle("transaction", *(put(patient(mark)) for mark in marks)))
    assert statuses(answer) == ["201"] * 1000
    assert (await api.get(f"Patient/{marks[-1]}")).status_code == 200


async def test_an_empty_transaction_is_answered_without_entries(api: Api) -> None:
    answer = await api.post("", {"resourceType": "Bundle", "type": "transaction"})
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_repeated_bundle_is_answered_the_same_and_makes_nothing_twice(
    api: Api, inbox: Inbox, kind: str
) -> None:
    mark, gone, identity = fresh(3)
    await api.post("Patient", identified(gone))
    told = await subscribe(api, inbox, filters=(f"identifier={mark}",))
    asked = bundle(
        kind, post(identified(mark)), post(identified(mark + "-2"), ifNoneExist=by(mark + "-2")),
        put(identified(mark, identity)),
        delete(f"Patient?{by(gone)}"), entry("PUT", f"Patient?{by(mark + '-3')}", identified(mark + "-3")),
    )  # fmt: skip
    key = {"Idempotency-Key": fresh_id()}
    first = await api.post("", asked, **key)
    assert statuses(first) == ["201", "201", "201", "204", "201"]
    for again in await asyncio.gather(*(api.post("", asked, **key) for _ in range(3))):
        assert again.content == first.content
    for reference in locations(first)[:3]:
        await api.delete(reference)  # what happens later does not change what the first one was told
    assert (await api.post("", asked, **key)).content == first.content
    outcome_of(await api.get(locations(first)[0]), 410)
    numbers = await inbox.numbers(2)
    assert numbers[:2] == [1, 2]
    status = (await api.get(f"Subscription/{told['id']}/$status")).json()
    assert status["total"] == 1
    other = await api.post("", bundle(kind, post(patient())), **key)
    if kind == "transaction":
        outcome_of(other, 422)
    else:
        assert statuses(other) == ["422"]


async def test_what_is_written_stays_written_when_a_found_resource_goes_meanwhile(
    running: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, (mark, identity) = running.api(FhirVersion.R4), fresh(2)
    await api.post("Patient", identified(mark))

    async def gone(*_: object) -> None:
        raise Gone("deleted at this very moment")

    asked = bundle("transaction", post(identified(mark), ifNoneExist=by(mark)), put(patient(identity)))
    with monkeypatch.context() as patched:
        patched.setattr(running.hub.intake, "read", gone)
        answer = await api.post("", asked)
    assert statuses(answer) == ["410", "201"]
    assert (await api.get(f"Patient/{identity}")).status_code == 200


async def test_conditional_creates_of_racing_transactions_create_once(api: Api) -> None:
    mark = fresh_id()
    asked = bundle("transaction", post(identified(mark), urn(1), ifNoneExist=by(mark)), post(patient()))
    answers = await asyncio.gather(*(api.post("", asked) for _ in range(12)))
    assert sorted(statuses(answer)[0] for answer in answers) == ["200"] * 11 + ["201"]
    assert len({locations(answer)[0] for answer in answers}) == 1


async def test_a_transaction_racing_single_writes_is_seen_whole(api: Api) -> None:
    """Both Patients are written by transactions only together: their versions never differ by what came between."""
    left, right = fresh(2)

    async def both(mark: int) -> None:
        told = str(mark)
        pair = bundle("transaction", put(patient(left, gender=told)), put(patient(right, gender=told)))
        assert (await api.post("", pair)).status_code == 200

    async def one(number: int) -> None:
        identity = fresh_id()
        assert (await api.put(f"Patient/{identity}", patient(identity))).status_code == 201

    await asyncio.gather(*(work(number) for number in range(20) for work in (both, one)))
    history = [(await api.get(f"Patient/{each}/_history")).json()["entry"] for each in (left, right)]
    told = [[each["resource"]["gender"] for each in versions] for versions in history]
    assert told[0] == told[1] and len(told[0]) == 20


async def test_each_entry_of_a_batch_stands_for_itself(api: Api) -> None:
    mark, identity, lost = fresh(3)
    answer = await api.post(
        "",
        bundle(
            "batch", put(patient(identity)), put(patient("a"), ifMatch='W/"9999"'),
            post(identified(mark), ifNoneExist=by(mark)), entry("GET", f"Patient/{identity}"),
            delete(f"Patient/{lost}"), post({"resourceType": "Unicorn"}), entry("GET", "Patient?name=x"),
        ),
    )  # fmt: skip
    assert answer.json()["type"] == "batch-response"
    assert statuses(answer) == ["201", "412", "201", "200", "404", "400", "422"]
    entries = answer.json()["entry"]
    assert entries[3]["resource"]["id"] == identity
    assert entries[5]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[5].request.url"]


async def test_a_batch_refuses_entries_that_are_tied_to_others(api: Api) -> None:
    tied = patient(link=[{"other": {"reference": urn(1)}}])
    conditional = patient(link=[{"other": {"reference": f"Patient?{by('1')}"}}])
    answer = await api.post("", bundle("batch", post(patient(), urn(1)), post(tied), post(conditional)))
    assert statuses(answer) == ["201", "400", "400"]


async def test_a_history_is_taken_in_from_its_end(api: Api, inbox: Inbox) -> None:
    mark, identity = fresh(2)
    await subscribe(api, inbox, filters=(f"identifier={mark}",), content="full-resource")
    answer = await api.post(
        "",
        bundle(
            "history", entry("DELETE", f"Patient/{identity}", response={}),
            put(identified(mark, identity, gender="male", meta={"versionId": "2"})),
            entry("POST", "Patient", identified(mark, identity, gender="female"), ifNoneExist="ignored=1"),
        ),
    )  # fmt: skip
    assert answer.json()["type"] == "batch-response"
    assert statuses(answer) == ["204", "200", "201"]
    kinds = []
    for number in (1, 2, 3):
        told = await inbox.event()
        assert told.numbers == [number]
        kinds.append(told.entries[0]["request"]["method"])
    assert kinds == ["POST", "PUT", "DELETE"]


async def test_a_history_entry_that_cannot_be_told_says_why(api: Api) -> None:
    identity = fresh_id()
    answer = await api.post(
        "",
        bundle(
            "history", entry("GET", "Patient/1"), put(patient(identity)), entry("POST", "Patient", patient()),
            delete(f"Patient/{fresh_id()}"), entry("PUT", "Patient/1", {"resourceType": "Basic", "id": "1"}),
        ),
    )  # fmt: skip
    assert statuses(answer) == ["400", "201", "400", "404", "400"]


async def test_transactions_span_several_partitions(
    start_hub: Callable[..., Awaitable[RunningHub]], inbox: Inbox
) -> None:
    hub = await start_hub(partitions=4)
    api = hub.api(FhirVersion.R4)
    mark, key = fresh_id(), {"Idempotency-Key": fresh_id()}
    await subscribe(api, inbox, PATIENT_CHANGE, filters=(f"identifier={mark}",))
    asked = bundle("transaction", *(post(identified(mark), urn(number)) for number in range(20)))
    first = await api.post("", asked, **key)
    assert statuses(first) == ["201"] * 20
    assert (await api.post("", asked, **key)).content == first.content
    assert await inbox.numbers(20) == list(range(1, 21))
    once = fresh_id()
    answers = await asyncio.gather(
        *(api.post("Patient", identified(once), If_None_Exist=by(once)) for _ in range(8)),
        *(api.post("", bundle("transaction", post(identified(once), ifNoneExist=by(once)))) for _ in range(8)),
    )
    made = [
        a.json()["entry"][0]["response"]["status"][:3] if "entry" in a.json() else str(a.status_code) for a in answers
    ]
    assert sorted(made) == ["200"] * 15 + ["201"]
    before = await written(hub)
    outcome_of(await api.post("", bundle("transaction", *asked["entry"], delete("Patient/nobody"))), 404)
    assert await written(hub) == before
