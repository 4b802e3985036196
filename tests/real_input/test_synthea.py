"""Synthetic patients as they are published, through the whole hub: what is told equals what the topics mean."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import SHIPPED, subscribe
from tests.api.harness import BASE_URL, RunningHub, running_hub
from tests.api.receiver import Inbox, Receiver, events_of
from tests.real_input.hospital import Hospital, busy_day
from tests.real_input.meaning import MEANING, WATCHES, Watch
from tests.real_input.shared_data import ROOT, SYNTHEA, needs_data

pytestmark = needs_data

ADDED_META = re.compile(rb'"versionId":"1","lastUpdated":"[^"]+",?')
ROUNDS = 8


@pytest.fixture(scope="module")
async def running(real_input_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    async with running_hub(f"{real_input_redis_url}?db=1", tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
async def inboxes(running: RunningHub, receiver: Receiver) -> list[tuple[Watch, Inbox]]:
    """A Subscription on every shipped topic, and some with filters, active before the first change."""
    found = [(watch, receiver.inbox()) for watch in WATCHES]
    for watch, inbox in found:
        filters = (watch.criteria,) if watch.criteria else ()
        await subscribe(running.api(FhirVersion.R4), inbox, SHIPPED + watch.topic, max_count=50, filters=filters)
    return found


@pytest.fixture(scope="module")
async def full_inboxes(running: RunningHub, receiver: Receiver) -> list[tuple[Watch, Inbox]]:
    """One event at a time, with its resource."""
    found = [(Watch(topic), receiver.inbox()) for topic in MEANING]
    for watch, inbox in found:
        await subscribe(running.api(FhirVersion.R4), inbox, SHIPPED + watch.topic, content="full-resource")
    return found


@pytest.fixture(scope="module")
async def hospital(
    running: RunningHub, inboxes: list[tuple[Watch, Inbox]], full_inboxes: list[tuple[Watch, Inbox]]
) -> Hospital:
    """All bundles posted, hospitals and practitioners first."""
    hospital = Hospital(running.api(FhirVersion.R4))
    infrastructure = [*SYNTHEA.glob("hospital*.json"), *SYNTHEA.glob("practitioner*.json")]
    patients = sorted(set(SYNTHEA.glob("*.json")) - set(infrastructure))
    assert infrastructure and patients
    for raw in [path.read_bytes() for path in (*infrastructure, *patients)]:
        await hospital.post_published(raw)
    return hospital


def expected(hospital: Hospital, watch: Watch) -> list[tuple[int, str]]:
    """(number, focus) of every event of a Subscription, by brute force over all changes."""
    foci = [name for name, change in hospital.changes if watch.fires(change)]
    return [(number, f"{BASE_URL}/fhir/r4/{focus}") for number, focus in enumerate(foci, 1)]


async def told(inbox: Inbox, count: int) -> list[tuple[int, str]]:
    """(number, focus) of every event that arrived, once ``count`` did and nothing more is on its way."""
    for _ in range(500):
        events = [event for each in inbox.everything if each.type == "event-notification" for event in each.events]
        if len(events) >= count:
            break
        await asyncio.sleep(0.02)
    return [(int(event.number), event.focus) for event in events]


async def check_all(hospital: Hospital, inboxes: list[tuple[Watch, Inbox]]) -> None:
    for watch, inbox in inboxes:
        wanted = expected(hospital, watch)
        assert await told(inbox, len(wanted)) == wanted, watch


def test_every_shipped_topic_is_written_down_here_a_second_time() -> None:
    assert {path.stem for path in (ROOT / "topics").glob("*.json")} == set(MEANING)


async def test_posted_patients_bring_exactly_the_events_that_the_topics_mean(
    hospital: Hospital, inboxes: list[tuple[Watch, Inbox]]
) -> None:
    counts = {topic: len(expected(hospital, Watch(topic))) for topic in MEANING}
    assert counts["patient-change"] == 5 and counts["discharge"] == 1
    assert counts["encounter-end"] == 26 and counts["observation-lab-result"] == 85
    await check_all(hospital, inboxes)


async def test_every_resource_is_read_back_byte_for_byte(hospital: Hospital) -> None:
    """Only the hub's id, the replaced references and the two members of meta may differ (HOUSE decision 2)."""
    assert len(hospital.posted) == 550
    for name, (written, replaced) in hospital.posted.items():
        answer = await hospital.api.get(name)
        assert answer.status_code == 200
        for full_url, reference in replaced.items():
            written = written.replace(f'"{full_url}"'.encode(), f'"{reference}"'.encode())
        own_id, hub_id = (re.search(rb'"id"\s*:\s*"[^"]*"', text) for text in (written, answer.content))
        assert own_id and hub_id and name.encode().endswith(hub_id[0].rpartition(b":")[2].strip(b' "'))
        completed, added = ADDED_META.subn(b"", answer.content)
        assert added == 1
        assert completed.replace(hub_id[0], own_id[0], 1) == written, name


async def test_busy_days_bring_exactly_the_events_that_the_topics_mean(
    hospital: Hospital, inboxes: list[tuple[Watch, Inbox]]
) -> None:
    """Encounters begin, move and end, results are revised, patients change: each round compared with brute force."""
    chance = random.Random(20260101)
    before = {watch: len(expected(hospital, watch)) for watch in WATCHES}
    for _ in range(ROUNDS):
        await busy_day(hospital, chance)
        await check_all(hospital, inboxes)
    for watch in WATCHES:
        assert len(expected(hospital, watch)) >= before[watch] + 2, f"{watch} was not tried"


async def test_each_event_carries_the_state_that_it_was_about(
    hospital: Hospital, full_inboxes: list[tuple[Watch, Inbox]]
) -> None:
    """S-068: resources have changed many times since; event n shows what the n-th change made of its focus."""
    for watch, inbox in full_inboxes:
        changes = [change for _, change in hospital.changes if watch.fires(change)]
        await told(inbox, len(changes))
        sent = [each for each in inbox.everything if each.type == "event-notification"]
        assert len(sent) == len(changes), watch
        for change, notification in zip(changes, sent, strict=True):
            (event,) = notification.events
            (entry,) = (each for each in notification.entries if each["fullUrl"] == event.focus)
            assert without_meta(entry.get("resource")) == without_meta(change.current), watch


def without_meta(resource: Any) -> dict[str, Any] | None:
    return resource and {name: value for name, value in resource.items() if name != "meta"}


async def test_all_events_can_be_asked_for_again(hospital: Hospital, inboxes: list[tuple[Watch, Inbox]]) -> None:
    """S-186: ``$events`` tells the same numbers and foci that were sent."""
    for watch, inbox in inboxes:
        identity = inbox.everything[0].carrier["subscription"]["reference"].rpartition("/")[2]
        answer = await hospital.api.get(f"Subscription/{identity}/$events")
        found = [(int(event.number), event.focus) for event in events_of(answer.json())]
        assert found == expected(hospital, watch), watch


async def test_nothing_is_told_beyond_that(hospital: Hospital, inboxes: list[tuple[Watch, Inbox]]) -> None:
    await asyncio.sleep(0.2)
    for watch, inbox in inboxes:
        assert len(await told(inbox, 0)) == len(expected(hospital, watch)), watch
