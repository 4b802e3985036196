"""The kill switch for one topic and for one endpoint: held back, numbered, delivered in order when started again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hub.domain.subscription import Channel
from hub.domain.versions import FhirVersion
from hub.intake import stopping
from hub.intake.stopping import host_of
from tests.api.builders import ENCOUNTER_START, PATIENT_CHANGE, encounter, fresh_id, patient, subscribe, subscription
from tests.api.harness import BASES, Api, RunningHub, outcome_of
from tests.api.receiver import Inbox, Receiver
from tests.api.test_repair import told, until

Start = Callable[..., Awaitable[RunningHub]]


@pytest.fixture
async def own(start_hub: Start, base: FhirVersion) -> Api:
    """A hub of the test's own: what is stopped concerns everybody."""
    return (await start_hub()).api(base)


async def switch(api: Api, operation: str, **what: str) -> tuple[int, list[dict[str, Any]]]:
    """How many were concerned, and what is stopped now."""
    answer = await api.post(f"${operation}?" + "&".join(f"{name}={value}" for name, value in what.items()))
    assert answer.status_code == 200, answer.text
    return answer.json()["parameter"][0]["valueInteger"], told(answer, "stop")


async def waiting(api: Api, path: str, count: int) -> None:
    """Until so many events are numbered."""

    def true(answer: httpx.Response) -> bool:
        return f'"{count}"' in answer.text

    await until(lambda: api.get(f"{path}/$status"), true)


async def test_a_stopped_topic_is_held_back_and_others_are_not(own: Api, receiver: Receiver) -> None:
    stopped, other, mark = receiver.inbox(), receiver.inbox(), fresh_id()
    path = f"Subscription/{(await subscribe(own, stopped))['id']}"
    await subscribe(own, other, ENCOUNTER_START)
    count, standing = await switch(own, "stop", topic=PATIENT_CHANGE)
    assert count == 1 and [each["topic"] for each in standing] == [PATIENT_CHANGE]
    for _ in range(3):
        await own.put(f"Patient/{mark}", patient(mark))
    await own.put(f"Encounter/{mark}", encounter(own.base, mark, mark))
    assert await other.numbers(1) == [1]
    await waiting(own, path, 3)
    assert stopped.nothing_unread()
    transitions = await own.get(f"{path}/$transitions")
    assert "its topic is stopped by the operator" in transitions.text
    assert await switch(own, "start", topic=PATIENT_CHANGE) == (1, [])
    assert await stopped.numbers(3) == [1, 2, 3]
    causes = [each["cause"] for each in told(await own.get(f"{path}/$transitions"), "transition")]
    assert causes[-2:] == ["topic-stopped", "topic-started"]


async def test_a_stopped_endpoint_gets_nothing_on_any_base(start_hub: Start, receiver: Receiver) -> None:
    running = await start_hub()
    inboxes = {base: receiver.inbox() for base in BASES}
    for base, inbox in inboxes.items():
        await subscribe(running.api(base), inbox)
    api = running.api(FhirVersion.R4)
    count, standing = await switch(api, "stop", endpoint="127.0.0.1")
    assert count == len(BASES) and [each["endpoint"] for each in standing] == ["127.0.0.1"]
    for base in BASES:
        await running.api(base).put("Patient/p", patient("p"))
    ready = (await running.client.get("/health/ready")).json()
    assert ready["stopped_by_the_operator"] == {"topics": [], "endpoints": 1}
    assert "127.0.0.1" not in str(ready["stopped_by_the_operator"])
    assert (await switch(api, "start", endpoint="127.0.0.1"))[0] == len(BASES)
    for inbox in inboxes.values():
        assert await inbox.numbers(1) == [1]


async def test_what_comes_later_is_held_back_too(own: Api, inbox: Inbox) -> None:
    await switch(own, "stop", topic=f"{PATIENT_CHANGE}|1.0.0")
    created = await own.post("Subscription", subscription(own.base, inbox.url))
    path = f"Subscription/{created.json()['id']}"
    answer = await own.get(f"{path}/$transitions")
    assert "its topic is stopped" in answer.text and '"valueCode":"requested"' in answer.text
    assert (await own.client.get("/health/ready")).json()["stopped_by_the_operator"]["topics"]
    assert (await switch(own, "start", topic=PATIENT_CHANGE))[0] == 1
    await inbox.next("handshake")
    assert len(inbox.everything) == 1


async def test_so_many_may_be_stopped_and_no_more(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a Subscription is compared with all of them."""
    monkeypatch.setattr(stopping, "MOST_STOPS", 2)
    await switch(own, "stop", topic=PATIENT_CHANGE)
    await switch(own, "stop", endpoint="a.example.org")
    (issue,) = outcome_of(await own.post("$stop?endpoint=b.example.org"), 422)
    assert issue["code"] == "too-costly" and "start one of them" in issue["diagnostics"]
    assert len((await switch(own, "stop", endpoint="a.example.org"))[1]) == 2, "repeating one is none more"
    await switch(own, "start", topic=PATIENT_CHANGE)
    assert len((await switch(own, "stop", endpoint="b.example.org"))[1]) == 2


async def test_a_pause_outlives_a_stop(own: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    path = f"Subscription/{(await subscribe(own, inbox))['id']}"
    await own.post(f"{path}/$pause")
    await switch(own, "stop", topic=PATIENT_CHANGE)
    await own.put(f"Patient/{mark}", patient(mark))
    await switch(own, "start", topic=PATIENT_CHANGE)
    await waiting(own, path, 1)
    assert inbox.nothing_unread()
    await own.post(f"{path}/$resume")
    assert await inbox.numbers(1) == [1]


async def test_a_write_that_goes_elsewhere_leaves_the_stop_behind(own: Api, inbox: Inbox) -> None:
    written = await subscribe(own, inbox)
    await switch(own, "stop", topic=PATIENT_CHANGE)
    moved = subscription(own.base, inbox.url, ENCOUNTER_START) | {"id": written["id"]}
    await own.put(f"Subscription/{written['id']}", moved)
    answer = await own.get(f"Subscription/{written['id']}/$transitions")
    assert '"paused","valueBoolean":false' in answer.text


@pytest.mark.parametrize(
    "query",
    ["", "topic=x&endpoint=y", "endpoint=http://x/", "endpoint=x:80/a", "endpoint=-", "topic=a&topic=b", "host=x",
     "topic=http://x.org/" + "x" * 2048],
)  # fmt: skip
async def test_what_cannot_be_stopped_is_refused(api: Api, query: str) -> None:
    outcome_of(await api.post(f"$stop?{query}"), 400)
    outcome_of(await api.get("$stop?endpoint=nowhere.example"), 405)


@pytest.mark.parametrize(
    ("kind", "endpoint", "host"),
    [
        ("rest-hook", "https://User@Ward.Example.org:8443/a?b", "ward.example.org"),
        ("email", "mailto:ward@Example.org?subject=x", "example.org"), ("websocket", "", ""),
        ("message", "http://[::1]:80/fhir", "::1"),
    ],
)  # fmt: skip
def test_an_endpoint_is_known_by_its_host(kind: str, endpoint: str, host: str) -> None:
    assert host_of(Channel(kind, endpoint)) == host
