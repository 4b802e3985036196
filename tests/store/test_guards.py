"""A guard lets one in at a time, over all processes."""

from __future__ import annotations

import asyncio

import pytest

from hub.errors import Overloaded
from hub.store import guards
from hub.store.client import Store
from hub.store.guards import Guards
from hub.store.keys import guard_key


async def test_only_one_is_inside_at_a_time(store: Store) -> None:
    inside, most = 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with Guards(store).hold("door"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(10)))
    assert most == 1
    assert await store.send(("EXISTS", guard_key("door"))) == [0]


async def test_a_fault_inside_opens_the_guard_again(store: Store) -> None:
    with pytest.raises(ValueError):
        async with Guards(store).hold("door"):
            raise ValueError
    async with asyncio.timeout(1), Guards(store).hold("door"):
        pass


async def test_who_outstayed_its_time_does_not_open_the_guard_of_the_next(store: Store) -> None:
    async with Guards(store).hold("door"):
        await store.send(("SET", guard_key("door"), "of another", "PX", 5000))
    assert await store.send(("GET", guard_key("door"))) == [b"of another"]


async def test_who_waits_too_long_is_told_to_come_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "TRIES", 3)
    async with Guards(store).hold("door"):
        with pytest.raises(Overloaded):
            async with Guards(store).hold("door"):
                pass


async def test_a_guard_of_another_name_stands_open(store: Store) -> None:
    async with Guards(store).hold("door"), Guards(store).hold("window"):
        pass
