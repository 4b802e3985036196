"""``$status`` and ``$events`` on the three bases (issue point 7, S-183…S-187)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import BACKPORT, fresh_id, patient, subscribe, subscription
from tests.api.harness import BASE_URL, Api, RunningHub, outcome_of
from tests.api.receiver import Event, Inbox, Receiver, carrier_of, events_of, status_of

COUNT = 5


@pytest.fixture
async def told(api: Api, inbox: Inbox) -> tuple[str, list[str]]:
    """A Subscription (full-resource) with five delivered events, and the ids they are about."""
    marks = [fresh_id() for _ in range(COUNT)]
    shown = await subscribe(api, inbox, content="full-resource", filters=(f"_id={','.join(marks)}",))
    for mark in marks:
        await api.put(f"Patient/{mark}", patient(mark))
    assert await inbox.numbers(COUNT) == [1, 2, 3, 4, 5]
    return shown["id"], marks


def parameters(**values: Any) -> dict[str, Any]:
    """A Parameters body; a list makes a parameter repeat."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": name, "valueString": str(each)}
            for name, value in values.items()
            for each in (value if isinstance(value, list) else [value])
        ],
    }


async def test_status_tells_where_a_subscription_stands(api: Api, told: tuple[str, list[str]]) -> None:
    """S-184: a searchset with one carrier, of type query-status, with neither request nor response."""
    path = f"Subscription/{told[0]}/$status"
    for answer in (await api.get(path), await api.post(path), await api.post(path, parameters())):
        assert answer.status_code == 200
        bundle = answer.json()
        assert (bundle["type"], bundle["total"]) == ("searchset", 1)
        assert bundle["link"] == [{"relation": "self", "url": f"{BASE_URL}{api.base.path}/{path}"}]
        (entry,) = bundle["entry"]
        assert entry["search"] == {"mode": "match"} and not entry.keys() & {"request", "response"}
        kind = "Parameters" if api.base is FhirVersion.R4 else "SubscriptionStatus"
        assert entry["resource"]["resourceType"] == kind
        status = status_of(entry["resource"])
        assert (status["type"], status["status"], status["eventsSinceSubscriptionStart"]) == (
            "query-status", "active", "5",
        )  # fmt: skip
        if api.base is FhirVersion.R4:
            assert entry["resource"]["meta"]["profile"] == [f"{BACKPORT}backport-subscription-status-r4"]


async def test_status_on_an_instance_ignores_id_and_status(api: Api, told: tuple[str, list[str]]) -> None:
    """S-183."""
    answer = await api.get(f"Subscription/{told[0]}/$status?id=another&status=off")
    assert answer.json()["total"] == 1


async def test_status_on_the_type_chooses_by_ids_and_by_statuses(api: Api, receiver: Receiver) -> None:
    """S-185: each OR, between them AND; unknown ids are left out."""
    first, second = [(await subscribe(api, receiver.inbox()))["id"] for _ in range(2)]
    body = subscription(api.base, receiver.inbox().url, status="off")
    third = (await api.post("Subscription", body)).json()["id"]
    every = ",".join((first, second, third, "unknown"))
    expected = {
        f"id={every}": {first, second, third},
        f"id={first}&id={third}": {first, third},
        f"id={every}&status=active": {first, second},
        f"id={every}&status=off,error": {third},
        f"id={every}&status=error": set(),
        "id=unknown": set(),
    }
    for query, ids in expected.items():
        assert _subscriptions_in(await api.get(f"Subscription/$status?{query}")) == ids, query
    assert _subscriptions_in(await api.get("Subscription/$status")) >= {first, second, third}
    posted = await api.post("Subscription/$status", parameters(id=[first, third], status="off"))
    assert _subscriptions_in(posted) == {third}


