"""What must hold when a process is taken for dead, whether it is or not (I12)."""

from __future__ import annotations

from hub.store.agenda import Hold
from hub.store.lives import Lives
from tests.store.factories import Lab
from tests.store.guards.mutation import must


async def _held(lab: Lab) -> Hold:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    return hold


async def _sign(lab: Lab, owner: str = "lab") -> str:
    (signs,) = await Lives(lab.store, "heir").tell({}, first=True)
    return signs.of_others[owner]


async def who_gave_another_sign_keeps_what_it_holds(lab: Lab) -> None:
    hold, process = await _held(lab), Lives(lab.store, "lab")
    await process.tell({}, first=True)
    old = await _sign(lab)
    await process.tell({}, first=False)
    await Lives(lab.store, "heir").inherit(0, "lab", old)
    must(await lab.settle(hold) is True, "it lives")


async def what_was_begun_is_left_to_its_lease(lab: Lab) -> None:
    hold = await _held(lab)
    await Lives(lab.store, "lab").tell({hold.subscription: hold.fence}, first=True)
    await Lives(lab.store, "heir").inherit(0, "lab", await _sign(lab))
    must(await lab.settle(hold) is True, "it may be slow, not dead")


async def only_what_the_dead_held_is_taken_over(lab: Lab) -> None:
    hold = await _held(lab)
    await Lives(lab.store, "another").tell({}, first=True)
    await Lives(lab.store, "heir").inherit(0, "another", await _sign(lab, "another"))
    must(await lab.settle(hold) is True, "this one is not dead")


async def who_was_taken_for_dead_is_told(lab: Lab) -> None:
    process = Lives(lab.store, "lab")
    await process.tell({}, first=True)
    await Lives(lab.store, "heir").inherit(0, "lab", await _sign(lab))
    (signs,) = await process.tell({}, first=False)
    must(signs.thought_dead, "else it begins what others have by now")


async def only_what_is_still_held_is_given_back(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.lease_ends_now("a")
    (others,) = await lab.claim()
    await lab.agenda.give_back(0, {hold.subscription: hold.fence})
    must(await lab.settle(others) is True, "another holds it by now")
