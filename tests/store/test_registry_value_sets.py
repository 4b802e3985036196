"""What a process does with its Subscriptions when ValueSets change in the store, also when it is interrupted (I5)."""

from __future__ import annotations

import orjson
import pytest

from hub.domain.subscription import Channel, Status, Subscription
from hub.errors import Unavailable
from hub.store.acceptance import Operation
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.registry import TopicRecord
from hub.store.subscriptions import Definition
from tests.store.factories import PARTITION, offer
from tests.store.test_registry import Process, key_of

VALUE_SET = "http://vs.example/genders"
TOPIC = "http://example.org/topics/by-gender"
SYSTEM = "http://hl7.org/fhir/administrative-gender"
NAME = str(key_of("a"))


@pytest.fixture
def here(store: Store) -> Process:
    return Process(store)


async def write(store: Store, *codes: str) -> None:
    include = {"system": SYSTEM, "concept": [{"code": code} for code in codes]}
    body = {"resourceType": "ValueSet", "url": VALUE_SET, "status": "active", "compose": {"include": [include]}}
    await Changes(store, most_waiting=1000).accept(PARTITION, [offer("ValueSet/g", body=orjson.dumps(body))])


async def delete(store: Store) -> None:
    await Changes(store, most_waiting=1000).accept(PARTITION, [offer("ValueSet/g", Operation.DELETE, b"")])


async def asking(here: Process) -> None:
    """A Subscription to Patients whose gender is in the ValueSet."""
    can = [{"resource": "Patient", "filterParameter": "gender", "modifier": ["in"]}]
    made = {
        "resourceType": "SubscriptionTopic", "id": "g", "url": TOPIC, "status": "active",
        "resourceTrigger": [{"resource": "Patient"}], "canFilterBy": can,
    }  # fmt: skip
    await here.log.publish("default|r5|g", TopicRecord(orjson.dumps(made).decode(), "2026-01-01T00:00:00+00:00"), None)
    resource = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "endpoint": "http://127.0.0.1/x",
        "channelType": {"code": "rest-hook"}, "content": "empty",
        "filterBy": [{"filterParameter": "gender", "modifier": "in", "value": VALUE_SET}],
    }  # fmt: skip
    definition = Definition(orjson.dumps(resource).decode(), {"0": "0-0"}, "me", "2026-01-01T00:00:00+00:00")
    subscription = Subscription(TOPIC, Channel("rest-hook", "http://127.0.0.1/x"))
    await here.subscriptions.put(
        key_of("a"), subscription, definition, expected_version=0, status=Status.REQUESTED, verify_anew=True
    )


async def test_it_is_judged_with_what_the_store_says_after_the_news_were_read(here: Process, store: Store) -> None:
    await asking(here)
    await here.registry.load()
    assert VALUE_SET in here.registry.broken[NAME] and here.concerned() == []
    for codes, expected in ((("male",), [("a", 1)]), (("female",), []), (("female", "male"), [("a", 1)])):
        await write(store, *codes)
        await here.registry.refresh()
        assert here.concerned("male") == expected and here.registry.broken == {}
    await delete(store)
    await here.registry.refresh()
    assert here.concerned() == [] and VALUE_SET in here.registry.broken[NAME]


async def test_news_that_fell_out_of_the_log_are_made_up_for(
    here: Process, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asking(here)
    await write(store, "male")
    await here.registry.load()
    assert here.concerned() == [("a", 1)]
    await delete(store)
    await store.send(("XADD", "{reg}:log", "*", "subscription", "default|r5|other"))
    await store.send(("XTRIM", "{reg}:log", "MAXLEN", 1))
    await here.registry.refresh()
    assert here.concerned() == [] and NAME in here.registry.broken


async def test_who_is_interrupted_takes_the_news_in_again(
    here: Process, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a Subscription would stay silent although its ValueSet is back."""
    await asking(here)
    await here.registry.load()
    await write(store, "male")
    records = here.subscriptions.records

    async def unavailable(names: list[str]) -> None:
        raise Unavailable("the store is away")

    for step in (here.registry.refresh, here.registry.load):
        monkeypatch.setattr(here.subscriptions, "records", unavailable)
        with pytest.raises(Unavailable):
            await step()
        monkeypatch.setattr(here.subscriptions, "records", records)
    await here.registry.refresh()
    assert here.concerned() == [("a", 1)] and here.registry.broken == {}
