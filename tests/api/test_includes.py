"""Further resources travel with a focus as the topic says, in the version that stood at commit (S-053…S-058)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.domain.change import ChangeId
from hub.domain.versions import FhirVersion
from tests.api.builders import encounter, fresh_id, patient, subscribe
from tests.api.bundle_builders import fresh
from tests.api.harness import BASE_URL, Api, RunningHub, running_hub
from tests.api.receiver import Inbox, Notification, Reply

URL = "http://example.org/topics/visit-with-context"
INCLUDES = [
    "Encounter:subject", "Encounter:part-of", "Encounter:part-of:Encounter:iterate", "Encounter:subject:Patient",
    "Encounter:observation", "Patient:organization:iterate",
]  # fmt: skip


@pytest.fixture(scope="module")
async def with_topic(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    """A hub whose one further topic takes resources along, on every base."""
    folder = tmp_path_factory.mktemp("topics")
    written = {
        "resourceType": "SubscriptionTopic", "id": "visit-with-context", "url": URL, "version": "1.0.0",
        "status": "active", "resourceTrigger": [{"resource": "Encounter"}],
        "canFilterBy": [{"resource": "Encounter", "filterParameter": "_id"}],
        "notificationShape": [{"resource": "Encounter", "include": INCLUDES}],
    }  # fmt: skip
    (folder / "visit.json").write_text(json.dumps(written))
    settings = {"topics_dir": folder, "event_retention_seconds": 1}
    async with running_hub(f"{api_redis_url}?db=3", tmp_path_factory.mktemp("hub"), **settings) as hub:
        yield hub


@pytest.fixture
def api(with_topic: RunningHub, base: FhirVersion) -> Api:
    return with_topic.api(base)


async def visited(api: Api, inbox: Inbox, content: str, **elements: Any) -> tuple[str, str]:
    """A Patient is there, somebody subscribes to one Encounter, and it begins; the ids of both."""
    visit, subject = fresh(2)
    await api.put(f"Patient/{subject}", patient(subject, active=True))
    await subscribe(api, inbox, URL, content=content, filters=(f"_id={visit}",))
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject) | elements)
    return visit, subject


def references(notification: Notification) -> list[str]:
    """What the status says travels along, in the words of each version."""
    carrier = notification.bundle["entry"][0]["resource"]
    if carrier["resourceType"] == "SubscriptionStatus":
        return [
            each["reference"] for event in carrier["notificationEvent"] for each in event.get("additionalContext", ())
        ]
    return [
        part["valueReference"]["reference"]
        for parameter in carrier["parameter"]
        for part in parameter.get("part", ())
        if part["name"] == "additional-context"
    ]


def relative(notification: Notification) -> list[str]:
    return ["/".join(each.split("/")[-2:]) for each in references(notification)]


async def test_empty_takes_nothing_along(api: Api, inbox: Inbox) -> None:
    _, subject = await visited(api, inbox, "empty")
    told = await inbox.event()
    assert subject.encode() not in told.body and told.entries == []


async def test_id_only_takes_references_along_and_no_entries(api: Api, inbox: Inbox) -> None:
    """S-056."""
    _, subject = await visited(api, inbox, "id-only")
    told = await inbox.event()
    assert references(told) == [f"{BASE_URL}{api.base.path}/Patient/{subject}"]
    assert told.entries == []


async def test_full_resource_takes_the_resource_along_as_it_was_received(api: Api, inbox: Inbox) -> None:
    """Golden, by hand: on R4 and R4B a GET that was answered 200 (S-125), on R5 a request and no response (S-130)."""
    visit, subject = await visited(api, inbox, "full-resource")
    told = await inbox.event()
    url = f"{BASE_URL}{api.base.path}"
    held = (await api.get(f"Patient/{subject}")).content
    golden: dict[str, Any] = {
        "fullUrl": f"{url}/Patient/{subject}",
        "resource": json.loads(held),
        "request": {"method": "GET", "url": f"Patient/{subject}"},
    }
    if api.base is not FhirVersion.R5:
        golden["response"] = {"status": "200"}
    focus, context = told.entries
    assert context == golden and held in told.body
    assert focus["fullUrl"] == f"{url}/Encounter/{visit}" and focus["request"]["method"] == "POST"
    event = told.bundle["entry"][0]["resource"]
    if api.base is FhirVersion.R4:
        (parts,) = (each["part"] for each in event["parameter"] if each["name"] == "notification-event")
        assert parts[-1] == {"name": "additional-context", "valueReference": {"reference": golden["fullUrl"]}}
        assert [part["name"] for part in parts] == ["event-number", "timestamp", "focus", "additional-context"]
    else:
        assert event["notificationEvent"][0]["additionalContext"] == [{"reference": golden["fullUrl"]}]


async def test_a_missing_or_deleted_resource_is_left_out_and_the_event_goes(api: Api, inbox: Inbox) -> None:
    """S-054: clients must work without."""
    visit, subject = await visited(api, inbox, "full-resource")
    await inbox.event()
    await api.delete(f"Patient/{subject}")
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject))
    deleted = await inbox.event()
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, fresh_id("never-seen")))
    missing = await inbox.event()
    for told in (deleted, missing):
        assert references(told) == [] and len(told.entries) == 1


async def test_the_version_that_stood_at_commit_travels_whatever_comes_later(api: Api, inbox: Inbox) -> None:
    """Ruling 21, through a failing receiver and a round of retention."""
    go_on = asyncio.Event()
    visit, subject = fresh(2)
    await api.put(f"Patient/{subject}", patient(subject, gender="unknown"))
    await subscribe(api, inbox, URL, content="full-resource", filters=(f"_id={visit}",))
    inbox.replies = [Reply(503, after=go_on)]
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject))
    first = await inbox.event()
    await api.put(f"Patient/{subject}", patient(subject, gender="female"))
    await api.delete(f"Patient/{subject}")
    go_on.set()
    second = await inbox.event()
    for told in (first, second):
        assert told.entries[1]["resource"]["gender"] == "unknown"
        assert told.entries[1]["resource"]["meta"]["versionId"] == "1"


async def test_retention_keeps_what_events_take_along(with_topic: RunningHub, api: Api, inbox: Inbox) -> None:
    """Also when neither the oldest nor the newest event that waits takes anything along."""
    visit, subject = fresh(2)
    await api.put(f"Patient/{subject}", patient(subject, gender="unknown"))
    told = await subscribe(api, inbox, URL, content="full-resource", filters=(f"_id={visit}",))
    inbox.reply = Reply(503)
    for referred in ("nobody", subject, "nobody"):
        await api.put(f"Encounter/{visit}", encounter(api.base, visit, referred))
    await _evaluated(with_topic, api.base)
    await api.put(f"Patient/{subject}", patient(subject, gender="female"))
    last = await _evaluated(with_topic, api.base)
    await with_topic.hub.janitor.round(last.milliseconds + 3_600_000)
    held = (await api.get(f"Patient/{subject}/_history")).json()["entry"]
    assert [each["response"]["etag"] for each in held] == ['W/"2"', 'W/"1"']
    events = await api.get(f"Subscription/{told['id']}/$events?eventsSinceNumber=1&eventsUntilNumber=9")
    kept = [each["resource"] for each in events.json()["entry"] if f"Patient/{subject}" in each.get("fullUrl", "")]
    assert [each["gender"] for each in kept] == ["unknown"], events.text
    inbox.reply = Reply(200)


async def _evaluated(running: RunningHub, base: FhirVersion) -> ChangeId:
    """The last change, once what it means for everybody is decided."""
    (partition,) = running.hub.store.layout.partitions_of("default", base)
    while (last := await running.hub.changes.last(partition)) != await running.hub.changes.evaluated_upto(partition):
        await asyncio.sleep(0.01)
    return last


async def test_iteration_follows_included_resources_and_ends(api: Api, inbox: Inbox) -> None:
    """Encounters that are part of each other in a circle: three steps, each resource once, never the focus itself."""
    chain = fresh(6)
    for here, above in zip(chain[1:], [*chain[2:], chain[0]], strict=True):
        body = encounter(api.base, here, "nobody") | {"partOf": {"reference": f"Encounter/{above}"}}
        await api.put(f"Encounter/{here}", body)
    await subscribe(api, inbox, URL, content="id-only", filters=(f"_id={chain[0]}",))
    body = encounter(api.base, chain[0], "nobody") | {"partOf": {"reference": f"Encounter/{chain[1]}"}}
    await api.put(f"Encounter/{chain[0]}", body)
    assert relative(await inbox.event()) == [f"Encounter/{each}" for each in chain[1:4]]
    small = fresh(2)
    for here, above in (small, small[::-1]):
        body = encounter(api.base, here, "nobody") | {"partOf": {"reference": f"Encounter/{above}"}}
        await api.put(f"Encounter/{here}", body)
    await subscribe(api, inbox, URL, content="full-resource", filters=(f"_id={small[0]}",))
    await api.put(f"Encounter/{small[0]}", body | {"id": small[0], "partOf": {"reference": f"Encounter/{small[1]}"}})
    assert relative(await inbox.event()) == [f"Encounter/{small[1]}"]


async def test_a_batch_shows_each_resource_once_in_its_newest_version(api: Api, inbox: Inbox) -> None:
    """S-126, S-131: no fullUrl twice."""
    visit, subject = fresh(2)
    await api.put(f"Patient/{subject}", patient(subject, gender="unknown"))
    await subscribe(api, inbox, URL, content="full-resource", filters=(f"_id={visit}",), max_count=10)
    inbox.replies = [Reply(503)]
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject))
    await inbox.event()
    await api.put(f"Patient/{subject}", patient(subject, gender="female"))
    for _ in range(2):
        await api.put(f"Encounter/{visit}", encounter(api.base, visit, subject))
    seen: list[Notification] = []
    while not seen or 3 not in seen[-1].numbers:
        seen.append(await inbox.event())
    for told in seen:
        urls = [each["fullUrl"] for each in told.bundle["entry"]]
        assert len(urls) == len(set(urls))
    assert seen[-1].entries[-1]["resource"]["gender"] == "female"


async def test_an_included_resource_of_a_transaction_travels_with_its_focus(api: Api, inbox: Inbox) -> None:
    visit, subject = fresh(2)
    await subscribe(api, inbox, URL, content="id-only", filters=(f"_id={visit}",))
    entries = [
        {"request": {"method": "PUT", "url": f"Encounter/{visit}"}, "resource": encounter(api.base, visit, subject)},
        {"request": {"method": "PUT", "url": f"Patient/{subject}"}, "resource": patient(subject)},
    ]
    await api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert relative(await inbox.event()) == [f"Patient/{subject}"]
