"""The connection to Redis: scripts, batches of calls, start-up checks.

Promises: every reply that this module returns was given by Redis after it was durable in the sense of its settings;
any doubt (lost connection, time-out, Redis refusing writes) is ``Unavailable``. Nothing is sent twice on its own: the
automatic retries of redis-py are off on purpose, because the caller knows whether repeating is wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import NoScriptError, RedisError

from hub.errors import CannotStart, Unavailable
from hub.store.keys import LAYOUT_KEY, Layout

SCRIPT_NAMES = (
    "accept", "advance", "claim", "commit", "disown", "own", "publish", "put", "read", "remove", "retire", "settle",
    "trim", "version",
)  # fmt: skip
NEEDS_RECORD = {"claim", "commit", "put", "read", "remove", "settle", "trim"}
CONNECT_TIMEOUT_SECONDS = 2.0
REPLY_TIMEOUT_SECONDS = 10.0
MOST_CONNECTIONS = 64

Argument = str | bytes | int | float
Command = tuple[Argument, ...]


def script_text(name: str) -> str:
    """The Lua of one script, with the record's places put before it where it needs them."""
    folder = resources.files("hub.store") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return (folder / "record.lua").read_text(encoding="utf-8") + text if name in NEEDS_RECORD else text


SCRIPTS = {name: script_text(name) for name in SCRIPT_NAMES}
DIGESTS = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}


def script(name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """One call of a script, to be sent with ``Store.send``."""
    return ("EVALSHA", DIGESTS[name], len(keys), *keys, *arguments)


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
    return ConnectionPool(connection_class=kind, max_connections=MOST_CONNECTIONS, protocol=2, **options)


class Store:
    """One Redis and the layout of the data in it. ``send`` is the only way in; the other rooms build the calls."""

    def __init__(self, url: str, layout: Layout) -> None:
        self.layout = layout
        self._redis: Redis = Redis(connection_pool=_pool(url))

    async def send(self, *commands: Command) -> list[Any]:
        """Send commands in one write and return their replies in order.

        Raises Unavailable when Redis does not answer, or answers any of them with an error.
        """
        replies = await self._pipeline(commands)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self._pipeline([("SCRIPT", "LOAD", text) for text in SCRIPTS.values()])
            replies = await self._pipeline(commands)  # safe: every script may run twice
        for reply in replies:
            if isinstance(reply, Exception):
                raise Unavailable(f"Redis refused: {reply}") from reply
        return replies

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as problem:
            raise Unavailable(f"Redis does not answer: {type(problem).__name__}") from problem

    async def start(self, *, durability: str, accept_unverified: bool) -> None:
        """Check that this Redis keeps what the durability level promises and that its data has our layout.

        Raises CannotStart with every reason at once (REDIS §2.2), Unavailable when Redis does not answer.
        """
        problems = [] if accept_unverified else await self._unfit_settings(durability)
        if problems:
            raise CannotStart(
                "Redis is not set up for durability level "
                f"{durability!r}: {'; '.join(problems)}. Set HUB_ACCEPT_UNVERIFIED_REDIS=1 only if you know better."
            )
        await self._check_layout()

    async def _unfit_settings(self, durability: str) -> list[str]:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec" if durability == "relaxed" else "always",
            "no-appendfsync-on-rewrite": "no",
            "maxmemory-policy": "noeviction",
        }
        replies = await self._pipeline([("CONFIG", "GET", name) for name in wanted])
        problems = []
        for (name, value), reply in zip(wanted.items(), replies, strict=True):
            if isinstance(reply, Exception):
                return ["CONFIG GET is not allowed, so its settings cannot be checked"]
            pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
            found = {_text(key): _text(text) for key, text in pairs}.get(name, "")
            stricter = name == "appendfsync" and found == "always"
            if found != value and not stricter:
                problems.append(f"{name} is {found!r}, needed is {value!r}")
        return problems

    async def _check_layout(self) -> None:
        _, found = await self.send(("SET", LAYOUT_KEY, str(self.layout), "NX"), ("GET", LAYOUT_KEY))
        if _text(found) != str(self.layout):
            _, partitions, shards = _text(found).split()
            raise CannotStart(
                f"the data in this Redis was laid out with HUB_PARTITIONS={partitions} and HUB_SHARDS={shards}; "
                "start with those, or with an empty Redis"
            )

    async def clock_milliseconds(self) -> int:
        """The clock that scripts use; also shows that Redis answers."""
        ((seconds, microseconds),) = await self.send(("TIME",))
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
