"""What the hub answers before a limit is passed: status, Retry-After, which limit it is; and nothing is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from hub import opening
from hub.api import wire
from hub.app import Hub, create_app
from hub.domain.versions import FhirVersion
from hub.intake import changes
from hub.intake.registry import Registry
from hub.security.tokens import Guard
from hub.store import pressure
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import Layout
from tests.api.builders import fresh_id, patient, subscribe, subscription
from tests.api.harness import FHIR_JSON, Api, RunningHub, outcome_of, running_hub, snapshot, written_by_clients
from tests.api.receiver import Inbox, Reply

HEADERS = [(b"content-type", FHIR_JSON.encode())]
BALLAST_BYTES = 32 * 1024 * 1024
Start = Callable[..., Awaitable[RunningHub]]


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[str]:
    """A Redis whose memory this test may limit: it holds so much that a percent of it is more than a few commands."""
    server = EmbeddedRedis(tmp_path / "redis")
    url = await server.start()
    other_database = Store(f"{url}?db=5", Layout())
    await other_database.send(("SETRANGE", "ballast", BALLAST_BYTES, "x"))
    await other_database.close()
    yield url
    async with asyncio.timeout(30):
        while await server._connections() > 1:  # a server that others still use is left to them
            await asyncio.sleep(0.02)
    await server.stop()


@pytest.fixture
async def start_alone(own_redis: str, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> RunningHub:
            return await stack.enter_async_context(running_hub(own_redis, tmp_path / "hub", **settings))

        yield start


@asynccontextmanager
async def slow_request(running: RunningHub, first: bytes, rest: bytes) -> AsyncIterator[asyncio.Task[int]]:
    """A POST of a Patient of which ``first`` came; ``rest`` comes at the end of the block. Its status."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asked = asyncio.Event()
    answer: list[int] = []

    async def receive() -> dict[str, Any]:
        if messages.empty():
            asked.set()
        return await messages.get()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.append(message["status"])

    async def request() -> int:
        scope = {
            "type": "http", "method": "POST", "path": "/fhir/r5/Patient", "query_string": b"", "headers": HEADERS,
        }  # fmt: skip
        await running.app(scope, receive, send)
        return answer[0]

    messages.put_nowait({"type": "http.request", "body": first, "more_body": True})
    going = asyncio.create_task(request())
    await asked.wait()
    yield going
    messages.put_nowait({"type": "http.request", "body": rest, "more_body": False})
    await going


def refused_for_now(response: httpx.Response, status: int, *words: str) -> None:
    (issue,) = outcome_of(response, status)
    assert int(response.headers["retry-after"]) >= 1
    assert issue["code"] in ("throttled", "transient")
    for word in words:
        assert word in issue["diagnostics"], issue


async def stored(running: RunningHub) -> dict[bytes, Any]:
    return written_by_clients(await snapshot(running.hub))


async def test_one_request_too_many_is_told_to_come_again_and_the_first_is_answered(start_hub: Start) -> None:
    running = await start_hub(max_requests_in_flight=1)
    api = running.api(FhirVersion.R5)
    before = await stored(running)
    body = orjson.dumps(patient())
    async with slow_request(running, body[:5], body[5:]) as going:
        refused_for_now(await api.post("Patient", patient()), 503, "1 requests", "HUB_MAX_REQUESTS_IN_FLIGHT")
        refused_for_now(await api.get("metadata"), 503, "HUB_MAX_REQUESTS_IN_FLIGHT")
        assert await stored(running) == before
    assert going.result() == 201
    assert (await api.post("Patient", patient())).status_code == 201


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in-chunks"])
async def test_bodies_have_so_many_bytes_together_and_what_does_not_fit_is_not_read(
    start_hub: Start, announced: bool
) -> None:
    running = await start_hub(max_bodies_bytes=4096, max_bundle_bytes=1024)
    api = running.api(FhirVersion.R5)
    before = await stored(running)
    body = orjson.dumps(patient(language="d" * 3000))
    small = orjson.dumps(patient(language="e" * 2000))

    async def chunks() -> AsyncIterator[bytes]:
        yield small

    async with slow_request(running, body, b"") as going:
        content: Any = small if announced else chunks()
        answer = await running.client.post("/fhir/r5/Patient", content=content, headers={"Content-Type": FHIR_JSON})
        refused_for_now(answer, 503, "4096 bytes", "HUB_MAX_BODIES_BYTES")
        assert await stored(running) == before
        assert (await api.post("Patient", patient())).status_code == 201
    assert going.result() == 201
    assert (await api.post("Patient", small)).status_code == 201
    assert (running.hub.admission.requests, running.hub.admission.bytes_held) == (0, 0)


