"""A host that hangs does not use up the attempts of the others (I14)."""

from __future__ import annotations

import asyncio

from hub.delivery.turns import Turns


async def test_no_more_than_its_share_goes_to_one_host_and_waiting_takes_no_room() -> None:
    turns = Turns(2)
    release = asyncio.Event()
    begun: list[str] = []

    async def attempt(host: str) -> None:
        async with turns.of(host):
            begun.append(host)
            await release.wait()

    attempts = [asyncio.create_task(attempt(host)) for host in ["hangs"] * 5 + ["answers"]]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(begun) == ["answers", "hangs", "hangs"]
    assert turns.taken == 3
    release.set()
    await asyncio.gather(*attempts)
    assert (len(begun), turns.taken) == (6, 0)


async def test_an_attempt_that_is_cancelled_gives_its_turn_back() -> None:
    turns = Turns(1)

    async def attempt() -> None:
        async with turns.of("host"):
            await asyncio.sleep(60)

    first, second = (asyncio.create_task(attempt()) for _ in range(2))
    await asyncio.sleep(0.01)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with asyncio.timeout(1), turns.of("host"):
        assert turns.taken == 1
