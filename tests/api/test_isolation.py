"""A receiver that hangs holds up nobody else (I14)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe
from tests.api.harness import RunningHub
from tests.api.receiver import Reply, receiving

HANGING_SUBSCRIPTIONS = 40


async def test_many_subscriptions_to_a_hanging_host_hold_up_no_other_host(
    start_hub: Callable[..., Awaitable[RunningHub]],
) -> None:
    """With fewer turns in the process than the hanging host has Subscriptions."""
    hub = await start_hub(max_attempts_in_flight=24)
    api, never = hub.api(FhirVersion.R5), asyncio.Event()
    async with receiving() as hanging, receiving() as well:
        slow = [hanging.inbox() for _ in range(HANGING_SUBSCRIPTIONS)]
        for inbox in slow:
            await subscribe(api, inbox, timeout=5)
            inbox.replies = [Reply(after=never)] * 10
        good = well.inbox()
        await subscribe(api, good)
        began = time.monotonic()
        for number in range(1, 6):
            mark = fresh_id()
            assert (await api.put(f"Patient/{mark}", patient(mark))).status_code == 201
            assert (await good.event()).numbers == [number]
        assert time.monotonic() - began < 4, "the hanging host's time-outs were waited for"
        never.set()
