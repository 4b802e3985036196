"""Taking changes in, on a real store: repeats land where the first one did, many callers share one write (I1…I3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hub.domain.change import ChangeId, EventCode, Occasion, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Overloaded, PreconditionFailed, Unavailable, Unprocessable
from hub.intake.changes import Intake, Stored
from hub.intake.conditions import Conditions
from hub.intake.offers import Repeatable, Request, happening, loading
from hub.store.agenda import Agenda
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.keys import Layout, Partition
from hub.store.pressure import Pressure

PATIENT = b'{"resourceType": "Patient"}'
NAMELESS = ResourceKey("default", FhirVersion.R5, "Patient", "")


@pytest.fixture
async def spread(redis_url: str) -> AsyncIterator[Store]:
    """Many partitions: what lands in the same one does so on purpose."""
    store = Store(redis_url, Layout(partitions=16, shards=1))
    await store.send(("FLUSHALL",))
    yield store
    await store.close()


def intake_of(store: Store, most_waiting: int = 1000) -> tuple[Intake, list[Partition]]:
    rung: list[Partition] = []
    changes = Changes(store, most_waiting=most_waiting)
    pressure = Pressure(store, Agenda(store, "test"), memory_percent=80, most_events=10**6)
    return Intake(changes, Conditions(changes, store.layout), store.layout, rung.append, pressure), rung


def a_post(key: str = "", request_id: str = "", principal: str = "ehr") -> Request:
    return Request("POST", "/fhir/r5/Patient", principal, key, request_id)


async def create(intake: Intake, request: Request, raw: bytes = PATIENT) -> Stored:
    return await intake.create(NAMELESS, raw, {"resourceType": "Patient"}, Repeatable.of(request, raw))


async def test_a_post_repeated_with_its_key_gives_the_same_resource(spread: Store) -> None:
    intake, rung = intake_of(spread)
    first = await create(intake, a_post("k1"))
    for _ in range(3):
        again = await create(intake_of(spread)[0], a_post("k1"))
        assert again == first
    assert len(rung) == 1
    assert (await create(intake, a_post("k1", principal="another"))).key != first.key
    assert (await create(intake, a_post("k2"))).key != first.key


async def test_two_at_once_with_one_key_make_one_resource(spread: Store) -> None:
    intake, _ = intake_of(spread)
    other, _ = intake_of(spread)
    found = await asyncio.gather(*(create(each, a_post("k1")) for each in (intake, other) * 10))
    assert len({(stored.key, stored.version) for stored in found}) == 1


async def test_a_key_with_another_body_is_refused_and_a_request_id_is_another_request(spread: Store) -> None:
    intake, _ = intake_of(spread)
    await create(intake, a_post("k1"))
    with pytest.raises(Unprocessable):
        await create(intake, a_post("k1"), PATIENT + b" ")
    first = await create(intake, a_post(request_id="r1"))
    assert await create(intake, a_post(request_id="r1")) == first
    assert (await create(intake, a_post(request_id="r1"), PATIENT + b" ")).key != first.key


async def test_of_writers_with_one_if_match_only_one_wins(store: Store) -> None:
    intake, _ = intake_of(store)
    key = ResourceKey("default", FhirVersion.R5, "Patient", "p1")
    body, resource = b'{"resourceType": "Patient", "id": "p1"}', {"resourceType": "Patient", "id": "p1"}
    put = Repeatable.of(Request("PUT", "/fhir/r5/Patient/p1", "ehr"), body)
    await intake.update(key, body, resource, put, None)
    found = await asyncio.gather(
        *(intake.update(key, body, resource, put, 1) for _ in range(40)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in found) == ["PreconditionFailed"] * 39 + ["Stored"]
    assert isinstance(found[1], (PreconditionFailed, Stored))


async def test_versions_of_many_writers_at_once_are_one_to_n(store: Store) -> None:
    intake, _ = intake_of(store)
    key = ResourceKey("default", FhirVersion.R5, "Patient", "p1")
    body, resource = b'{"resourceType": "Patient", "id": "p1"}', {"resourceType": "Patient", "id": "p1"}
    put = Repeatable.of(Request("PUT", "/fhir/r5/Patient/p1", "ehr"), body)
    found = await asyncio.gather(*(intake.update(key, body, resource, put, None) for _ in range(150)))
    assert [stored.version for stored in found] == list(range(1, 151))


async def test_too_much_waiting_is_said_before_anything_is_lost(store: Store) -> None:
    intake, _ = intake_of(store, most_waiting=5)
    found = await asyncio.gather(*(create(intake, a_post(f"k{n}")) for n in range(9)), return_exceptions=True)
    assert [type(each) for each in found] == [Stored] * 5 + [Overloaded] * 4


async def test_a_store_that_is_away_is_told_to_all_who_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    intake, rung = intake_of(store)
    calls = 0

    async def away(*_: object) -> list[object]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "send", away)
        found = await asyncio.gather(*(create(intake, a_post(f"k{n}")) for n in range(200)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    assert (calls, rung) == (1, [])
    assert (await create(intake, a_post("k1"))).version == 1


async def test_every_entry_says_who_told_it(store: Store) -> None:
    """Ruling 31: a create, a load, an event from elsewhere."""
    intake, _ = intake_of(store)
    changes, partition = Changes(store, most_waiting=10), store.layout.partitions_of("default", FhirVersion.R5)[0]
    repeatable = Repeatable.of(a_post(principal="ward seven"), PATIENT)
    key = replace(NAMELESS, id="1")
    resource = {"resourceType": "Patient", "id": "1"}
    await intake.create(NAMELESS, PATIENT, {"resourceType": "Patient"}, repeatable)
    await intake.write(loading(key, b'{"resourceType":"Patient","id":"1"}', resource, repeatable))
    await intake.write(happening(key, Occasion(codes=(EventCode("s", "c"),)), b"", {}, repeatable))
    await intake.delete(key, repeatable, None)
    entries = await changes.after(partition, ChangeId(0, 0), 10)
    assert [entry.principal for entry in entries] == ["ward seven"] * 4
    assert entries[2].occasion.codes == (EventCode("s", "c"),)
    assert entries[2].body == entries[1].body, "the present version goes along"
