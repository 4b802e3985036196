"""Level ``replicated`` at the door: no 2xx and no notification without a replica, and it goes on when one is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.delivery import round as delivery_round
from tests.faults.lives import Lives
from tests.faults.receiver import Receiver
from tests.servers import Server, in_step, replicas_online, replicated

TOPIC = "https://fhir-notification-hub.example/topics/patient-change"
PATIENCE_SECONDS = 30.0
HEADERS = {"Content-Type": "application/fhir+json"}


@dataclass
class Scene:
    servers: list[Server]
    lives: Lives
    receiver: Receiver

    async def once(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request, sent once."""
        transport = httpx.ASGITransport(self.lives._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.request(method, f"/fhir/r5/{path}", json=body, headers=HEADERS)

    async def put(self, identity: str) -> httpx.Response:
        return await self.once("PUT", f"Patient/{identity}", {"resourceType": "Patient", "id": identity})

    async def subscribe(self, identity: str) -> httpx.Response:
        return await self.once("PUT", f"Subscription/{identity}", subscription(identity, self.receiver))

    async def until_taken(self, identity: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := await self.put(identity)).status_code == 503 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert answer.status_code in (200, 201), answer.text

    async def until_told(self, identity: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while f"Patient/{identity}" not in self.told() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert f"Patient/{identity}" in self.told()

    def told(self) -> set[str]:
        return {event.reference for arrival in self.receiver.of("s") for event in arrival.events}


def subscription(identity: str, receiver: Receiver) -> dict[str, object]:
    return {
        "resourceType": "Subscription", "id": identity, "status": "requested", "topic": TOPIC, "timeout": 1,
        "endpoint": receiver.url(identity), "channelType": {"code": "rest-hook"}, "content": "id-only",
    }  # fmt: skip


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with replicated(tmp_path) as servers:
        settings = {"durability": "replicated", "replica_timeout_ms": 1000}
        scene = Scene(servers, Lives(servers[0].url, tmp_path / "hub", **settings), Receiver())
        await scene.receiver.start()
        await scene.lives.start()
        try:
            assert (await scene.subscribe("s")).status_code == 201
            assert (await scene.put("before")).status_code == 201
            await scene.until_told("before")
            yield scene
        finally:
            await scene.lives.stop()
            await scene.receiver.stop()


def is_told_to_come_again(answer: httpx.Response) -> bool:
    outcome = answer.json()
    assert answer.status_code == 503 and "Retry-After" in answer.headers, answer.text
    assert outcome["issue"][0]["code"] == "transient"
    return True


async def test_without_its_replica_nothing_is_answered_with_success_and_afterwards_it_goes_on(scene: Scene) -> None:
    await scene.servers[0].say("CONFIG", "SET", "min-replicas-to-write", "0")  # WAIT alone must see to it
    scene.servers[1].kill()
    assert is_told_to_come_again(await scene.put("p"))
    assert is_told_to_come_again(await scene.subscribe("t"))
    assert is_told_to_come_again(await scene.once("DELETE", "Patient/before"))
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "PUT", "url": "Patient/q"}, "resource": {"resourceType": "Patient", "id": "q"}},
    ]}  # fmt: skip
    assert is_told_to_come_again(await scene.once("POST", "", transaction))
    assert (await scene.once("GET", "Patient/before")).status_code in (200, 410), "reading goes on"
    await scene.servers[1].start()
    await scene.servers[1].until(in_step)
    await scene.until_taken("after")
    await scene.until_told("after")


async def test_what_no_replica_has_is_not_sent(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that only the lost master knew would have had a number that is given again (I7)."""
    await scene.servers[0].say("CONFIG", "SET", "min-replicas-to-write", "0")
    scene.servers[1].freeze()
    began: list[str] = []
    attempt = delivery_round.Round.attempt

    async def noted(round_: delivery_round.Round, *arguments: object) -> object:
        began.append("attempt")
        return await attempt(round_, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(delivery_round.Round, "attempt", noted)
    try:
        assert is_told_to_come_again(await scene.put("doubtful"))
        stands = await scene.servers[0].say("EXISTS", "{default|r5|0}:r:Patient/doubtful")
        assert stands == 1, "the write stands on the master: only WAIT keeps it from being sent"
        for _ in range(3):  # rounds of evaluation and claims that were not confirmed
            assert is_told_to_come_again(await scene.put("doubtful"))
        assert not began and "Patient/doubtful" not in scene.told()
    finally:
        scene.servers[1].thaw()
    await scene.servers[0].until(replicas_online(1))
    await scene.until_taken("after")
    await scene.until_told("doubtful")
    numbers = [event.number for arrival in scene.receiver.of("s") for event in arrival.events]
    assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))


async def test_the_level_is_told_in_words(scene: Scene) -> None:
    sentence = "received by one replica"
    metadata = (await scene.once("GET", "metadata")).json()
    assert sentence in str(metadata)
    assert sentence in (await scene.lives.hub.readiness())["durability"]
