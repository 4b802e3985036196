"""Standing in for processes that died: what they held for an attempt and had not begun goes to the living at once.

Every process gives a sign of life, and looks at those of the others. One that gives no new sign for DEAD_SECONDS, while
the looker got an answer all the time, is taken for dead. The time is the looker's own and monotonic; no two clocks are
compared, and a store that stood still makes nobody dead. What was in an attempt is left to the end of its lease.

In return a process begins an attempt only while its own newest sign is younger than TRUST_SECONDS: one that was frozen,
or cut off from the store, does not begin what others may have taken over meanwhile. What it sends all the same was
begun before, and the fence makes its outcome void (I12).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf

from hub.errors import Unavailable
from hub.store.agenda import Agenda, Hold
from hub.store.lives import Lives, Signs

log = logging.getLogger(__name__)

TELL_SECONDS = 0.5
TRUST_SECONDS = 2.0
"""A second less than DEAD_SECONDS is left between this look and the first byte of an attempt."""
DEAD_SECONDS = 3.0
GAP_SECONDS = 1.5
"""Who has not looked for so long begins to look anew: it was the looker, or the store, that stood still."""
LONGEST_SECONDS = TELL_SECONDS + DEAD_SECONDS + TELL_SECONDS
"""From the last sign until what the dead held is free, when the store answers at once."""


class StandingIn:
    """Signs of this process, and looks at the others. ``rang`` wakes the worker when something was taken over."""

    def __init__(
        self, lives: Lives, agenda: Agenda, shard_of: Callable[[str], int], rang: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._lives = lives
        self._agenda = agenda
        self._shard_of = shard_of
        self._rang = rang
        self._clock = clock
        self._begun: dict[str, int] = {}
        self._given_up: dict[str, int] = {}
        self._told_at = -inf
        self._void_until: dict[int, float] = {}
        self._looked_at = -inf
        self._seen: dict[tuple[int, str], tuple[str, float]] = {}
        """The sign of a process in a shard, and since when it has been the same."""

    @property
    def is_alive(self) -> bool:
        """Whether the others know it."""
        return self._clock() - self._told_at < TRUST_SECONDS

    def may_begin(self, hold: Hold, since: float) -> bool:
        """Whether nobody can have taken over what was held since this monotonic instant."""
        return self.is_alive and since > self._void_until.get(self._shard_of(hold.subscription), -inf)

    @contextmanager
    def attempt(self, hold: Hold) -> Iterator[None]:
        """It is in flight."""
        self._begun[hold.subscription] = hold.fence
        try:
            yield
        finally:
            if self._begun.get(hold.subscription) == hold.fence:
                del self._begun[hold.subscription]

    def give_up(self, hold: Hold) -> None:
        """It will not be begun, because the store was away: it is free again as soon as the store answers."""
        self._given_up[hold.subscription] = hold.fence

    async def run(self) -> None:
        """Until cancelled; at the end it leaves: what it has not begun is given up, and nothing is begun any more."""
        first = True
        try:
            while True:
                try:
                    await self.look(first=first)
                    first = False
                except Unavailable as problem:
                    log.info("no sign of life could be given", extra={"reason": str(problem)})
                await asyncio.sleep(TELL_SECONDS)
        finally:
            self._told_at = -inf
            with suppress(Unavailable):
                await self._lives.leave(self._begun)

    async def look(self, *, first: bool = False) -> None:
        """Give a sign and look once; take over what the dead held. Raises Unavailable."""
        asked = self._clock()
        signs = await self._lives.tell(self._begun, first=first)
        answered = self._clock()
        self._told_at = asked
        if answered - self._looked_at > GAP_SECONDS:
            self._seen.clear()
        self._looked_at = answered
        for shard, found in enumerate(signs):
            if found.thought_dead:
                self._void_until[shard] = answered
                log.warning("the others took this process for dead", extra={"shard": shard})
        if self._given_up:
            await self._give_back()
        dead = self._without_new_sign(signs, asked, answered)
        for shard, owner, sign in dead:
            freed = await self._lives.inherit(shard, owner, sign)
            told = {"gone": owner, "shard": shard, "subscriptions": freed}
            log.warning("a process gives no sign of life; what it had not begun is taken over", extra=told)
        if dead:
            self._rang()

    async def _give_back(self) -> None:
        by_shard: dict[int, dict[str, int]] = {}
        for name, fence in self._given_up.items():
            by_shard.setdefault(self._shard_of(name), {})[name] = fence
        for shard, fences in by_shard.items():
            await self._agenda.give_back(shard, fences)  # repeated when in doubt: the fence makes that harmless
            for name, fence in fences.items():
                if self._given_up.get(name) == fence:
                    del self._given_up[name]
        self._rang()

    def _without_new_sign(self, signs: list[Signs], asked: float, answered: float) -> list[tuple[int, str, str]]:
        """(shard, process, sign) of those who are dead: nothing new since the answer in which it was first seen."""
        present = {(shard, owner): sign for shard, each in enumerate(signs) for owner, sign in each.of_others.items()}
        before, self._seen = self._seen, {}
        dead = []
        for (shard, owner), sign in present.items():
            former, since = before.get((shard, owner), ("", answered))
            self._seen[shard, owner] = (sign, since if former == sign else answered)
            if former == sign and asked - since >= DEAD_SECONDS:
                dead.append((shard, owner, sign))
        return dead
