"""How Redis is reached: by URL, or by asking Sentinels where the master is.

``redis+sentinel://[user:password@]host:port[,host:port…]/service[/database]``, ``rediss+sentinel://…`` with TLS to the
servers. Name and password are those of the servers; those of the Sentinels are the query parameters
``sentinel_username`` and ``sentinel_password``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis
from redis.asyncio import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from hub.errors import CannotStart

CONNECT_TIMEOUT_SECONDS = 2.0
SENTINEL_TIMEOUT_SECONDS = 1.0
DEFAULT_SENTINEL_PORT = 26379
SCHEMES = ("redis+sentinel", "rediss+sentinel")


Greeting = Callable[[Any], Awaitable[None]]
"""Called with every new connection before anything travels on it."""


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


class _Master(_PackedByHiredis, SentinelManagedConnection):
    pass


class _MasterOverTls(_PackedByHiredis, SentinelManagedSSLConnection):
    pass


class Connections:
    """At most ``most`` connections to the one Redis that takes writes. Raises CannotStart for a bad URL."""

    def __init__(self, url: str, most: int, connected: Greeting) -> None:
        common = {
            "socket_timeout": None,  # whoever sends has one time-out for the whole of it
            "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "max_connections": most,
            "protocol": 2,
            "redis_connect_func": connected,
        }
        self._sentinel: Sentinel | None = None
        if url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
            self.pool = self._by_sentinel(url, common)
        else:
            self.pool = _by_url(url, common)

    def _by_sentinel(self, url: str, common: dict[str, Any]) -> ConnectionPool:
        try:
            sentinels, service, options, of_sentinels = read_sentinel_url(url)
        except ValueError as problem:
            raise CannotStart(f"HUB_REDIS_URL cannot be read: {problem}") from problem
        once = {
            "socket_timeout": SENTINEL_TIMEOUT_SECONDS,
            "socket_connect_timeout": SENTINEL_TIMEOUT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
        self._sentinel = Sentinel(sentinels, sentinel_kwargs=once | of_sentinels)  # type: ignore[no-untyped-call]
        kind = _MasterOverTls if url.startswith("rediss") else _Master
        return SentinelConnectionPool(  # type: ignore[no-untyped-call]
            service, self._sentinel, connection_class=kind, **(common | options)
        )

    async def close(self) -> None:
        await self.pool.disconnect()
        if self._sentinel:
            await self._sentinel.aclose()


def _by_url(url: str, common: dict[str, Any]) -> ConnectionPool:
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError as problem:
        raise CannotStart(f"HUB_REDIS_URL cannot be read: {problem}") from problem
    found = options.pop("connection_class", Connection)
    kind = _Unix if found is UnixDomainSocketConnection else _Tls if found is SSLConnection else _Tcp
    return ConnectionPool(connection_class=kind, **(common | options))


def read_sentinel_url(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """(Sentinels, name of the service, options of its servers, options of the Sentinels). Raises ValueError."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise ValueError("write redis+sentinel://host:port,host:port/service")
    user, _, password = login.partition(":")
    options: dict[str, Any] = {"username": unquote(user) or None, "password": unquote(password) or None}
    if database:
        if not database.isdigit():
            raise ValueError(f"{database} is no number of a database")
        options["db"] = int(database)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(query) - {"sentinel_username", "sentinel_password"})
    if unknown:
        raise ValueError(f"{unknown[0]} is no option here; there are sentinel_username and sentinel_password")
    of_sentinels = {name.removeprefix("sentinel_"): value for name, value in query.items()}
    return [_address(each) for each in hosts.split(",")], unquote(service), options, of_sentinels


def _address(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":") if written.count(":") == 1 or "]:" in written else (written, "", "")
    if port and not port.isdigit():
        raise ValueError(f"{written} is no host:port")
    if not host:
        raise ValueError("a Sentinel has no host")
    return host.strip("[]"), int(port or DEFAULT_SENTINEL_PORT)
