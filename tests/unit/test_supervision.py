"""Workers end when they are told to, also those that overhear it once."""

from __future__ import annotations

import asyncio

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
