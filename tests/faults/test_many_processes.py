"""Any number of processes share one Redis: one that dies is stood in for, one that is replaced fails no request."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from hub.intake import evaluator
from tests.e2e.serving import processes_below
from tests.faults.ledger import faults_of
from tests.faults.processes import Load, Service
from tests.faults.receiver import Receiver
from tests.faults.test_stopped_hub import PATIENCE_SECONDS, until
from tests.servers import FIT, Server

HEADERS = {"Content-Type": "application/fhir+json"}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path / "redis", dict(FIT))
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack
    assert [line for line in processes_below(tmp_path) if "hub serve" in line or "hub worker" in line] == []


def service(home: Path, stack: AsyncExitStack, redis: Server, *command: str, **settings: str) -> Service:
    home.mkdir()
    given = {"HUB_REDIS_URL": redis.url, "HUB_BASE_URL": "http://hub.example"} | settings
    return Service(home, stack, command=command or ("serve",), settings=given)


async def test_a_worker_stands_in_for_a_server_that_was_killed(
    tmp_path: Path, stack: AsyncExitStack, redis: Server, receiver: Receiver
) -> None:
    """What was accepted and not yet sent is sent although nobody serves the API any more."""
    server = service(tmp_path / "server", stack, redis)
    worker = service(tmp_path / "worker", stack, redis, "worker")
    await server.start()
    await worker.start()
    assert (await server.ready())["evaluated_here"] and not (await worker.ready())["evaluated_here"]
    load = Load(server)
    await load.subscribe("s", receiver.url("s"), 10)
    async with httpx.AsyncClient(base_url=worker.url, trust_env=False) as client:
        assert (await client.get("/fhir/r5/metadata")).status_code == 404, "a worker has no API"
    await load.put_patients("c", 20)
    await server.end_by(signal.SIGKILL)
    held = lambda: {event.number for arrival in receiver.of("s") for event in arrival.events}  # noqa: E731
    await until(lambda: len(held()) == 20)
    assert list(faults_of(load.ledger, "s", receiver.of("s"), complete=True)) == []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len((await worker.ready())["evaluated_here"]) < 3:
            await asyncio.sleep(0.05)
    assert await worker.end_by(signal.SIGTERM) == 0, str(worker.lines)


def test_a_partition_whose_process_died_is_taken_over_in_less_than_five_seconds() -> None:
    """A lease that was renewed just before is waited for, and the others look every so often."""
    assert evaluator.LEASE_MILLISECONDS / 1000 + evaluator.IDLE_SECONDS < 5


async def test_a_rolling_restart_fails_no_request(tmp_path: Path, stack: AsyncExitStack, receiver: Receiver) -> None:
    """Clients with connections that they keep, who never repeat anything, while all processes are replaced twice."""
    hub = Service(tmp_path, stack, settings={"HUB_WORKERS": "2"})
    await hub.start()
    load = Load(hub)
    await load.subscribe("s", receiver.url("s"), 10)
    failures: list[str] = []
    stop = asyncio.Event()
    answered = 0

    async def client(name: int) -> None:
        nonlocal answered
        async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=PATIENCE_SECONDS) as connection:
            while not stop.is_set():
                body = {"resourceType": "Patient", "id": f"p{name}"}
                try:
                    answer = await connection.put(f"/fhir/r5/Patient/p{name}", json=body, headers=HEADERS)
                    failures.extend([answer.text] if answer.status_code not in (200, 201) else [])
                except httpx.TransportError as problem:
                    failures.append(repr(problem))
                answered += 1
                await asyncio.sleep(0.01)

    clients = [asyncio.create_task(client(number)) for number in range(6)]
    for _ in range(2):
        assert hub.process and hub.lines
        hub.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(hub.lines.wait_for, "all processes of the hub were replaced")
    stop.set()
    await asyncio.gather(*clients)
    assert failures == []
    numbers = lambda: {event.number for arrival in receiver.of("s") for event in arrival.events}  # noqa: E731
    await until(lambda: len(numbers()) == answered)
    assert numbers() == set(range(1, answered + 1))
    assert await hub.end_by(signal.SIGTERM) == 0, str(hub.lines)
    assert processes_below(tmp_path) == [], "the embedded Redis went with the last of them"


async def test_a_process_that_dies_is_started_again_and_the_others_serve_meanwhile(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    hub = Service(tmp_path, stack, settings={"HUB_WORKERS": "2"})
    await hub.start()
    first = children_of(hub)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=PATIENCE_SECONDS) as client:
        for _ in range(20):
            assert (await client.get("/health/live", headers={"Connection": "close"})).status_code == 200
    assert await until(partial(_two_others, hub, first[0]))
    assert await hub.end_by(signal.SIGTERM) == 0, str(hub.lines)
    assert processes_below(tmp_path) == []


async def test_processes_whose_parent_was_killed_end_by_themselves(
    tmp_path: Path, stack: AsyncExitStack, redis: Server
) -> None:
    hub = service(tmp_path / "hub", stack, redis, HUB_WORKERS="2")
    await hub.start()
    children = children_of(hub)
    assert await hub.end_by(signal.SIGKILL) == -signal.SIGKILL
    assert await until(lambda: not any(Path(f"/proc/{each}/cmdline").exists() for each in children))


def _two_others(hub: Service, gone: int) -> bool:
    found = children_of(hub)
    return len(found) == 2 and gone not in found


def children_of(hub: Service) -> list[int]:
    """The process ids of the processes that serve (Linux)."""
    assert hub.process
    children = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split() if b"--listener" in Path(f"/proc/{child}/cmdline").read_bytes()]
