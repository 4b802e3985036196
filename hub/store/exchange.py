"""Writes of many commands over the connections of a pool, each with one time-out from connecting to the last reply.

redis-py's own pipeline does the same at several times the processor time: it borrows a connection for every write, and
sets a time-out and keeps statistics for every reply.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from hub.store.scripts import Command


class Exchange:
    """Borrows as many connections as are ever in use at once, and keeps them until the pool is closed.

    ``readers`` say by command how its reply is to be read; what is not named is left as it comes.
    """

    def __init__(self, pool: ConnectionPool, seconds: float, readers: Mapping[Any, Any]) -> None:
        self._pool = pool
        self._seconds = seconds
        self._readers = readers
        self._idle: list[AbstractConnection] = []
        self._borrowed_since: dict[AbstractConnection, int] = {}
        self._doubts = 0

    async def of(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; what Redis refused is an exception among them.

        Raises RedisError, OSError or TimeoutError when there is any doubt what became of them; nothing is sent again.
        """
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(self._seconds):
                connection = await self._ready()
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await self._reply(connection, str(command[0])) for command in commands]
        except BaseException:  # also when cancelled: a reply left unread would go to whoever comes next
            if connection:
                await connection.disconnect(nowait=True)
            raise
        finally:
            if connection:
                self._idle.append(connection)

    def doubt(self) -> None:
        """Connect anew before anything else is sent: who answers there may no longer be whom we want."""
        self._doubts += 1

    async def _ready(self) -> AbstractConnection:
        if not self._idle:
            borrowed: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            self._borrowed_since[borrowed] = self._doubts
            return borrowed
        connection = self._idle.pop()
        try:
            if self._borrowed_since[connection] != self._doubts:
                await connection.disconnect()
                self._borrowed_since[connection] = self._doubts
            await self._pool.ensure_connection(connection)
        except BaseException:  # it stays ours, and is connected by whoever needs it next
            self._idle.append(connection)
            raise
        return connection

    async def _reply(self, connection: AbstractConnection, command: str) -> Any:
        try:
            reply = await connection.read_response(timeout=math.inf)
        except ResponseError as refusal:
            return refusal
        read = self._readers.get(command)
        return read(reply) if read else reply