def _subscriptions_in(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["total"] == len(bundle.get("entry", ()))
    carriers = [status_of(entry["resource"]) for entry in bundle.get("entry", ())]
    return {carrier["subscription"]["reference"].rpartition("/")[2] for carrier in carriers}


def _numbers(bundle: dict[str, Any]) -> list[int]:
    return [int(event.number) for event in events_of(bundle)]


async def test_events_gives_the_asked_numbers_both_ends_included(api: Api, told: tuple[str, list[str]]) -> None:
    """S-186."""
    path = f"Subscription/{told[0]}/$events"
    expected = {
        "": [1, 2, 3, 4, 5], "?eventsSinceNumber=3": [3, 4, 5], "?eventsUntilNumber=2": [1, 2],
        "?eventsSinceNumber=2&eventsUntilNumber=4": [2, 3, 4], "?eventsSinceNumber=5&eventsUntilNumber=99": [5],
        "?eventsSinceNumber=0": [1, 2, 3, 4, 5], "?eventsSinceNumber=4&eventsUntilNumber=4": [4],
    }  # fmt: skip
    for query, numbers in expected.items():
        assert _numbers((await api.get(path + query)).json()) == numbers, query
    posted = await api.post(path, parameters(eventsSinceNumber=2, eventsUntilNumber=3))
    assert _numbers(posted.json()) == [2, 3]
    typed = "valueInteger64" if api.base is FhirVersion.R5 else "valueString"
    integers = {"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", typed: "4"}]}
    assert _numbers((await api.post(path, integers)).json()) == [4, 5]


async def test_events_answers_with_a_notification_that_was_asked_for(api: Api, told: tuple[str, list[str]]) -> None:
    identity, marks = told
    bundle = (await api.get(f"Subscription/{identity}/$events")).json()
    assert bundle["type"] == ("subscription-notification" if api.base is FhirVersion.R5 else "history")
    carrier = carrier_of(bundle)
    assert (carrier["type"], carrier["eventsSinceSubscriptionStart"]) == ("query-event", "5")
    assert [event.focus for event in events_of(bundle)] == [f"{BASE_URL}{api.base.path}/Patient/{it}" for it in marks]
    assert [entry["resource"]["id"] for entry in bundle["entry"][1:]] == marks


LEVELS = ("empty", "id-only", "full-resource")


@pytest.mark.parametrize("subscribed", LEVELS)
@pytest.mark.parametrize("asked", LEVELS)
async def test_the_content_hint_lowers_and_never_raises(api: Api, inbox: Inbox, subscribed: str, asked: str) -> None:
    """S-187: privacy."""
    mark, secret = fresh_id(), fresh_id("secret")
    shown = await subscribe(api, inbox, content=subscribed, filters=(f"_id={mark}",))
    await api.put(f"Patient/{mark}", patient(mark, name=[{"family": secret}]))
    await inbox.event()
    answer = await api.get(f"Subscription/{shown['id']}/$events?content={asked}")
    given = min(LEVELS.index(subscribed), LEVELS.index(asked))
    assert (mark in answer.text) is (given > 0)
    assert (secret in answer.text) is (given > 1)
    posted = await api.post(f"Subscription/{shown['id']}/$events", parameters(content=asked))
    assert events_of(posted.json()) == events_of(answer.json())


async def test_events_of_nothing_is_404_on_r5_and_a_bundle_elsewhere(api: Api, inbox: Inbox) -> None:
    """S-187: sst-1 wants at least one event of a query-event on R5."""
    shown = await subscribe(api, inbox, filters=("_id=nobody",))
    for query in ("", "?eventsSinceNumber=1", "?eventsSinceNumber=7&eventsUntilNumber=9"):
        answer = await api.get(f"Subscription/{shown['id']}/$events{query}")
        if api.base is FhirVersion.R5:
            outcome_of(answer, 404)
        else:
            assert (answer.status_code, events_of(answer.json())) == (200, [])


REFUSED = [
    "eventsSinceNumber=3&eventsUntilNumber=2", "eventsSinceNumber=x", "eventsSinceNumber=-1", "eventsSinceNumber=",
    "eventsSinceNumber=1.0", "eventsSinceNumber=99999999999999999999", "content=all", "eventsSinceNumber=1&"
    "eventsSinceNumber=2", "unknown=1", "eventssincenumber=1", "content=empty&content=empty",
]  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
async def test_inputs_that_mean_nothing_are_refused(api: Api, told: tuple[str, list[str]], query: str) -> None:
    outcome_of(await api.get(f"Subscription/{told[0]}/$events?{query}"), 400)


