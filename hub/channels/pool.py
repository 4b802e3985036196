"""Connections kept open between notifications, per scheme, host and port.

The last one used is taken first (LIFO): few stay warm, the others grow old and are closed. A host has at most
``per_host`` connections, idle ones included: an attempt holds a slot while it lasts, and a new connection is opened
only when no idle one is left. Nothing is ever closed under an attempt but by ``aclose``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hub.channels.connection import Connection

LaneKey = tuple[str, str, int]
CONNECTION_SECONDS = 300.0
"""A connection that is always busy would never notice that its host's name has moved."""


@dataclass(slots=True)
class Lane:
    """The way to one host: ``slots`` for its attempts, ``idle`` its stack, ``users`` who are in it or wait for it."""

    key: LaneKey
    slots: asyncio.Semaphore
    idle: list[Connection] = field(default_factory=list)
    users: int = 0


class Pool:
    """Idle connections and slots; ``idle_limit`` counts all hosts, ``idle_seconds`` is how long one is kept."""

    def __init__(self, *, per_host: int, idle_limit: int, idle_seconds: float) -> None:
        self._per_host = per_host
        self._idle_limit = idle_limit
        self._idle_seconds = idle_seconds
        self._lanes: dict[LaneKey, Lane] = {}
        self._idle: dict[Connection, tuple[Lane, float]] = {}  # longest idle first
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None

    @property
    def open_count(self) -> int:
        """Connections that are open, idle or in use."""
        return len(self._open)

    @property
    def idle_count(self) -> int:
        return len(self._idle)

    @property
    def lane_count(self) -> int:
        """Hosts that have an attempt or an idle connection; others leave no trace."""
        return len(self._lanes)

    def new_connection(self) -> Connection:
        """A connection that is still to be made; the pool knows of it from ``adopt`` until it is lost."""
        return Connection(self._lost)

    def adopt(self, connection: Connection) -> None:
        """Count a connection that was made; one whose making was cancelled the event loop closes by itself."""
        if not connection.is_lost:
            self._open.add(connection)

    def enter(self, key: LaneKey) -> Lane:
        """The lane of this host; every ``enter`` is followed by one ``leave``."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, asyncio.Semaphore(self._per_host))
        lane.users += 1
        return lane

    def leave(self, lane: Lane) -> None:
        lane.users -= 1
        self._drop_if_unused(lane)

    def take(self, lane: Lane) -> Connection | None:
        """The idle connection used last, or None; stale ones are closed on the way, with nothing sent on them."""
        while lane.idle:
            connection = lane.idle.pop()
            del self._idle[connection]
            if not connection.stale:
                return connection
            connection.abort()
        return None

    def keep(self, lane: Lane, connection: Connection) -> None:
        """Keep a connection for the next attempt when it is fit for one, else close it."""
        now = connection.now
        if self._emptied is not None or not connection.reusable or now - connection.opened_at > CONNECTION_SECONDS:
            connection.abort()
            return
        lane.idle.append(connection)
        self._idle[connection] = (lane, now)
        if len(self._idle) > self._idle_limit:
            self._close_oldest()
        if self._sweeper is None:
            self._watch()

    async def aclose(self) -> None:
        """Cut every connection; wait until all sockets are closed and all attempts have left their lanes."""
        self._emptied = asyncio.Event()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._open):
            connection.abort()
        self._announce_when_empty()
        await self._emptied.wait()

    def _watch(self) -> None:
        if self._idle:
            _, since = next(iter(self._idle.values()))
            self._sweeper = asyncio.get_running_loop().call_at(since + self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        limit = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle and next(iter(self._idle.values()))[1] <= limit:
            self._close_oldest()
        self._watch()

    def _close_oldest(self) -> None:
        connection = next(iter(self._idle))
        self._forget(connection)
        connection.abort()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._forget(connection)
        self._announce_when_empty()

    def _forget(self, connection: Connection) -> None:
        if connection in self._idle:
            lane, _ = self._idle.pop(connection)
            lane.idle.remove(connection)
            self._drop_if_unused(lane)

    def _drop_if_unused(self, lane: Lane) -> None:
        if not lane.users and not lane.idle:
            self._lanes.pop(lane.key, None)
            self._announce_when_empty()

    def _announce_when_empty(self) -> None:
        if self._emptied is not None and not self._open and not self._lanes:
            self._emptied.set()
