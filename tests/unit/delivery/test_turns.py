"""Hosts that hang do not use up the attempts of the others (I14)."""

from __future__ import annotations

import asyncio

import pytest

from hub.delivery import turns as turns_module
from hub.delivery.turns import FIRST_WINDOW, Turns


class Lab:
    """Attempts that end when they are told to."""

    def __init__(self, per_host: int = 16, most_unproven: int = 8) -> None:
        self.turns = Turns(per_host, most_unproven)
        self.begun: list[str] = []
        self.attempts: list[tuple[str, asyncio.Task[None], asyncio.Event]] = []

    async def attempt(self, *hosts: str) -> None:
        for host in hosts:
            release = asyncio.Event()
            self.attempts.append((host, asyncio.create_task(self._attempt(host, release)), release))
        await self.settle()

    async def _attempt(self, host: str, release: asyncio.Event) -> None:
        async with self.turns.of(host):
            self.begun.append(host)
            await release.wait()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def prove(self, *hosts: str, times: int = 1) -> None:
        for host in hosts * times:
            self.turns.told(host, well=True)

    async def end(self) -> None:
        for _, _, release in self.attempts:
            release.set()
        await asyncio.gather(*(task for _, task, _ in self.attempts))
        assert (self.turns.taken, self.turns.taken_by_unproven) == (0, 0)


async def test_a_window_opens_with_every_success_and_shuts_with_the_first_failure() -> None:
    lab = Lab(per_host=4)
    await lab.attempt(*["host"] * 10)
    for expected in (FIRST_WINDOW, 3, 4, 4):
        assert len(lab.begun) == expected
        lab.prove("host")
        await lab.settle()
    lab.turns.told("host", well=False)
    for _, _, release in lab.attempts[:3]:
        release.set()
    await lab.settle()
    assert len(lab.begun) == 4, "one is under way, and one is what the window lets through"
    lab.attempts[3][2].set()
    await lab.settle()
    assert len(lab.begun) == 5
    await lab.end()


async def test_however_many_hosts_are_dead_the_proven_ones_find_a_turn() -> None:
    lab = Lab(most_unproven=8)
    lab.prove("well", times=20)
    await lab.attempt(*[f"dead-{number}" for number in range(100)] * 10)
    assert len(lab.begun) == 8
    await lab.attempt(*["well"] * 16)
    assert lab.begun[8:] == ["well"] * 16
    assert lab.turns.taken == 24
    await lab.end()


async def test_unproven_hosts_take_turns_one_after_another() -> None:
    lab = Lab(most_unproven=1)
    await lab.attempt("a", "a", "a", "b", "c")
    for place in range(3):
        next(release for host, _, release in lab.attempts if host == lab.begun[place] and not release.is_set()).set()
        await lab.settle()
    assert lab.begun == ["a", "a", "b", "c"], "the third of a comes after those of b and c"
    await lab.end()


async def test_a_host_that_begins_to_fail_goes_behind_the_bulkhead_and_comes_back_with_its_first_success() -> None:
    lab = Lab(most_unproven=1)
    lab.prove("host", times=5)
    lab.turns.told("host", well=False)
    await lab.attempt("other", "host")
    assert lab.begun == ["other"]
    lab.prove("host")
    await lab.settle()
    assert lab.begun == ["other", "host"]
    await lab.end()


async def test_hosts_that_die_together_leave_room_after_a_moment_and_are_proven_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(most_unproven=4)
    hosts = [f"host-{number}" for number in range(10)]
    lab.prove(*hosts)
    await lab.attempt(*hosts)
    assert lab.turns.room(10) == 0
    monkeypatch.setattr(turns_module, "STALL_SECONDS", 0.0)
    assert lab.turns.room(10) == 10
    assert lab.turns.room(2) == -2, "not without end: each has a socket"
    assert lab.turns.take_changes()["host-3"] is False
    await lab.attempt(*hosts)
    assert len(lab.begun) == 14, "they go behind the bulkhead"
    await lab.end()
    assert lab.turns.room(10) == 10


async def test_an_attempt_that_is_cancelled_gives_its_turn_back() -> None:
    lab = Lab(most_unproven=1)
    await lab.attempt("a", "b", "c")
    for place in (1, 0):
        lab.attempts[place][1].cancel()
    await asyncio.gather(*(task for _, task, _ in lab.attempts[:2]), return_exceptions=True)
    await lab.settle()
    assert lab.begun == ["a", "c"]
    del lab.attempts[:2]
    await lab.end()


async def test_a_turn_that_comes_in_the_moment_of_cancelling_is_not_lost() -> None:
    lab = Lab(most_unproven=1)
    await lab.attempt("a", "b")
    lab.attempts[0][2].set()
    await asyncio.sleep(0)  # a gives back; b has its turn but has not run
    lab.attempts[1][1].cancel()
    await asyncio.gather(*(task for _, task, _ in lab.attempts), return_exceptions=True)
    assert lab.turns.taken == lab.turns.taken_by_unproven == 0


async def test_what_was_known_of_hosts_is_known_again() -> None:
    lab = Lab(most_unproven=1)
    lab.turns.remember(["well"])
    await lab.attempt("new", "new", "well", "well")
    assert lab.begun == ["new", "well", "well"]
    await lab.end()


def test_only_a_change_of_health_is_told() -> None:
    turns = Turns(16, 8)
    turns.told("a", well=True)
    turns.told("a", well=True)
    turns.told("b", well=False)
    assert turns.take_changes() == {"a": True}
    turns.told("a", well=False)
    assert (turns.take_changes(), turns.take_changes()) == ({"a": False}, {})


def test_hosts_are_forgotten_before_there_are_too_many() -> None:
    turns = Turns(16, 8)
    turns.remember(f"host-{number}" for number in range(turns_module.MOST_HOSTS_REMEMBERED + 50))
    assert len(turns._hosts) == turns_module.MOST_HOSTS_REMEMBERED
