"""Cut connections: who comes back with the last number gets what is missing, then what is live; no gap, no repeat."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import ConnectionClosed

from hub.domain.versions import FhirVersion
from tests.api.harness import Api
from tests.sockets.harness import Board, Served, board, change, status_of, subscribe, token, until

Serve = Callable[..., Awaitable[Served]]


def reset(client: Board) -> None:
    """Cut the connection as a crash or a firewall does: RST, and nothing that was on its way arrives."""
    raw = client.socket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.transport.abort()


async def settled(api: Api, served: Served, identity: str, upto: int) -> None:
    """Until the store knows that everything up to this number was delivered."""
    name = f"default|{api.base}|{identity}"

    async def is_so() -> bool:
        (record,) = await served.hub.subscriptions.records([name])
        return record is not None and record.cursor == upto

    await until(is_so)


async def test_what_was_missed_comes_first_and_then_what_is_live(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe(api, max_count=2)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await change(api, identity, 5)
        assert await client.numbers(5) == [1, 2, 3, 4, 5]
    await settled(api, served, identity, 5)
    await change(api, identity, 2)  # nobody listens
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {identity}=3")
        assert (await client.next_of("handshake"))["count"] == 7
        assert await client.numbers(7) == [4, 5, 6, 7]
        await change(api, identity)
        assert await client.numbers(8) == [8]


async def test_the_json_form_names_the_last_number_too(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    one, two = await subscribe(api, max_count=10), await subscribe(api, max_count=10)
    for identity in (one, two):
        await change(api, identity, 3)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, one, two)}")
        seen = {status_of(await client.next())["id"] for _ in range(4)}
        assert seen == {one, two}
    for identity in (one, two):
        await settled(api, served, identity, 3)
    async with board(served.url, FhirVersion.R5) as client:
        numbers = {one: "2", f"Subscription/{two}": 0}
        payload = {"token": await token(api, one, two), "lastEventNumber": numbers}
        await client.say({"type": "bind-with-token", "payload": payload})
        told = [status_of(await client.next()) for _ in range(4)]
        assert {each["id"]: each["numbers"] for each in told if each["numbers"]} == {one: [3], two: [1, 2, 3]}


async def test_without_a_number_it_goes_on_after_what_was_written(served: Served) -> None:
    api = served.api(FhirVersion.R4)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R4) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await change(api, identity, 2)
        assert await client.numbers(2) == [1, 2]
    await settled(api, served, identity, 2)
    await change(api, identity, 1)
    async with board(served.url, FhirVersion.R4) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        assert await client.numbers(3) == [3]


async def test_a_number_that_was_never_given_is_refused(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    await change(api, identity)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {identity}=2")
        assert await client.outcome() == "value"
        await client.say(f"bind-with-token {await token(api, identity)} {identity}=1")
        assert (await client.next_of("handshake"))["count"] == 1, "it has all there is: nothing else comes"
        await change(api, identity)
        assert await client.numbers(2) == [2]


async def test_what_is_past_its_retention_is_said_to_be_gone(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe(api, max_count=10)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await change(api, identity, 4)
        await client.numbers(4)
    await settled(api, served, identity, 4)
    await served.hub.event_log.trim(f"default|{base}|{identity}", 3)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {identity}=0")
        assert (await client.next_of("handshake"))["errors"] == ["out-of-window"]
        assert await client.numbers(4) == [3, 4]


@pytest.mark.parametrize("most", [1, 7])
async def test_a_client_that_is_cut_at_random_sees_every_number_once_and_in_order(served: Served, most: int) -> None:
    api, chance, total = served.api(FhirVersion.R5), random.Random(most), 150
    identity = await subscribe(api, max_count=most)
    seen: list[int] = []
    bundles: list[int] = []
    cuts = 0

    async def read(client: Board, until_number: int) -> None:
        while not seen or seen[-1] < until_number:
            told = status_of(await client.next())
            if told["type"] == "event-notification":
                bundles.append(len(told["numbers"]))
                seen.extend(told["numbers"])

    writing = asyncio.create_task(change(api, identity, total))
    while not seen or seen[-1] < total:
        last = seen[-1] if seen else 0
        async with board(served.url, FhirVersion.R5) as client:
            await client.say(f"bind-with-token {await token(api, identity)} {identity}={last}")
            try:
                await read(client, min(last + chance.randrange(1, 40), total))
            except ConnectionClosed:
                pytest.fail("the hub cut a client that reads")
            reset(client)
            cuts += 1
    await writing
    assert cuts > 3
    assert seen == list(range(1, total + 1))
    assert max(bundles) <= most


async def test_events_wait_without_failures_while_nobody_listens(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        reset(client)
    await change(api, identity, 3)
    name = f"default|r5|{identity}"

    async def is_deaf() -> bool:
        (record,) = await served.hub.subscriptions.records([name])
        return record is not None and record.deaf and record.number == 3

    await until(is_deaf)
    (record,) = await served.hub.subscriptions.records([name])
    (due,) = await served.hub.store.send(("ZSCORE", f"{{d{served.hub.store.layout.shard_of(name)}}}:due", name))
    assert record is not None and record.failures == 0 and record.error is None
    assert due is None, "nothing is due until somebody listens"


async def test_heartbeats_come_while_nothing_happens(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe(api, heartbeat=1)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        for _ in range(2):
            told = await client.next_of("heartbeat")
            assert (told["count"], told["numbers"]) == (0, [])


async def test_events_of_an_old_socket_and_of_the_new_one_are_not_mixed(serve: Serve) -> None:
    """A second tab takes over in the middle of a stream: the two together have each number, in order."""
    served = await serve()
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api, max_count=3)
    writing = asyncio.create_task(change(api, identity, 60))
    async with board(served.url, FhirVersion.R5) as first, board(served.url, FhirVersion.R5) as second:
        await first.say(f"bind-with-token {await token(api, identity)}")
        old = await first.numbers(10)
        await second.say(f"bind-with-token {await token(api, identity)} {identity}={old[-1]}")
        new = await second.numbers(60)
    await writing
    assert old + new == list(range(1, 61))
