"""Redis refuses, loads, freezes or dies: the answer is 503 within a time-out, never 2xx, and it goes on after."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.store import lanes
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis, find_server, socket_path
from hub.store.keys import Layout
from tests.faults.lives import Lives
from tests.faults.receiver import Receiver

REPLY_TIMEOUT_SECONDS = 0.5
LEASE_SECONDS = 6
TOPIC = "https://fhir-notification-hub.example/topics/patient-change"


@dataclass
class Scene:
    """A hub, its Redis, one active Subscription and its receiver."""

    folder: Path
    redis: EmbeddedRedis
    lives: Lives
    receiver: Receiver
    operator: Store

    async def put(self, identity: str = "p1", key: str = "") -> httpx.Response:
        """One request, sent once."""
        transport = httpx.ASGITransport(self.lives._app)
        headers = {"Content-Type": "application/fhir+json"} | ({"Idempotency-Key": key} if key else {})
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            body = {"resourceType": "Patient", "id": identity}
            return await client.put(f"/fhir/r5/Patient/{identity}", json=body, headers=headers)

    async def subscribe(self) -> None:
        body = {
            "resourceType": "Subscription", "id": "s", "status": "requested", "topic": TOPIC, "timeout": 1,
            "endpoint": self.receiver.url("s"), "channelType": {"code": "rest-hook"}, "content": "id-only",
        }  # fmt: skip
        assert (await self.lives.request("PUT", "/fhir/r5/Subscription/s", body)).status_code == 201

    async def goes_on(self) -> None:
        """Within a while writes are taken again, and the next one is delivered; a lost reply costs one lease."""
        deadline = time.monotonic() + LEASE_SECONDS + 6
        while (answer := await self.put("after")).status_code == 503 and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert answer.status_code in (200, 201), answer.text
        version = int(answer.headers["ETag"].strip('W/"'))
        while self.told_of("after") < version and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert self.told_of("after") == version
        numbers = sorted({event.number for arrival in self.receiver.of("s") for event in arrival.events})
        assert numbers == list(range(1, len(numbers) + 1))

    def told_of(self, identity: str) -> int:
        events = {event for arrival in self.receiver.of("s") for event in arrival.events}
        return sum(event.reference == f"Patient/{identity}" for event in events)

    async def process_id(self) -> int:
        (told,) = await self.operator.send(("INFO", "server"))
        return int(told["process_id"])

    async def set(self, name: str, value: str) -> None:
        await self.operator.send(("CONFIG", "SET", name, value))


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(lanes, "REPLY_TIMEOUT_SECONDS", REPLY_TIMEOUT_SECONDS)
    redis = EmbeddedRedis(tmp_path / "redis")
    url = await redis.start()
    scene = Scene(tmp_path, redis, Lives(url, tmp_path / "hub"), Receiver(), Store(url, Layout()))
    await scene.receiver.start()
    await scene.lives.start()
    try:
        await scene.subscribe()
        await scene.goes_on()
        yield scene
    finally:
        await scene.lives.stop()
        await scene.receiver.stop()
        await scene.operator.close()
        await redis.stop()


def is_told_to_come_again(answer: httpx.Response) -> bool:
    outcome = answer.json()
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"][0]["code"] == "transient"
    return True


async def nothing_is_taken(scene: Scene) -> None:
    before = (await scene.operator.send(("XLEN", "{default|r5|0}:chg")))[0]
    for answer in await asyncio.gather(*(scene.put(f"q{number}") for number in range(5))):
        assert is_told_to_come_again(answer)
    assert (await scene.operator.send(("XLEN", "{default|r5|0}:chg")))[0] == before


async def test_without_memory_nothing_is_taken_and_afterwards_it_goes_on(scene: Scene) -> None:
    await scene.set("maxmemory", "1mb")
    await nothing_is_taken(scene)
    assert (await scene.lives.hub.readiness())["status"] in ("ready", "not ready")
    await scene.set("maxmemory", "0")
    await scene.goes_on()


async def test_when_redis_cannot_save_nothing_is_taken_and_afterwards_it_goes_on(scene: Scene) -> None:
    """-MISCONF: a folder stands where the snapshot should be written."""
    (scene.folder / "redis" / "dump.rdb").mkdir()
    await scene.set("save", "3600 1000000")
    await scene.operator.send(("BGSAVE",))
    while (await scene.operator.send(("INFO", "persistence")))[0]["rdb_last_bgsave_status"] == "ok":
        await asyncio.sleep(0.01)
    await nothing_is_taken(scene)
    await scene.set("save", "")
    await scene.goes_on()


async def test_without_enough_replicas_nothing_is_taken_and_afterwards_it_goes_on(scene: Scene) -> None:
    await scene.set("min-replicas-to-write", "1")
    await nothing_is_taken(scene)
    await scene.set("min-replicas-to-write", "0")
    await scene.goes_on()


@asynccontextmanager
async def frozen(scene: Scene) -> AsyncIterator[None]:
    pid = await scene.process_id()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_while_redis_is_frozen_nobody_hangs_and_nothing_is_taken_twice(scene: Scene) -> None:
    async with frozen(scene):
        since = time.monotonic()
        answers = await asyncio.gather(*(scene.put(f"f{number}", key=f"k{number}") for number in range(150)))
        assert all(is_told_to_come_again(answer) for answer in answers)
        assert time.monotonic() - since < 4 * REPLY_TIMEOUT_SECONDS
        assert (await scene.lives.hub.readiness())["status"] == "not ready"
        await asyncio.sleep(max(0.0, since + 2 - time.monotonic()))
    await scene.goes_on()
    for number in range(0, 150, 10):
        answer = await scene.put(f"f{number}", key=f"k{number}")
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"'), "unsure means: ask again (I3)"


async def test_a_short_freeze_is_only_slow(scene: Scene) -> None:
    async with frozen(scene):
        asking = asyncio.gather(*(scene.put(f"f{number}") for number in range(20)))
        await asyncio.sleep(REPLY_TIMEOUT_SECONDS / 4)
    assert {answer.status_code for answer in await asking} == {201}
    await scene.goes_on()


async def test_a_killed_redis_that_comes_back_loading_is_waited_for(scene: Scene) -> None:
    """-LOADING: the server listens, but still reads its file; it looks up from it every 1024 commands."""
    await scene.operator.send(("EVAL", "for n = 1, 6000 do redis.call('SET', 'ballast:' .. n, n) end", 0))
    os.kill(await scene.process_id(), signal.SIGKILL)
    assert is_told_to_come_again(await scene.put())
    folder = scene.folder / "redis"
    slowly = ["--key-load-delay", "200"]
    options = ["--port", "0", "--unixsocket", str(socket_path(folder)), "--dir", str(folder), "--appendonly", "yes"]
    options += ["--appendfsync", "always", "--save", "", "--logfile", "redis.log", *slowly]
    process = subprocess.Popen([find_server(), *options], stdout=subprocess.DEVNULL)
    try:
        answers = []
        deadline = time.monotonic() + 10
        while (answer := await scene.put("p2")).status_code != 201 and time.monotonic() < deadline:
            answers.append(answer)
            await asyncio.sleep(0.02)
        assert answers and all(is_told_to_come_again(each) for each in answers)
        await scene.goes_on()
        (seen,) = await scene.operator.send(("INFO", "errorstats"))
        assert "errorstat_LOADING" in seen, "the hub never met a loading server: the test shows nothing"
    finally:
        process.kill()
        process.wait()
