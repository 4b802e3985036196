"""When a process is taken for dead, and when this one may begin: by its own clock, and by nobody else's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hub.delivery import standing_in as module
from hub.delivery.standing_in import DEAD_SECONDS, GAP_SECONDS, LONGEST_SECONDS, TELL_SECONDS, TRUST_SECONDS, StandingIn
from hub.domain.delivery import Duty, Progress
from hub.domain.subscription import Status
from hub.errors import Unavailable
from hub.store.agenda import Hold
from hub.store.lives import Signs

HOLD = Hold("default|r5|s", Duty.EVENTS, 7, 1, Progress(Status.ACTIVE, number=1, cursor=0))


class Scene:
    """One other process, and a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sign = "1"
        self.thought_dead = False
        self.away = False
        self.inherited: list[tuple[int, str, str]] = []
        self.begun: Mapping[str, int] = {}
        self.given_back: list[dict[str, int]] = []
        self.away_for_giving_back = False
        self.rings = 0
        self.standing_in = StandingIn(self, self, lambda _: 0, self.ring, lambda: self.now)  # type: ignore[arg-type]

    def ring(self) -> None:
        self.rings += 1

    async def tell(self, begun: Mapping[str, int], *, first: bool) -> list[Signs]:
        if self.away:
            raise Unavailable("away")
        self.begun = dict(begun)
        return [Signs("own", {"other": self.sign} if self.sign else {}, self.thought_dead)]

    async def inherit(self, shard: int, owner: str, sign: str) -> int:
        self.inherited.append((shard, owner, sign))
        self.sign = ""
        return 1

    async def give_back(self, shard: int, fences: Mapping[str, int]) -> int:
        if self.away_for_giving_back:
            raise Unavailable("away")
        self.given_back.append(dict(fences))
        return len(fences)

    async def look_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += TELL_SECONDS
            await self.standing_in.look()


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.standing_in.look(first=True)
    return scene


async def test_who_gives_no_new_sign_is_taken_over_once_and_the_worker_is_woken(scene: Scene) -> None:
    await scene.look_for(DEAD_SECONDS - TELL_SECONDS)
    assert scene.inherited == []
    await scene.look_for(4 * TELL_SECONDS)
    assert scene.inherited == [(0, "other", "1")] and scene.rings == 1


async def test_who_gives_new_signs_is_never_dead(scene: Scene) -> None:
    for number in range(20):
        scene.sign = str(number)
        await scene.look_for(DEAD_SECONDS - TELL_SECONDS)
    assert scene.inherited == []


async def test_a_store_that_stood_still_makes_nobody_dead(scene: Scene) -> None:
    await scene.look_for(DEAD_SECONDS - TELL_SECONDS)
    scene.away = True
    with pytest.raises(Unavailable):
        await scene.standing_in.look()
    scene.now += GAP_SECONDS + TELL_SECONDS
    scene.away = False
    await scene.look_for(DEAD_SECONDS - TELL_SECONDS)
    assert scene.inherited == [], "its signs were held up as well"
    await scene.look_for(4 * TELL_SECONDS)
    assert scene.inherited


async def test_a_looker_that_was_frozen_looks_anew(scene: Scene) -> None:
    scene.now += 100 * DEAD_SECONDS
    await scene.standing_in.look()
    assert scene.inherited == []


async def test_nothing_is_begun_after_a_while_without_a_sign_of_its_own(scene: Scene) -> None:
    since = scene.now
    scene.now += TRUST_SECONDS / 2
    assert scene.standing_in.may_begin(HOLD, since)
    scene.now += TRUST_SECONDS / 2
    assert not scene.standing_in.may_begin(HOLD, scene.now) and not scene.standing_in.is_alive
    await scene.standing_in.look()
    assert scene.standing_in.may_begin(HOLD, scene.now)


async def test_nothing_is_begun_before_the_first_sign() -> None:
    assert not Scene().standing_in.is_alive


async def test_what_was_held_before_it_was_taken_for_dead_is_not_begun(scene: Scene) -> None:
    before = scene.now
    scene.now += TELL_SECONDS
    scene.thought_dead = True
    await scene.standing_in.look()
    assert not scene.standing_in.may_begin(HOLD, before)
    scene.thought_dead = False
    scene.now += TELL_SECONDS
    assert scene.standing_in.may_begin(HOLD, scene.now)


async def test_attempts_in_flight_are_told_with_the_sign(scene: Scene) -> None:
    with scene.standing_in.attempt(HOLD):
        await scene.standing_in.look()
        assert scene.begun == {HOLD.subscription: HOLD.fence}
    await scene.standing_in.look()
    assert scene.begun == {}


async def test_what_is_given_up_is_given_back_once_the_store_answers(scene: Scene) -> None:
    scene.standing_in.give_up(HOLD)
    scene.away_for_giving_back = True
    with pytest.raises(Unavailable):
        await scene.standing_in.look()
    scene.away_for_giving_back = False
    await scene.standing_in.look()
    await scene.standing_in.look()
    assert scene.given_back == [{HOLD.subscription: HOLD.fence}] and scene.rings == 1


def test_idle_claims_of_a_dead_process_move_in_less_than_five_seconds() -> None:
    """And nobody begins what others may have taken over already."""
    assert LONGEST_SECONDS < 5
    assert TRUST_SECONDS < DEAD_SECONDS < LONGEST_SECONDS
    assert module.TELL_SECONDS < GAP_SECONDS < DEAD_SECONDS, "one late look does not begin anew"