async def test_a_body_that_does_not_come_in_time_keeps_nobody_out(
    start_hub: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.05)
    running = await start_hub(max_requests_in_flight=1)
    before = await stored(running)
    async with slow_request(running, b'{"resourceType":', b"") as going:
        assert await going == 408
        assert await stored(running) == before
        assert (await running.api(FhirVersion.R5).post("Patient", patient())).status_code == 201


async def test_a_redis_whose_memory_is_nearly_used_takes_no_changes_then_no_subscriptions_and_reads_go_on(
    start_alone: Start,
) -> None:
    running = await start_alone()
    api, hub = running.api(FhirVersion.R5), running.hub
    made = (await api.post("Patient", patient())).json()["id"]
    wanted = subscription(FhirVersion.R5, "http://127.0.0.1:2001/hook")

    async def use(percent: int) -> None:
        (told,) = await hub.store.send(("INFO", "memory"))
        await hub.store.send(("CONFIG", "SET", "maxmemory", int(told["used_memory"]) * 100 // percent))
        await hub.pressure.look()

    await use(85)
    before = await stored(running)
    words = ("Redis has used", "HUB_REDIS_MEMORY_PERCENT")
    refused_for_now(await api.post("Patient", patient()), 429, *words)
    refused_for_now(await api.delete(f"Patient/{made}"), 429, *words)
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}]}  # fmt: skip
    refused_for_now(await api.post("", transaction), 429, *words)
    answer = (await api.post("", transaction | {"type": "batch"})).json()
    assert answer["entry"][0]["response"]["status"].startswith("429")
    assert await stored(running) == before
    created = await api.post("Subscription", wanted)
    assert created.status_code == 201, created.text
    await use(95)
    before = await stored(running)
    refused_for_now(await api.post("Subscription", wanted), 429, *words)
    identity = fresh_id()
    refused_for_now(await api.put(f"Subscription/{identity}", wanted | {"id": identity}), 429, *words)
    assert await stored(running) == before
    assert (await api.get(f"Patient/{made}")).status_code == 200
    assert (await api.delete(f"Subscription/{created.json()['id']}")).status_code in (200, 204)
    await hub.store.send(("CONFIG", "SET", "maxmemory", 0))
    await hub.pressure.look()
    assert (await api.post("Patient", patient())).status_code == 201


async def test_a_write_that_redis_has_no_memory_for_is_503_and_not_a_fault(
    start_alone: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "LOOK_SECONDS", 3600)  # it filled up since one looked
    running = await start_alone()
    api = running.api(FhirVersion.R5)
    await running.hub.store.send(("CONFIG", "SET", "maxmemory", 1))
    before = await stored(running)
    refused_for_now(await api.post("Patient", patient()), 503, "maxmemory", "not carried out")
    wanted = subscription(FhirVersion.R5, "http://127.0.0.1:2001/hook")
    refused_for_now(await api.post("Subscription", wanted), 503, "maxmemory", "not carried out")
    assert await stored(running) == before
    await running.hub.store.send(("CONFIG", "SET", "maxmemory", 0))
    assert (await api.post("Patient", patient())).status_code == 201


async def test_too_many_events_that_wait_for_delivery_keep_changes_out_until_some_are_delivered(
    start_hub: Start, inbox: Inbox
) -> None:
    running = await start_hub(max_waiting_events=2)
    api, hub = running.api(FhirVersion.R5), running.hub
    go_on = asyncio.Event()
    await subscribe(api, inbox)
    inbox.replies = [Reply(200, after=go_on)]
    for _ in range(2):
        assert (await api.post("Patient", patient())).status_code == 201
    async with asyncio.timeout(30):
        while hub.pressure.events_waiting < 2:
            await hub.pressure.look()
    before = await stored(running)
    refused_for_now(await api.post("Patient", patient()), 429, "2 events wait", "HUB_MAX_WAITING_EVENTS")
    assert await stored(running) == before
    go_on.set()
    async with asyncio.timeout(30):
        while hub.pressure.events_waiting:
            await hub.pressure.look()
    assert (await api.post("Patient", patient())).status_code == 201


