"""What a process that begins anew finds: attempts of its former life, and how many events wait."""

from __future__ import annotations

import pytest

from hub.store import agenda
from hub.store.agenda import Agenda
from hub.store.client import Store
from tests.store.factories import PARTITION, Lab


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


async def test_what_an_owner_holds_since_its_new_life_began_stays_its_own(lab: Lab) -> None:
    await lab.activate("a")
    began = await lab.store.clock_milliseconds()
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    assert await lab.agenda.resume([0], began) == 0
    assert await lab.settle(hold) is True


async def test_a_restarted_owner_finds_what_it_held_among_many_that_are_due_at_one_moment(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "SCAN_BATCH", 3)
    names = [f"s{number}" for number in range(16)]
    await lab.activate(*names)
    await lab.commit(*(lab.match(1, name) for name in names[:10]))  # in one step, so all leases end at one moment
    await Agenda(lab.store, "another").commit(
        [(0, PARTITION, 1, [lab.match(2, name) for name in names[10:]])], hold=True
    )
    assert await lab.agenda.resume([0], await lab.store.clock_milliseconds() + 1) == 10
    assert {hold.subscription for hold in await lab.claim()} == {lab.name(name) for name in names[:10]}


async def test_the_events_that_wait_are_counted_until_they_are_delivered_or_dropped(lab: Lab) -> None:
    await lab.activate("a", "b", max_count=2)
    assert await lab.agenda.waiting([0]) == 0
    await lab.commit(*(lab.match(at, "a") for at in range(1, 6)), lab.match(6, "b"), hold=False)
    assert await lab.agenda.waiting([0]) == 6
    await lab.commit(lab.match(6, "b"), hold=False)  # a repeat
    assert await lab.agenda.waiting([0]) == 6
    first, second = sorted(await lab.claim(), key=lambda hold: hold.subscription)
    await lab.settle(first)
    assert await lab.agenda.waiting([0]) == 4
    await lab.settle(second)
    assert await lab.agenda.waiting([0]) == 3
    await lab.subscriptions.remove(lab.key("a"), None)
    assert await lab.agenda.waiting([0]) == 0
    assert await lab.subscriptions.count() == 2  # gravestones too, the count itself not
    assert [name async for names in lab.subscriptions.names() for name in names].count("") == 0
