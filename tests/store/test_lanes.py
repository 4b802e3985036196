"""The connection: scripts come back by themselves, nothing runs twice, no reply goes astray, nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.errors import NotTaken, Unavailable
from hub.store import lanes
from hub.store.acceptance import Code
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import REGISTRY_LOG, Layout
from hub.store.registry import Registry
from hub.store.scripts import Command
from tests.store.factories import PARTITION, Lab, offer

REPLY_TIMEOUT_SECONDS = 0.4


def an_accept(store: Store, reference: str) -> Command:
    return Changes(store, most_waiting=1000)._accept_call([PARTITION], {"": offer(reference)})


async def test_scripts_are_taught_again_after_redis_forgot_them(store: Store) -> None:
    await store.send(("SCRIPT", "FLUSH"))
    (accepted,) = await Changes(store, most_waiting=10).accept(PARTITION, [offer("Patient/1")])
    assert (accepted.code, accepted.version) == (Code.OK, 1)


async def test_a_script_that_was_forgotten_in_the_middle_of_a_write_does_not_make_others_run_twice(
    store: Store,
) -> None:
    await store.send(an_accept(store, "Patient/0"))
    first, _, second = await store.send(
        an_accept(store, "Patient/1"), ("SCRIPT", "FLUSH"), an_accept(store, "Patient/1")
    )
    assert [reply[1][2] for reply in (first, second)] == [1, 2]
    assert await store.send(("XLEN", PARTITION.key("chg"))) == [3]


async def test_a_write_is_announced_after_it_even_if_its_script_was_forgotten(store: Store) -> None:
    """Else a reader could take the news in before there is any."""
    lab = Lab(store)
    await store.send(("SCRIPT", "FLUSH"))
    await lab.put("a")
    assert await store.send(("XLEN", REGISTRY_LOG)) == [2]
    news, _ = await Registry(store).news("0-0")
    assert {item.name for item in news} == {lab.name("a")}


async def test_many_callers_at_once_are_all_served_over_a_few_connections(store: Store) -> None:
    replies = await asyncio.gather(*(store.send(("ECHO", str(number))) for number in range(2000)))
    assert replies == [[str(number).encode()] for number in range(2000)]
    (told,) = await store.send(("INFO", "clients"))
    assert told["connected_clients"] <= lanes.LANES + 1


async def test_a_refused_command_harms_no_other(store: Store) -> None:
    async def bad() -> None:
        with pytest.raises(Unavailable, match="Redis refused"):
            await store.send(("ECHO", "ok"), ("HGET", "hub:layout", "not a hash"))

    await asyncio.gather(*(bad() for _ in range(20)), *(store.send(("PING",)) for _ in range(20)))


async def test_calls_that_wait_for_redis_are_so_many_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_WAITING", 10)
    calls = [asyncio.create_task(store.send(("ECHO", str(number)))) for number in range(12)]
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert told[:10] == [[str(number).encode()] for number in range(10)]
    assert all(isinstance(each, NotTaken) and "10 calls" in str(each) for each in told[10:])
    assert await store.send(("ECHO", "later")) == [b"later"]


async def test_a_redis_without_memory_refuses_what_writes_and_says_that_it_was_not_carried_out(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    full = Store(await server.start(), Layout())
    await full.send(an_accept(full, "Patient/1"))
    await full.send(("CONFIG", "SET", "maxmemory", 1))
    with pytest.raises(NotTaken, match="maxmemory"):
        await full.send(an_accept(full, "Patient/2"))
    with pytest.raises(Unavailable) as told:  # the one that decides was done
        await full.send(("PING",), an_accept(full, "Patient/2"))
    assert not isinstance(told.value, NotTaken)
    assert await full.send(("XLEN", PARTITION.key("chg"))) == [1]
    await full.close()
    await server.stop()


async def test_a_caller_that_is_cancelled_never_leaves_its_reply_to_another(store: Store) -> None:
    chance = random.Random(5)

    async def ask(number: int) -> None:
        assert await store.send(("ECHO", str(number))) == [str(number).encode()]

    for _ in range(30):
        callers = [asyncio.create_task(ask(number)) for number in range(20)]
        await asyncio.sleep(chance.random() * 0.002)
        for caller in chance.sample(callers, 8):
            caller.cancel()
        for found in await asyncio.gather(*callers, return_exceptions=True):
            assert found is None or isinstance(found, asyncio.CancelledError)


async def test_who_asks_in_the_moment_all_lanes_come_home_is_served(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = asyncio.Event()

    async def exchange(commands: list[Command]) -> list[object]:
        await home.wait()
        return list(commands)

    async def ask(*questions: str) -> None:
        for question in questions:
            assert await store.send((question,)) == [(question,)]

    monkeypatch.setattr(store._lanes, "_exchange", exchange)
    callers = []
    for questions in (("first", "and again"), *[("other",)] * (lanes.LANES - 1)):
        callers.append(asyncio.create_task(ask(*questions)))
        for _ in range(3):
            await asyncio.sleep(0)  # each on a lane of its own
    home.set()
    async with asyncio.timeout(2):
        await asyncio.gather(*callers)


async def test_closing_leaves_nobody_waiting(redis_url: str) -> None:
    store = Store(redis_url, Layout())
    callers = [asyncio.create_task(store.send(*[("PING",)] * 200)) for _ in range(50)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(5):
        for found in await asyncio.gather(*callers, return_exceptions=True):
            assert isinstance(found, (list, Unavailable))


@pytest.fixture
async def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Store, int]]:
    """A store with a short patience, and the process id of its Redis, to be frozen by the test."""
    monkeypatch.setattr(lanes, "REPLY_TIMEOUT_SECONDS", REPLY_TIMEOUT_SECONDS)
    server = EmbeddedRedis(tmp_path)
    store = Store(await server.start(), Layout())
    (told,) = await store.send(("INFO", "server"))
    yield store, told["process_id"]
    os.kill(told["process_id"], signal.SIGCONT)
    await store.close()
    await server.stop()


async def test_while_redis_is_frozen_nobody_waits_for_longer_than_one_timeout(frozen: tuple[Store, int]) -> None:
    store, pid = frozen
    os.kill(pid, signal.SIGSTOP)
    since = time.monotonic()
    calls = (store.send(("INCR", "counted"), *[("PING",)] * 99) for _ in range(40))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    assert time.monotonic() - since < 2 * REPLY_TIMEOUT_SECONDS
    os.kill(pid, signal.SIGCONT)
    (counted,) = await store.send(("GET", "counted"))
    assert int(counted or 0) <= 40, "nothing is sent twice on its own"


async def test_a_short_freeze_is_waited_for(frozen: tuple[Store, int]) -> None:
    store, pid = frozen
    os.kill(pid, signal.SIGSTOP)
    asyncio.get_running_loop().call_later(REPLY_TIMEOUT_SECONDS / 2, os.kill, pid, signal.SIGCONT)
    assert await store.send(("INCR", "counted")) == [1]
