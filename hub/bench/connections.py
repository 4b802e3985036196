"""A lean HTTP/1.1 client: keep-alive connections that call back, so that the load costs little beside the server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

RECONNECT_SECONDS = 0.05


class Connections:
    """``count`` connections to one server. ``answered(change, status)`` is told of each answer.

    The connection that was idle longest is used first: servers close what is idle for long. A request whose connection
    ended before an answer is told as status 0.
    """

    def __init__(self, host: str, port: int, answered: Callable[[int, int], None]) -> None:
        self.host, self.port = host, port
        self.answered = answered
        self.idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self, count: int) -> None:
        """Raises OSError when the server does not listen."""
        for _ in range(count):
            await self._connect()

    def close(self) -> None:
        self._closing = True
        for task in self._reconnecting:
            task.cancel()
        for connection in self._open:
            connection.transport.close()

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if not self._closing:
            task = asyncio.get_running_loop().create_task(self._connect_again())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), self.host, self.port)
        self._open.add(connection)
        self.idle.append(connection)

    async def _connect_again(self) -> None:
        while not self._closing:
            try:
                await self._connect()
            except OSError:  # a server that is overwhelmed may refuse for a while
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return


class Connection(asyncio.Protocol):
    """One request at a time; idle again before its answer is told."""

    transport: asyncio.Transport

    def __init__(self, home: Connections) -> None:
        self._home = home
        self._change = -1
        self._parser = httptools.HttpResponseParser(self)

    def send(self, change: int, request: bytes) -> None:
        self._change = change
        self.transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200:  # 1xx: the answer follows
            return
        change, self._change = self._change, -1
        if self._parser.should_keep_alive():
            self._home.idle.append(self)
        else:
            self.transport.close()
        self._home.answered(change, status)

    def connection_lost(self, problem: Exception | None) -> None:
        change, self._change = self._change, -1
        self._home.lost(self)
        if change >= 0:
            self._home.answered(change, 0)
