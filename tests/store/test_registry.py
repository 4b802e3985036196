"""This process's picture of topics and Subscriptions, kept up to date from the log of a real store (I5)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from hub.domain.change import ChangeId, Interaction, ResourceChange, ResourceKey
from hub.domain.subscription import Channel, Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.intake import registry as registry_module
from hub.intake.held_value_sets import ValueSetReader
from hub.intake.registry import TAKEN_IN_AT_ONCE, Registry
from hub.intake.topics import Catalogue, TopicCompiler, load_shipped
from hub.matching.filters import CompiledFilters
from hub.matching.steps import finished
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.registry import Registry as RegistryLog
from hub.store.registry import TopicRecord
from hub.store.subscriptions import Definition, Subscriptions

SHIPPED = "https://fhir-notification-hub.example/topics/patient-change"
OWN = "http://example.org/topics/patients"
BASE_URLS = {version: f"http://hub.example.org{version.path}" for version in FhirVersion}
OWN_NAME = "default|r5|patients"


class Process:
    """One process's registry, and short ways to write what others see."""

    def __init__(self, store: Store) -> None:
        self.subscriptions = Subscriptions(store)
        self.log = RegistryLog(store)
        catalogue = Catalogue()
        compiler = TopicCompiler(BASE_URLS)
        load_shipped(catalogue, None, compiler)
        self.registry = Registry(
            catalogue,
            self.subscriptions,
            self.log,
            compiler,
            ValueSetReader(store, Changes(store, most_waiting=1000), compiler.value_sets),
        )

    async def put(self, name: str, topic: str = SHIPPED, gender: str = "", since: str = "0-0") -> int:
        resource = {
            "resourceType": "Subscription", "status": "requested", "topic": topic, "endpoint": "http://127.0.0.1/x",
            "channelType": {"code": "rest-hook"}, "content": "empty",
        }  # fmt: skip
        if gender:
            resource["filterBy"] = [{"resourceType": "Patient", "filterParameter": "gender", "value": gender}]
        subscription = Subscription(topic, Channel("rest-hook", "http://127.0.0.1/x"))
        definition = Definition(orjson.dumps(resource).decode(), {"0": since}, "me", datetime.now(UTC).isoformat())
        expected = None if self.registry.known(str(key_of(name))) else 0
        put = await self.subscriptions.put(
            key_of(name), subscription, definition, expected_version=expected,
            status=Status.REQUESTED, verify_anew=True,
        )  # fmt: skip
        return put.version

    async def publish(self) -> None:
        resource = {
            "resourceType": "SubscriptionTopic", "id": "patients", "url": OWN, "status": "active",
            "resourceTrigger": [{"resource": "Patient"}],
        }  # fmt: skip
        await self.log.publish(
            OWN_NAME, TopicRecord(orjson.dumps(resource).decode(), datetime.now(UTC).isoformat()), None
        )

    async def withdraw(self) -> None:
        await self.log.withdraw(OWN_NAME, "2026-01-02T00:00:00+00:00", None)

    def concerned(self, gender: str = "male", at: int = 5) -> list[tuple[str, int]]:
        patient = {"resourceType": "Patient", "id": "1", "gender": gender}
        key = ResourceKey("default", FhirVersion.R5, "Patient", "1")
        change = ResourceChange(ChangeId(at, 0), key, Interaction.CREATE, patient, None)
        return [(name.rpartition("|")[2], version) for name, version in finished(self.registry.matching(change, 0))]


def key_of(name: str) -> SubscriptionKey:
    return SubscriptionKey("default", FhirVersion.R5, name)


@pytest.fixture
def here(store: Store) -> Process:
    return Process(store)


@pytest.fixture
def there(store: Store) -> Process:
    return Process(store)


async def test_what_another_process_wrote_is_seen_at_the_next_refresh(here: Process, there: Process) -> None:
    await here.registry.load()
    await there.put("a", gender="male")
    assert here.concerned() == []
    await here.registry.refresh()
    assert here.concerned("male") == [("a", 1)] and here.concerned("female") == []
    await there.registry.refresh()
    await there.put("a", gender="female")
    await here.registry.refresh()
    assert here.concerned("male") == [] and here.concerned("female") == [("a", 2)]
    await there.subscriptions.remove(key_of("a"), None)
    await here.registry.refresh()
    assert here.concerned("female") == [] and here.registry.known(str(key_of("a"))) is None


