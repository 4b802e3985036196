"""Workers end when they are told to, also those that overhear it once."""

from __future__ import annotations

import asyncio

import pytest

from hub import supervision
from hub.supervision import Supervisor


async def test_a_worker_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    supervisor = Supervisor()
    supervisor.start("deaf", deaf)
    await asyncio.sleep(0)
    async with asyncio.timeout(10 * supervision.AGAIN_SECONDS):
        await supervisor.stop()
    assert swallowed == 2


async def test_work_that_is_to_be_done_once_is_tried_until_it_ended_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "PAUSE_SECONDS", 0)
    tries = 0
    done = asyncio.Event()

    async def third_time_lucky() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("not yet")
        done.set()

    supervisor = Supervisor()
    supervisor.start_once("reading", third_time_lucky)
    async with asyncio.timeout(10):
        await done.wait()
    await supervisor.stop()
    assert (tries, supervisor.restarts["reading"]) == (3, 2)
