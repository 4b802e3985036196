"""Two ``hub serve`` on one Redis: the socket is on one, the changes go to the other, and either may be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from tests.sockets.harness import board, change, subscribe, token
from tests.sockets.processes import HubProcess, hub_processes

R5 = FhirVersion.R5
Start = Callable[..., Awaitable[HubProcess]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with hub_processes(tmp_path) as start:
        yield start


async def test_a_socket_on_the_other_hub_gets_everything_in_order(start: Start) -> None:
    one, two = await start("one"), await start("two")
    api = one.api(R5)
    identity = await subscribe(api, max_count=5)
    other = await subscribe(api)
    async with board(two.url, R5) as client, board(one.url, R5) as near:
        await client.say(f"bind-with-token {await token(api, identity)}")  # issued by one, redeemed at two
        await client.next_of("handshake")
        await near.say(f"bind-with-token {await token(two.api(R5), other)}")
        await near.next_of("handshake")
        await asyncio.gather(change(api, identity, 40), change(two.api(R5), other, 40))
        assert await client.numbers(40) == list(range(1, 41))
        assert await near.numbers(40) == list(range(1, 41))


async def test_off_at_one_hub_closes_the_socket_at_the_other(start: Start) -> None:
    one, two = await start("one"), await start("two")
    api = one.api(R5)
    off, gone = await subscribe(api), await subscribe(api)
    async with board(two.url, R5) as first, board(two.url, R5) as second:
        for client, identity in ((first, off), (second, gone)):
            await client.say(f"bind-with-token {await token(api, identity)}")
            await client.next_of("handshake")
        body = (await api.get(f"Subscription/{off}")).json() | {"status": "off"}
        await api.put(f"Subscription/{off}", body)
        assert (await first.next_of("heartbeat"))["status"] == "off"
        assert await first.closed() == 4410
        await api.delete(f"Subscription/{gone}")
        assert await second.closed() == 4410


async def test_a_socket_that_is_bound_at_another_hub_is_taken_from_the_first(start: Start) -> None:
    one, two = await start("one"), await start("two")
    api = one.api(R5)
    identity = await subscribe(api)
    async with board(one.url, R5) as first, board(two.url, R5) as second:
        await first.say(f"bind-with-token {await token(api, identity)}")
        await first.next_of("handshake")
        await second.say(f"bind-with-token {await token(api, identity)}")
        await second.next_of("handshake")
        assert await first.closed() == 4409
        await change(api, identity)
        assert await second.numbers(1) == [1]


async def test_the_hub_with_the_socket_is_killed_and_the_client_goes_on_at_the_other(start: Start) -> None:
    one, two = await start("one"), await start("two")
    api = one.api(R5)
    identity = await subscribe(api, max_count=3)
    seen: list[int] = []
    async with board(two.url, R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        writing = asyncio.create_task(change(api, identity, 80))
        seen += await client.numbers(20)
        two.kill()
        while True:  # what was on its way still arrives, then it ends
            try:
                seen += (await client.next_of("event-notification"))["numbers"]
            except Exception:  # noqa: BLE001 however a killed process looks from here
                break
    await writing
    async with board(one.url, R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {identity}={seen[-1]}")
        seen += await client.numbers(80) if seen[-1] < 80 else []
    assert seen == list(range(1, 81))


async def test_both_are_killed_and_a_third_goes_on(start: Start) -> None:
    one, two = await start("one"), await start("two")
    api = one.api(R5)
    identity = await subscribe(api)
    async with board(two.url, R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await change(api, identity, 5)
        assert await client.numbers(5) == [1, 2, 3, 4, 5]
        one.kill()
        two.kill()
    three = await start("three")
    await change(three.api(R5), identity, 5, start=5)
    async with board(three.url, R5) as client:
        await client.say(f"bind-with-token {await token(three.api(R5), identity)} {identity}=5")
        assert await client.numbers(10) == [6, 7, 8, 9, 10]