async def test_what_was_there_before_the_start_is_read_at_the_start(here: Process, there: Process) -> None:
    await there.publish()
    await there.put("a", OWN)
    await there.put("b")
    await here.registry.load()
    assert here.concerned() == [("a", 1), ("b", 1)]


async def test_a_reader_that_missed_news_reads_everything_anew(here: Process, there: Process, store: Store) -> None:
    await there.publish()
    await there.put("a", OWN)
    await there.put("b")
    await here.registry.load()
    await there.withdraw()
    await there.subscriptions.remove(key_of("b"), None)
    await there.put("c")
    await store.send(("XTRIM", "{reg}:log", "MAXLEN", 0))
    await there.put("d")
    await here.registry.refresh()
    assert here.concerned() == [("c", 1), ("d", 1)]
    assert "not known here any more" in here.registry.broken[str(key_of("a"))]


async def test_a_topic_that_comes_back_wakes_its_subscriptions(here: Process, there: Process) -> None:
    await there.publish()
    await there.put("a", OWN)
    await there.withdraw()
    await here.registry.load()
    assert here.concerned() == [] and str(key_of("a")) in here.registry.broken
    await there.publish()
    await here.registry.refresh()
    assert here.concerned() == [("a", 1)] and here.registry.broken == {}


async def test_changes_before_the_subscription_was_asked_for_do_not_count(here: Process) -> None:
    await here.put("a", since="5-0")
    await here.registry.load()
    assert here.concerned(at=5) == [] and here.concerned(at=6) == [("a", 1)]


async def test_readers_at_the_same_time_end_with_the_newest(here: Process, there: Process) -> None:
    await here.registry.load()
    for version in range(1, 21):
        await there.put("a", gender=("male", "female")[version % 2])
        await asyncio.gather(*(here.registry.refresh() for _ in range(3)), there.registry.refresh())
        assert here.concerned(("male", "female")[version % 2]) == [("a", version)]


async def test_a_definition_that_nobody_announced_is_found_on_the_janitors_way(here: Process, store: Store) -> None:
    await here.registry.load()
    await here.put("a")
    await store.send(("DEL", "{reg}:log"))
    await here.registry.refresh()
    assert here.concerned() == []
    await here.registry.reconcile(str(key_of("a")), 1)
    assert here.concerned() == [("a", 1)]


async def test_a_stored_definition_that_cannot_be_read_is_shown_and_stops_nobody(here: Process, store: Store) -> None:
    await here.put("a")
    await here.put("b")
    unreadable = orjson.dumps(
        {"resource": '{"resourceType": "Subscription"}', "since": {}, "owner": "", "written": "x"}
    )
    await store.send(("HSET", f"{{d0}}:s:{key_of('a')}", 1, unreadable))
    await here.registry.load()
    assert here.concerned() == [("b", 1)]
    assert list(here.registry.broken) == [str(key_of("a"))]


async def test_others_have_their_turn_while_many_are_taken_in(
    here: Process, there: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start and when a topic changes: never more than some of them in one go."""
    await there.publish()
    for number in range(3 * TAKEN_IN_AT_ONCE):
        await there.put(f"s{number}", OWN)
    runs = [0]
    compile_filters = registry_module.compile_filters

    def counted(*told: Any) -> CompiledFilters:
        runs[-1] += 1
        return compile_filters(*told)

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            runs.append(0)

    monkeypatch.setattr(registry_module, "compile_filters", counted)
    waiting = asyncio.create_task(others())
    await here.registry.load()
    loaded = sum(runs)
    await there.publish()
    await here.registry.refresh()
    waiting.cancel()
    assert loaded == 3 * TAKEN_IN_AT_ONCE and sum(runs) == 2 * loaded
    assert max(runs) <= TAKEN_IN_AT_ONCE


async def test_definitions_are_read_from_the_store_once(here: Process, store: Store) -> None:
    version = await here.put("a")
    wanted = [(str(key_of("a")), version), (str(key_of("b")), 1)]
    (first, nobody) = await here.registry.definitions_of(wanted)
    await store.send(("DEL", f"{{d0}}:s:{key_of('a')}"))
    assert first is not None and nobody is None
    assert await here.registry.definitions_of(wanted) == [first, None]
