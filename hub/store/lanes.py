"""A few connections to Redis, shared by everything in the process.

Callers never wait for a connection each: what is asked while a lane is on its way travels together with the next one,
in one write (and, with AOF ``always``, one fsync). So the number of connections is fixed, however many attempts run.

Nothing is sent twice on its own: the automatic retries of redis-py are off on purpose, because only the caller knows
whether repeating is wanted. Any doubt (lost connection, time-out) is ``Unavailable`` for everybody who travelled along;
and for everybody who still waits, so that nobody waits for one time-out after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from hub.errors import NotTaken, Unavailable
from hub.store.confirmation import Confirmation
from hub.store.connections import Connections
from hub.store.exchange import Exchange
from hub.store.scripts import SCRIPTS, Command
from hub.store.witness import Witness

LANES = 4
MOST_COMMANDS_PER_WRITE = 256
MOST_WAITING = 20_000
"""Calls that wait for a lane. Requests and attempts are bounded, and wait for one call each."""
REPLY_TIMEOUT_SECONDS = 10.0
ANNOUNCEMENTS = ("XADD", "PUBLISH")

Waiting = tuple[Sequence[Command], "asyncio.Future[list[Any]]"]


class Lanes:
    """``send`` puts commands on the next lane that is free."""

    def __init__(self, url: str, confirmation: Confirmation | None = None, witness: Witness | None = None) -> None:
        self._witness = witness or Witness()
        self._connections = Connections(url, LANES + 1, self._connected)
        self._redis: Redis = Redis(connection_pool=self._connections.pool)
        self._exchanges = Exchange(self._connections.pool, REPLY_TIMEOUT_SECONDS, self._redis.response_callbacks)
        self._confirmation = confirmation
        self._waiting: list[Waiting] = []
        self._on_their_way: set[asyncio.Task[None]] = set()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; what Redis refused is an exception among them. Raises Unavailable, NotTaken."""
        if len(self._waiting) >= MOST_WAITING:
            raise NotTaken(f"{MOST_WAITING} calls of this process wait for Redis, the most that may")
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, replies))
        if len(self._on_their_way) < LANES:
            self._on_their_way.add(asyncio.create_task(self._travel()))
        return await replies

    def pubsub(self) -> PubSub:
        """A connection of its own that hears what is published; there may be one."""
        return self._redis.pubsub()

    async def close(self) -> None:
        for lane in list(self._on_their_way):
            lane.cancel()
        await asyncio.gather(*self._on_their_way, return_exceptions=True)
        self._fail_waiting(Unavailable("the store was closed"))
        await self._redis.aclose()
        await self._connections.close()

    async def _travel(self) -> None:
        try:
            while self._waiting:
                await self._carry(self._next_write())
        finally:  # in the same step as the last look: a lane that is done must not count for whoever asks next
            if lane := asyncio.current_task():
                self._on_their_way.discard(lane)

    async def _carry(self, together: Sequence[Waiting]) -> None:
        try:
            found = await self._exchange([command for commands, _ in together for command in commands])
        except BaseException as problem:  # also when cancelled: nobody may wait for ever
            _fail(together, problem)
            self._fail_waiting(problem)
            if isinstance(problem, Exception):
                return
            raise
        replies = iter(found)
        for commands, answer in together:
            own = [next(replies) for _ in commands]
            if not answer.done():
                answer.set_result(own)

    def _fail_waiting(self, problem: BaseException) -> None:
        waiting, self._waiting = self._waiting, []
        _fail(waiting, problem)

    def _next_write(self) -> list[Waiting]:
        size, count = 0, 0
        for commands, _ in self._waiting:
            if count and size + len(commands) > MOST_COMMANDS_PER_WRITE:
                break
            size += len(commands)
            count += 1
        together, self._waiting = self._waiting[:count], self._waiting[count:]
        return together

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self._pipeline(commands)
        undone = _undone(commands, replies)
        if undone:  # Redis forgot its scripts (restart, failover); those calls did nothing yet
            await self._pipeline([("SCRIPT", "LOAD", text) for text in SCRIPTS.values()])
            again = await self._pipeline([commands[place] for place in undone])
            for place, reply in zip(undone, again, strict=True):
                replies[place] = reply
        return replies

    async def _connected(self, connection: AbstractConnection) -> None:
        """Nothing travels on a new connection before it is known that the store is not a former state of itself."""
        await connection.on_connect()
        questions = self._witness.questions()
        if questions.calls:
            await connection.send_packed_command(connection.pack_commands(questions.calls))
            self._witness.judge(questions, [await connection.read_response() for _ in questions.calls])
        if self._witness.pauses:
            raise RedisConnectionError("the store went backwards")

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        closing = self._confirmation.closing(commands) if self._confirmation else ()
        try:
            replies = await self._exchanges.of((*commands, *closing))
        except (RedisError, OSError) as problem:
            raise Unavailable(f"Redis does not answer: {type(problem).__name__}") from problem
        if not self._confirmation:
            return replies
        confirmed = self._confirmation.confirmed(commands, replies)
        if any(isinstance(reply, Unavailable) for reply in confirmed):
            self._exchanges.doubt()  # Sentinels may name another master by now
        return confirmed


def _undone(commands: Sequence[Command], replies: Sequence[Any]) -> list[int]:
    """The places of calls whose script was missing, and of announcements after them: those told of nothing."""
    missing = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    told_too_early = (
        (place for place in range(missing[0], len(commands)) if commands[place][0] in ANNOUNCEMENTS) if missing else ()
    )
    return sorted({*missing, *told_too_early})


def _fail(together: Sequence[Waiting], problem: BaseException) -> None:
    told = problem if isinstance(problem, Unavailable) else Unavailable(f"the connection ended: {problem!r}")
    for _, answer in together:
        if not answer.done():
            answer.set_exception(told)
