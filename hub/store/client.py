"""The store as the other rooms see it: send calls, check at the start that this Redis keeps what we promise.

Promises: every reply that comes back was given by Redis after it was durable in the sense of its settings; any doubt is
``Unavailable``.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import OutOfMemoryError

from hub.errors import Away, CannotStart, NotTaken, Unavailable
from hub.store.confirmation import MARK, Confirmation
from hub.store.fitness import REPLICATION, settings_calls, unfit_role, unfit_settings, wanted_settings
from hub.store.keys import LAYOUT_KEY, Layout
from hub.store.lanes import Lanes
from hub.store.scripts import Command
from hub.store.witness import Witness

PATIENCE_SECONDS = 10.0
"""For a Redis that starts beside the hub, reads its file or is being replaced."""
PAUSE_SECONDS = 0.1
REPLICA_TRIES = 50
REPLICA_PAUSE_SECONDS = 0.2


class Store:
    """One Redis and the layout of the data in it. ``send`` is the only way in; the other rooms build the calls."""

    def __init__(self, url: str, layout: Layout, confirmation: Confirmation | None = None) -> None:
        self.layout = layout
        self._confirmation = confirmation
        self.witness = Witness()
        self._lanes = Lanes(url, confirmation, self.witness)

    async def send(self, *commands: Command) -> list[Any]:
        """Send commands in one write and return their replies in order.

        Raises Unavailable when Redis does not answer, or answers any of them with an error; NotTaken when it has no
        room for the first of them, the one that decides.
        """
        replies = await self._lanes.send(commands)
        for place, reply in enumerate(replies):
            if isinstance(reply, Unavailable):
                raise reply
            if isinstance(reply, Exception):
                raise _refusal(reply, decides=place == 0) from reply
        return replies

    async def start(self, *, durability: str, accept_unverified: bool) -> None:
        """Check that this Redis keeps what the durability level promises and that its data has our layout.

        Raises CannotStart with every reason at once (REDIS §2.2), also when Redis does not answer.
        """
        try:
            await self._check(durability, accept_unverified=accept_unverified)
        except Unavailable as problem:
            raise Away(str(problem)) from problem

    async def until_it_answers(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Raises Away when it does not within so long."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                await self.clock_milliseconds()
                return
            except Unavailable as problem:
                if time.monotonic() > deadline:
                    raise Away(str(problem)) from problem
            await asyncio.sleep(PAUSE_SECONDS)

    async def _check(self, durability: str, *, accept_unverified: bool) -> None:
        problems = await self.unfit(durability, accept_unverified=accept_unverified)
        for _ in range(REPLICA_TRIES):  # those that start together with us are given a moment
            if not problems or durability != "replicated":
                break
            await asyncio.sleep(REPLICA_PAUSE_SECONDS)
            problems = await self.unfit(durability, accept_unverified=accept_unverified)
        if problems:
            raise CannotStart(
                "Redis is not set up for durability level "
                f"{durability!r}: {'; '.join(problems)}. Set HUB_ACCEPT_UNVERIFIED_REDIS=1 only if you know better."
            )
        await self._check_layout()

    async def unfit(self, durability: str, *, accept_unverified: bool) -> list[str]:
        """What this Redis lacks for the level, in words. ``accept_unverified`` spares its settings, never its role."""
        replicas = self._confirmation.replicas if self._confirmation else 0
        wanted = {} if accept_unverified else wanted_settings(durability, replicas)
        *settings, role = await self._lanes.send([*settings_calls(wanted), REPLICATION])
        return [*unfit_settings(wanted, settings), *unfit_role(role, replicas)]

    async def _check_layout(self) -> None:
        _, found = await self.send(("SET", LAYOUT_KEY, str(self.layout), "NX"), ("GET", LAYOUT_KEY))
        if problem := self.layout.problem(_text(found)):
            raise CannotStart(problem)

    async def confirm(self) -> None:
        """What was read so far is as durable as what is written. Raises Unavailable.

        Needed before an answer of success that rests on a mere read: a request that was carried out before, whose
        first answer may have been that nothing is confirmed.
        """
        if self._confirmation:
            await self.send(MARK)

    async def clock_milliseconds(self) -> int:
        """The clock that scripts use; also shows that Redis answers."""
        ((seconds, microseconds),) = await self.send(("TIME",))
        return int(seconds) * 1000 + int(microseconds) // 1000

    def pubsub(self) -> PubSub:
        """A connection of its own that hears what is published; one per store."""
        return self._lanes.pubsub()

    async def close(self) -> None:
        await self._lanes.close()


def _refusal(reply: Exception, *, decides: bool) -> Unavailable:
    """Redis looks at its memory and its disk before a script writes anything: one that is refused has done nothing."""
    if decides and isinstance(reply, OutOfMemoryError):
        return NotTaken("Redis has used all the memory that its maxmemory allows")
    if decides and str(reply).startswith("MISCONF"):
        return NotTaken("Redis cannot write to its disk, and takes nothing until it can")
    return Unavailable(f"Redis refused: {reply}")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
