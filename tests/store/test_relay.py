"""The relay between processes: answers, processes that have ended, and an end at any moment."""

from __future__ import annotations

import asyncio

from hub.store.client import Store
from hub.store.keys import Layout
from hub.store.relay import Relay


def layout() -> Layout:
    return Layout(partitions=1, shards=1)


async def _echo(message: bytes) -> bytes:
    return b"heard " + message


def relay(store: Store, process: str, noticed: list[str] | None = None) -> Relay:
    return Relay(store, process, _echo, (noticed if noticed is not None else []).append)


async def until_heard(asking: Relay, process: str) -> bytes:
    while (answer := await asking.ask(process, b"hello\nworld", 1)) is None:
        await asyncio.sleep(0.01)
    return answer


async def test_a_message_is_answered_by_the_process_it_is_for(redis_url: str) -> None:
    one, two = Store(redis_url, layout()), Store(redis_url, layout())
    asking, answering = relay(one, "one"), relay(two, "two")
    tasks = [asyncio.create_task(each.run()) for each in (asking, answering)]
    async with asyncio.timeout(10):
        assert await until_heard(asking, "two") == b"heard hello\nworld"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await asking.ask("two", b"again", 10) is None, "Redis knows that nobody subscribes any more"
    await one.close()
    await two.close()


async def test_it_ends_when_told_at_whatever_moment(redis_url: str) -> None:
    for steps in range(30):
        store = Store(redis_url, layout())
        task = asyncio.create_task(relay(store, "short").run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        assert done, f"it went on after {steps} steps"
        await store.close()
