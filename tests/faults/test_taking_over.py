"""A process that is gone leaves nothing lying: what it held without having begun is sent by another at once.

The time-out is so long that no lease ends during these tests: whatever arrives was taken over.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.faults.processes import Service
from tests.faults.receiver import Manner, Receiver
from tests.faults.test_stopped_hub import until
from tests.servers import FIT, Server

LEASE_SECONDS = 60
HELD = 30
"""More than there are turns at one host (16)."""
TOPIC = "https://fhir-notification-hub.example/topics/patient-change"
HEADERS = {"Content-Type": "application/fhir+json"}


@dataclass
class Scene:
    """Subscriptions at one host that hangs: the hub has begun attempts to some, and holds the others."""

    holder: Service
    heir: Service
    receiver: Receiver
    hanging: set[str]

    @property
    def told(self) -> list[str]:
        return [each.mailbox for each in self.receiver.arrivals if each.type == "event-notification"]

    @property
    def idle(self) -> set[str]:
        return {f"s{number}" for number in range(HELD)} - self.hanging

    def all_idle_are_told(self) -> bool:
        return self.idle <= set(self.told)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    redis = Server(tmp_path / "redis", dict(FIT))
    receiver = Receiver(late_seconds=LEASE_SECONDS)
    await receiver.start()
    try:
        await redis.start()
        async with AsyncExitStack() as stack:
            settings = {"HUB_REDIS_URL": redis.url, "HUB_BASE_URL": "http://hub.example"}
            holder, heir = (Service(tmp_path / name, stack, settings=settings) for name in ("holder", "heir"))
            holder.folder.mkdir()
            heir.folder.mkdir()
            scene = Scene(holder, heir, receiver, set())
            await scene.holder.start()
            await _subscribe(scene)
            await _hang(scene)
            await scene.heir.until_ready()
            receiver.choose = lambda _: Manner.TAKEN
            yield scene
    finally:
        await receiver.stop()
        redis.kill()


async def _put(service: Service, path: str, *bodies: dict[str, object]) -> None:
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
        for body in bodies:
            answer = await client.put(f"/fhir/r5/{path}/{body['id']}", json=body, headers=HEADERS)
            assert answer.status_code == 201, answer.text


async def _subscribe(scene: Scene) -> None:
    common = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "timeout": LEASE_SECONDS,
        "channelType": {"code": "rest-hook"}, "content": "id-only",
    }  # fmt: skip
    names = [f"s{number}" for number in range(HELD)]
    bodies = [common | {"id": name, "endpoint": scene.receiver.url(name)} for name in names]
    await _put(scene.holder, "Subscription", *bodies)
    assert await until(lambda: len({each.mailbox for each in scene.receiver.arrivals}) == HELD)


async def _hang(scene: Scene) -> None:
    """Attempts to the host begin until it has no more turns; the rest is held. Then the heir is started."""
    scene.receiver.choose = lambda _: Manner.LATE
    await _put(scene.holder, "Patient", {"resourceType": "Patient", "id": "p"})
    seen = -1
    while not scene.told or len(scene.told) != seen:
        seen = len(scene.told)
        await asyncio.sleep(1.0)  # longer than a sign of life takes, which says what was begun
        if not scene.heir.process:
            scene.heir.launch()
    scene.hanging = set(scene.told)
    assert scene.idle, "every attempt was begun at once: the test shows nothing"


async def test_what_a_killed_process_held_is_sent_by_another_and_what_it_had_begun_waits(scene: Scene) -> None:
    await scene.holder.end_by(signal.SIGKILL)
    assert await until(scene.all_idle_are_told)
    assert sorted(scene.told) == sorted([*scene.hanging, *scene.idle]), "nothing was sent twice"


async def test_a_frozen_process_that_comes_back_sends_nothing_that_was_taken_over(scene: Scene) -> None:
    assert scene.holder.process
    scene.holder.process.send_signal(signal.SIGSTOP)
    assert await until(scene.all_idle_are_told)
    scene.holder.process.send_signal(signal.SIGCONT)
    assert scene.holder.lines
    await asyncio.to_thread(scene.holder.lines.wait_for, "the others took this process for dead")
    await scene.receiver.stop()  # what hangs ends, and makes room for what the frozen one still thinks it holds
    await scene.receiver.start()
    await _put(scene.heir, "Patient", {"resourceType": "Patient", "id": "q"})
    assert await until(partial(_all_told_twice, scene))
    numbers = {name: [e.number for a in scene.receiver.of(name) for e in a.events] for name in scene.idle}
    assert numbers == {name: [1, 2] for name in scene.idle}


def _all_told_twice(scene: Scene) -> bool:
    return all(scene.told.count(name) >= 2 for name in scene.idle)
