"""A receiver that hangs holds up nobody else (I14)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe, subscription
from tests.api.harness import RunningHub
from tests.api.receiver import Reply, receiving

HANGING_SUBSCRIPTIONS = 40
DEAD_HOSTS = 24
HANGS_SECONDS = 120
"""The time-out of Subscriptions that hang: who waited for one would be out of patience long before."""


async def test_many_subscriptions_to_a_hanging_host_hold_up_no_other_host(
    start_hub: Callable[..., Awaitable[RunningHub]],
) -> None:
    """With fewer turns in the process than the hanging host has Subscriptions."""
    hub = await start_hub(max_attempts_in_flight=24)
    api, never = hub.api(FhirVersion.R5), asyncio.Event()
    async with receiving() as hanging, receiving() as well:
        slow = [hanging.inbox() for _ in range(HANGING_SUBSCRIPTIONS)]
        for inbox in slow:
            await subscribe(api, inbox, timeout=HANGS_SECONDS)
            inbox.replies = [Reply(after=never)] * 10
        good = well.inbox()
        await subscribe(api, good)
        for number in range(1, 6):
            mark = fresh_id()
            assert (await api.put(f"Patient/{mark}", patient(mark))).status_code == 201
            assert (await good.event()).numbers == [number]
        never.set()


async def test_more_dead_hosts_than_there_are_attempts_hold_up_no_proven_one(
    start_hub: Callable[..., Awaitable[RunningHub]],
) -> None:
    hub = await start_hub(max_attempts_in_flight=16)
    api, never = hub.api(FhirVersion.R5), asyncio.Event()
    async with AsyncExitStack() as stack, receiving() as well:
        good = well.inbox()
        await subscribe(api, good)
        for _ in range(DEAD_HOSTS):
            dead = (await stack.enter_async_context(receiving())).inbox()
            dead.reply = Reply(after=never)
            written = subscription(api.base, dead.url, timeout=HANGS_SECONDS)
            assert (await api.post("Subscription", written)).status_code == 201
        for number in range(1, 6):
            mark = fresh_id()
            assert (await api.put(f"Patient/{mark}", patient(mark))).status_code == 201
            assert (await good.event()).numbers == [number]
        assert hub.hub.worker.in_flight >= 8, "the dead ones are being tried"
        never.set()


async def test_which_hosts_answer_is_known_after_a_restart(start_hub: Callable[..., Awaitable[RunningHub]]) -> None:
    hub = await start_hub()
    api = hub.api(FhirVersion.R5)
    async with receiving() as well, receiving() as ill:
        await subscribe(api, well.inbox())
        sick = ill.inbox()
        await subscribe(api, sick)
        sick.reply = Reply(503)
        mark = fresh_id()
        await api.put(f"Patient/{mark}", patient(mark))
        await sick.event()
        async with asyncio.timeout(5):
            while await hub.hub.host_memory.known() != {f"http://127.0.0.1:{well.port}"}:
                await asyncio.sleep(0.02)
