"""A hub that is told to stop stops cleanly, under load. What a killed one does is shown in ``test_faults.py``."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.serving import processes_below
from tests.faults.ledger import faults_of
from tests.faults.processes import Load, Service
from tests.faults.receiver import Receiver

CLIENTS = 5
WRITES = 150
MAILBOXES = {"one-by-one": 1, "in-batches": 20}
PATIENCE_SECONDS = 30.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        service = Service(tmp_path, stack)
        await service.start()
        yield service
        if service.process and service.process.poll() is None:
            await service.end_by(signal.SIGTERM)
    assert processes_below(tmp_path) == []


async def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        await asyncio.sleep(0.01)
    return False


async def all_arrived(load: Load, receiver: Receiver) -> None:
    def arrived(mailbox: str) -> int:
        return len({event.number for arrival in receiver.of(mailbox) for event in arrival.events})

    await until(lambda: all(arrived(mailbox) >= len(load.ledger.changes) for mailbox in MAILBOXES))


def broken_promises(load: Load, receiver: Receiver) -> list[str]:
    return [
        f"{mailbox}: {fault}"
        for mailbox in MAILBOXES
        for fault in faults_of(load.ledger, mailbox, receiver.of(mailbox), complete=True)
    ]


async def test_a_hub_told_to_stop_finishes_what_is_in_flight_and_takes_its_redis_along(
    service: Service, receiver: Receiver
) -> None:
    load = Load(service)
    for mailbox, most in MAILBOXES.items():
        await load.subscribe(mailbox, receiver.url(mailbox), most)
    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(load.put_patients(f"c{number}", WRITES // CLIENTS))
        await until(lambda: len(load.ledger.changes) >= WRITES // 2)
        assert await service.end_by(signal.SIGTERM) == 0, str(service.lines)
        assert processes_below(service.folder) == []
        await service.start()
    await all_arrived(load, receiver)
    assert not (broken := broken_promises(load, receiver)), "\n".join(broken[:20])
    numbers = [event.number for arrival in receiver.of("one-by-one") for event in arrival.events]
    assert numbers == list(range(1, WRITES + 1)), "an orderly stop makes no repeats"
