"""An old backup is restored under a running hub: it stops, says so, and after a repair no number is given twice."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hub.doctor import examine
from tests.faults.lives import Lives
from tests.faults.receiver import Manner, Receiver
from tests.faults.test_replicated_hub import subscription
from tests.servers import FIT, PATIENCE_SECONDS, Server

SKIP = 100


class Scene:
    def __init__(self, folder: Path) -> None:
        self.server = Server(folder / "redis", dict(FIT))
        self.receiver = Receiver()
        self.folder = folder
        self.lives: Lives

    async def start(self) -> None:
        await self.server.start()
        await self.receiver.start()
        self.lives = Lives(self.server.url, self.folder / "hub")
        await self.lives.start()
        body = subscription("s", self.receiver)
        assert (await self.lives.request("PUT", "/fhir/r5/Subscription/s", body)).status_code == 201

    async def stop(self) -> None:
        await self.lives.stop()
        await self.receiver.stop()
        self.server.kill()

    async def put(self, identity: str) -> None:
        body = {"resourceType": "Patient", "id": identity}
        answer = await self.lives.request("PUT", f"/fhir/r5/Patient/{identity}", body)
        assert answer.status_code in (200, 201), answer.text

    def told(self) -> dict[str, int]:
        return {
            event.reference.removeprefix("Patient/"): event.number
            for arrival in self.receiver.of("s")
            for event in arrival.events
        }

    async def until_told(self, *identities: str) -> None:
        await self.until(lambda: set(identities) <= set(self.told()))

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert holds(), self.told()

    async def until_written(self, number: int) -> None:
        """The store knows that this event was delivered."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                (record,) = await self.lives.hub.subscriptions.records(["default|r5|s"])
                if record and record.cursor == number:
                    return
                await asyncio.sleep(0.02)

    async def until_noticed(self) -> None:
        """And told to all who share the store."""
        witness = self.lives.hub.store.witness
        await self.until(lambda: bool(witness.backwards) and not witness.unwritten)

    async def go_back(self) -> None:
        """Two events are sent, the store is set back to before the second, and the hub has noticed."""
        await self.put("kept")
        await self.until_told("kept")
        await self.until_written(1)
        await self.server.back_up()
        await self.put("lost")
        await self.until_told("lost")
        await self.server.restore()
        await self.until_noticed()

    async def doctor(self, *, repair: bool = False, drop: bool = False) -> tuple[int, str]:
        out = io.StringIO()
        code = await examine(self.lives._settings, out, repair=repair, skip=SKIP, drop=drop)
        return code, out.getvalue()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    await scene.start()
    yield scene
    await scene.stop()


async def test_nothing_is_sent_while_numbers_are_in_doubt_and_the_hub_says_so(scene: Scene) -> None:
    await scene.go_back()
    await scene.put("after")
    told = await scene.lives.hub.readiness()
    assert told["status"] == "not ready"
    assert "the store went backwards: default|r5|0" in told["problems"][0]
    (found,) = [scene.lives.hub.evaluators[partition] for partition in scene.lives.hub.store.witness.backwards]
    await scene.until(lambda: not found.owns)
    assert scene.told() == {"kept": 1, "lost": 2}
    record = (await scene.lives.hub.subscriptions.records(["default|r5|s"]))[0]
    assert record and record.number == 1, "the number 2 was not given again"
    code, text = await scene.doctor()
    assert code == 1 and "WRONG  default|r5|0 had change" in text


async def test_after_the_repair_it_goes_on_with_numbers_that_nobody_has_seen(scene: Scene) -> None:
    await scene.go_back()
    await scene.put("after")
    code, text = await scene.doctor(repair=True)
    assert code == 0 and f"1 Subscriptions go on {SKIP} numbers later" in text, text
    await scene.until_told("after")
    assert scene.told() == {"kept": 1, "lost": 2, "after": 1 + SKIP + 1}
    assert (await scene.lives.hub.readiness())["problems"] == []
    assert (await scene.doctor())[0] == 0


async def test_what_waits_is_sent_under_its_old_number_before_numbers_are_skipped(scene: Scene) -> None:
    scene.receiver.choose = lambda _: Manner.BUSY
    await scene.put("waits")
    record = lambda: scene.lives.hub.subscriptions.records(["default|r5|s"])  # noqa: E731
    while not ((found := (await record())[0]) and found.number == 1):
        await asyncio.sleep(0.02)
    await scene.server.back_up()
    await scene.put("lost")
    while not ((found := (await record())[0]) and found.number == 2):
        await asyncio.sleep(0.02)
    await scene.server.restore()
    await scene.until_noticed()
    code, text = await scene.doctor(repair=True)
    assert code == 1 and "1 Subscriptions still have events waiting" in text, text
    scene.receiver.choose = lambda _: Manner.TAKEN
    while not ((found := (await record())[0]) and found.cursor == 1):
        await asyncio.sleep(0.02)
    code, text = await scene.doctor(repair=True)
    assert code == 0, text
    await scene.put("after")
    await scene.until_told("after")
    assert scene.told()["waits"] == 1 and scene.told()["after"] == 1 + SKIP + 1


async def test_what_waits_for_a_dead_endpoint_can_be_dropped(scene: Scene) -> None:
    await scene.put("first")
    await scene.until_told("first")
    scene.receiver.choose = lambda _: Manner.BUSY
    await scene.put("waits")
    await scene.until_told("waits")
    await scene.server.back_up()
    await scene.put("lost")
    await scene.server.restore()
    await scene.until_noticed()
    code, text = await scene.doctor(repair=True, drop=True)
    assert code == 0 and "1 events that waited were dropped" in text, text
    scene.receiver.choose = lambda _: Manner.TAKEN
    await scene.put("after")
    await scene.until_told("after")
    assert scene.told()["after"] == 2 + SKIP + 1
