"""A few connections to Redis, shared by everything in the process.

Callers never wait for a connection each: what is asked while a lane is on its way travels together with the next one,
in one write (and, with AOF ``always``, one fsync). So the number of connections is fixed, however many attempts run.

Nothing is sent twice on its own: the automatic retries of redis-py are off on purpose, because only the caller knows
whether repeating is wanted. Any doubt (lost connection, time-out) is ``Unavailable`` for everybody who travelled along;
and for everybody who still waits, so that nobody waits for one time-out after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.client import PubSub
from redis.asyncio.connection import parse_url
from redis.exceptions import NoScriptError, RedisError

from hub.errors import CannotStart, Unavailable
from hub.store.scripts import SCRIPTS, Command

LANES = 4
MOST_COMMANDS_PER_WRITE = 256
CONNECT_TIMEOUT_SECONDS = 2.0
REPLY_TIMEOUT_SECONDS = 10.0
ANNOUNCEMENTS = ("XADD", "PUBLISH")

Waiting = tuple[Sequence[Command], "asyncio.Future[list[Any]]"]


class _PackedByHiredis:
    """redis-py packs asyncio commands in Python even with hiredis installed: a quarter of the hub's CPU."""

    def pack_command(self, *arguments: Any) -> list[bytes]:
        name = arguments[0].encode() if isinstance(arguments[0], str) else arguments[0]
        parts = (*name.split(), *arguments[1:]) if b" " in name else arguments
        return [hiredis.pack_command(parts)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(self.pack_command(*command)[0] for command in commands)]


class _Tcp(_PackedByHiredis, Connection):
    pass


class _Unix(_PackedByHiredis, UnixDomainSocketConnection):
    pass


class _Tls(_PackedByHiredis, SSLConnection):
    pass


def _pool(url: str) -> ConnectionPool:
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError as problem:
        raise CannotStart(f"HUB_REDIS_URL cannot be read: {problem}") from problem
    found = options.pop("connection_class", Connection)
    kind = _Unix if found is UnixDomainSocketConnection else _Tls if found is SSLConnection else _Tcp
    options.setdefault("socket_timeout", REPLY_TIMEOUT_SECONDS)
    options.setdefault("socket_connect_timeout", CONNECT_TIMEOUT_SECONDS)
    return ConnectionPool(connection_class=kind, max_connections=LANES + 1, protocol=2, **options)


class Lanes:
    """``send`` puts commands on the next lane that is free."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis(connection_pool=_pool(url))
        self._waiting: list[Waiting] = []
        self._on_their_way: set[asyncio.Task[None]] = set()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; what Redis refused is an exception among them. Raises Unavailable."""
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
        await self._redis.connection_pool.disconnect()

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

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as problem:
            raise Unavailable(f"Redis does not answer: {type(problem).__name__}") from problem


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