async def test_operations_on_the_unknown_are_404(api: Api) -> None:
    for path in ("Subscription/unknown/$status", "Subscription/unknown/$events", "Subscription/$events"):
        outcome_of(await api.get(path), 404)
    outcome_of(await api.get("Subscription/unknown/$unicorn"), 404)
    outcome_of(await api.get("Subscription/$status?status=asleep"), 400)
    outcome_of(await api.get("Subscription/$status?id=a/b"), 400)


async def test_events_past_their_retention_are_said_to_be_gone(
    start_hub: Callable[..., Awaitable[RunningHub]], inbox: Inbox, base: FhirVersion
) -> None:
    """S-187: what is no longer held is named in the carrier's error, what is held is given."""
    running = await start_hub(event_retention_count=2)
    api = running.api(base)
    shown = await subscribe(api, inbox)
    for _ in range(COUNT):
        await api.put(f"Patient/{(mark := fresh_id())}", patient(mark))
    assert await inbox.numbers(COUNT) == [1, 2, 3, 4, 5]
    await _until_delivered(running, base, shown["id"])
    await running.hub.janitor.round(await running.hub.store.clock_milliseconds())
    bundle = (await api.get(f"Subscription/{shown['id']}/$events")).json()
    assert _numbers(bundle) == [4, 5]
    (error,) = carrier_of(bundle)["error"]
    assert "1 to 3" in error["text"]
    within = (await api.get(f"Subscription/{shown['id']}/$events?eventsSinceNumber=4")).json()
    assert not carrier_of(within).get("error")
    gone = await api.get(f"Subscription/{shown['id']}/$events?eventsUntilNumber=2")
    assert base is not FhirVersion.R5 or outcome_of(gone, 404)[0]["diagnostics"].endswith("held: 4 to 5")


async def _until_delivered(running: RunningHub, base: FhirVersion, identity: str) -> None:
    for _ in range(200):
        (record,) = await running.hub.subscriptions.records([f"default|{base}|{identity}"])
        if record and record.cursor == COUNT:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the last event was not settled")


async def test_an_event_of_a_deletion_is_told_without_content(api: Api, inbox: Inbox) -> None:
    """S-134, S-137."""
    mark = fresh_id()
    shown = await subscribe(api, inbox, content="full-resource", filters=(f"_id={mark}",))
    await api.put(f"Patient/{mark}", patient(mark))
    await api.delete(f"Patient/{mark}")
    await inbox.numbers(2)
    bundle = (await api.get(f"Subscription/{shown['id']}/$events?eventsSinceNumber=2")).json()
    (entry,) = bundle["entry"][1:]
    assert "resource" not in entry and entry["request"]["method"] == "DELETE"
    assert events_of(bundle) == [Event("2", events_of(bundle)[0].timestamp, entry["fullUrl"])]


@pytest.mark.parametrize("bounds", ["", "eventsSinceNumber=2", "eventsSinceNumber=2&eventsUntilNumber=4&content=empty"])
async def test_events_come_in_pages_each_with_a_link_to_the_next(
    api: Api, told: tuple[str, list[str]], bounds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-187: the lowest first, nothing twice, nothing left out, and the bounds and the content hint go along."""
    monkeypatch.setattr("hub.intake.progress.MOST_EVENTS", 2)
    path, pages = f"Subscription/{told[0]}/$events?{bounds}", []
    while path:
        bundle = (await api.get(path)).json()
        pages.append([int(event.number) for event in events_of(bundle)])
        links = {each["relation"]: each["url"] for each in bundle.get("link", ())}
        if "next" in links:
            assert ("content=empty" in links["next"]) is ("content=empty" in bounds)
        path = links.get("next", "").removeprefix(BASE_URL)
    last = 4 if "Until" in bounds else COUNT
    first = 2 if "Since" in bounds else 1
    assert [number for page in pages for number in page] == list(range(first, last + 1))
    assert all(len(page) <= 2 for page in pages) and len(pages) > 1