async def test_too_many_changes_that_wait_for_evaluation_keep_others_out(
    start_hub: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Registry) -> None:
        await asyncio.Event().wait()

    running = await start_hub(max_waiting_changes=1)
    api = running.api(FhirVersion.R5)
    monkeypatch.setattr(Registry, "knows", lambda *_: False)
    monkeypatch.setattr(Registry, "refresh", never)  # evaluation stands still
    assert (await api.post("Patient", patient())).status_code == 201
    before = await stored(running)
    refused_for_now(await api.post("Patient", patient()), 429, "wait for evaluation", "HUB_MAX_WAITING_CHANGES")
    assert await stored(running) == before


async def test_changes_that_wait_for_the_write_before_theirs_are_so_many_and_no_more(
    start_hub: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_QUEUED", 1)
    running = await start_hub()
    api, store = running.api(FhirVersion.R5), running.hub.changes
    go_on, begun, accept = asyncio.Event(), asyncio.Event(), store.accept

    async def slowly(*arguments: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await accept(*arguments)

    monkeypatch.setattr(store, "accept", slowly)
    first = asyncio.create_task(api.post("Patient", patient()))
    await begun.wait()
    second = asyncio.create_task(api.post("Patient", patient()))
    queues = running.hub.intake._queues
    async with asyncio.timeout(30):
        while not any(queues.values()):
            await asyncio.sleep(0)
    refused_for_now(await api.post("Patient", patient()), 503, "wait in this process to be written")
    go_on.set()
    assert [(await first).status_code, (await second).status_code] == [201, 201]


async def test_a_hub_sends_what_waits_before_it_has_read_its_subscriptions_and_answers_requests_after(
    api_redis_url: str, tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_SECONDS", 0.05)
    url = f"{api_redis_url}?db=3"
    async with running_hub(url, tmp_path, retry_initial_ms=1, retry_max_ms=1) as former:
        api = former.api(FhirVersion.R5)
        await subscribe(api, inbox)
        inbox.replies = [Reply(500)] * 1000
        await api.post("Patient", patient())
        await inbox.event()
    inbox.replies = []
    go_on, load = asyncio.Event(), Registry.load

    async def slowly(registry: Registry) -> None:
        registry.to_read = 1
        await go_on.wait()
        await load(registry)

    monkeypatch.setattr(Registry, "load", slowly)
    starting: list[Hub] = []
    begin = opening.begin
    monkeypatch.setattr("hub.app.begin", lambda hub, tenant: starting.append(hub) or begin(hub, tenant))
    async with AsyncExitStack() as stack:
        running = asyncio.create_task(stack.enter_async_context(running_hub(url, tmp_path, fresh=False)))
        async with asyncio.timeout(30):
            while (sent := await inbox.event()).answered != 200:
                pass
        assert sent.numbers == [1]
        (hub,) = starting
        assert not running.done() and not hub.opening.done.is_set()
        refused_while_reading(await hub_answer(hub))
        go_on.set()
        told = await (await running).client.get("/health/ready")
        assert told.status_code == 200 and told.json()["problems"] == []


async def hub_answer(hub: Hub) -> tuple[httpx.Response, httpx.Response]:
    """What it says of its health, and to whoever asks for something."""
    app = create_app(hub, Guard([], open_to_all=True))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
        api = Api(client, FhirVersion.R5)
        return await client.get("/health/ready"), await api.post("Patient", patient())


def refused_while_reading(answers: tuple[httpx.Response, httpx.Response]) -> None:
    health, post = answers
    assert health.status_code == 503
    (problem,) = health.json()["problems"]
    assert "reading Subscriptions, 0 of 1 so far" in problem and "is delivered already" in problem
    refused_for_now(post, 503, "reading Subscriptions, 0 of 1 so far")
