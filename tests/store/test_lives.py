"""Signs of life on a real Redis, and what a dead process held: the idle is free, the begun stays."""

from __future__ import annotations

import pytest

from hub.store import lives as lives_module
from hub.store.agenda import Agenda, Hold
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.lives import Lives
from hub.store.scripts import script
from tests.store.factories import Lab


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


@pytest.fixture
def dead(store: Store) -> Lives:
    """Lab is the process that will be dead."""
    return Lives(store, "lab")


@pytest.fixture
def heir(store: Store) -> Lives:
    return Lives(store, "heir")


async def held(lab: Lab, *shorts: str) -> list[Hold]:
    await lab.activate(*shorts)
    return list((await lab.commit(*(lab.match(1, short) for short in shorts))).holds)


async def sign_of(of: str, seen_by: Lives) -> str:
    (signs,) = await seen_by.tell({}, first=False)
    return signs.of_others[of]


async def claimed_by_heir(store: Store) -> list[str]:
    return [hold.subscription for hold in await Agenda(store, "heir").claim([0], 10)]


async def test_each_sign_is_another_one_and_the_others_see_it(dead: Lives, heir: Lives) -> None:
    await dead.tell({}, first=True)
    first = await sign_of("lab", heir)
    assert await sign_of("lab", heir) == first
    (own,) = await dead.tell({}, first=False)
    assert own.own == await sign_of("lab", heir) != first
    assert not own.thought_dead


async def test_what_was_not_begun_is_free_for_the_heir_at_once(lab: Lab, dead: Lives, heir: Lives) -> None:
    (hold,) = await held(lab, "a")
    await dead.tell({}, first=True)
    assert await claimed_by_heir(lab.store) == []
    assert await heir.inherit(0, "lab", await sign_of("lab", heir)) == 1
    assert await claimed_by_heir(lab.store) == [lab.name("a")]
    assert await lab.settle(hold) is False, "the dead one is fenced should it come back"


async def test_what_was_begun_waits_for_the_end_of_its_lease(lab: Lab, dead: Lives, heir: Lives) -> None:
    first, second = await held(lab, "a", "b")
    await dead.tell({first.subscription: first.fence}, first=True)
    assert await heir.inherit(0, "lab", await sign_of("lab", heir)) == 1
    assert await claimed_by_heir(lab.store) == [second.subscription]
    assert await lab.settle(first) is True, "it may be slow, not dead"


async def test_an_attempt_that_ended_before_does_not_protect_the_next_hold(lab: Lab, dead: Lives, heir: Lives) -> None:
    (hold,) = await held(lab, "a")
    await dead.tell({hold.subscription: hold.fence - 1}, first=True)
    assert await heir.inherit(0, "lab", await sign_of("lab", heir)) == 1


async def test_who_gave_another_sign_meanwhile_is_not_dead(lab: Lab, dead: Lives, heir: Lives) -> None:
    (hold,) = await held(lab, "a")
    await dead.tell({}, first=True)
    old = await sign_of("lab", heir)
    await dead.tell({}, first=False)
    assert await heir.inherit(0, "lab", old) == 0
    assert await lab.settle(hold) is True


async def test_holds_of_others_are_not_touched(lab: Lab, dead: Lives, heir: Lives) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), hold=False)
    assert await claimed_by_heir(lab.store) == [lab.name("a")]
    await dead.tell({}, first=True)
    assert await heir.inherit(0, "lab", await sign_of("lab", heir)) == 0


async def test_who_was_taken_for_dead_is_told_and_lives_on(lab: Lab, dead: Lives, heir: Lives) -> None:
    await dead.tell({}, first=True)
    await heir.inherit(0, "lab", await sign_of("lab", heir))
    assert [signs.thought_dead for signs in await dead.tell({}, first=False)] == [True]
    assert [signs.thought_dead for signs in await dead.tell({}, first=False)] == [False]
    assert await sign_of("lab", heir)


async def test_a_new_life_was_never_dead(dead: Lives, heir: Lives) -> None:
    await dead.tell({}, first=True)
    await heir.inherit(0, "lab", await sign_of("lab", heir))
    assert [signs.thought_dead for signs in await dead.tell({}, first=True)] == [False]


async def test_many_are_freed_in_several_steps(
    lab: Lab, dead: Lives, heir: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives_module, "SCAN_BATCH", 2)
    names = [f"s{number}" for number in range(7)]
    holds = await held(lab, *names)
    kept = {hold.subscription: hold.fence for hold in holds[:3]}
    await dead.tell(kept, first=True)
    assert await heir.inherit(0, "lab", await sign_of("lab", heir)) == 4
    assert sorted(await claimed_by_heir(lab.store)) == sorted(hold.subscription for hold in holds[3:])
    (signs,) = await heir.tell({}, first=False)
    assert "lab" not in signs.of_others, "nobody takes it over a second time"


async def test_who_comes_back_between_two_steps_keeps_the_rest(lab: Lab, dead: Lives, heir: Lives) -> None:
    await held(lab, "a", "b", "c")
    await dead.tell({}, first=True)
    sign = await sign_of("lab", heir)
    keys = [shard_key(0, part) for part in ("due", "m", "live", "begun")]
    ((_, freed),) = await lab.store.send(script("inherit", keys, ["lab", sign, 0, 1]))
    assert freed == 1
    assert [signs.thought_dead for signs in await dead.tell({}, first=False)] == [True]
    ((looked_at, _),) = await lab.store.send(script("inherit", keys, ["lab", f"x{sign}", 0, 1]))
    assert looked_at == -1


async def test_who_leaves_in_order_gives_up_what_it_has_not_begun(lab: Lab, dead: Lives, heir: Lives) -> None:
    first, second = await held(lab, "a", "b")
    await dead.leave({first.subscription: first.fence})
    assert await claimed_by_heir(lab.store) == [second.subscription]
    (signs,) = await heir.tell({}, first=False)
    assert signs.of_others == {}


async def test_what_is_given_back_is_due_again_and_void(lab: Lab) -> None:
    (hold,) = await held(lab, "a")
    assert await lab.agenda.give_back(0, {hold.subscription: hold.fence}) == 1
    (again,) = await lab.claim()
    assert again.progress.batch == hold.progress.batch
    assert await lab.settle(hold) is False


async def test_what_another_holds_by_now_cannot_be_given_back(lab: Lab) -> None:
    (hold,) = await held(lab, "a")
    await lab.lease_ends_now("a")
    (others,) = await lab.claim()
    assert await lab.agenda.give_back(0, {hold.subscription: hold.fence}) == 0
    assert await lab.settle(others) is True
