"""Turns: how many attempts go to one host at a time, so that hosts that hang cannot use up all of them.

Each host has a window: it opens by one with every attempt that went well, and shuts to one attempt at a time with the
first that did not. Hosts whose last attempt went wrong, and those never tried, share a part of all turns (the
bulkhead), one after another; so however many of them are dead, the rest is left to hosts that answer. A host that has
kept an attempt waiting for STALL_SECONDS counts as unproven until it answers, and that attempt no longer counts among
those that run: many hosts may die in the same moment, and their time-outs are long.

An attempt that waits for its turn takes no room from attempts to other hosts. If its turn comes too late for its lease,
it is not begun: the Subscription is claimed again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

FIRST_WINDOW = 2
STALL_SECONDS = 0.25
"""Far longer than a receiver takes that answers first and works later, far shorter than what a person would notice."""
MOST_STALLED = 3
"""Stalled attempts per attempt that may run; each costs a socket and its bytes."""
MOST_HOSTS_REMEMBERED = 10_000


@dataclass(slots=True)
class _Host:
    name: str
    window: int = FIRST_WINDOW
    proven: bool = False
    """Did its last attempt go well."""
    taken: int = 0
    waiting: deque[Turn] = field(default_factory=deque)
    queued: bool = False


class Turn:
    """An attempt's turn at a host, kept for the block of ``async with``."""

    __slots__ = ("_host", "_turns", "_waits", "given", "in_bulkhead")

    def __init__(self, turns: Turns, host: _Host) -> None:
        self._turns = turns
        self._host = host
        self._waits: asyncio.Future[None] | None = None
        self.given = False
        self.in_bulkhead = False

    async def __aenter__(self) -> None:
        self._turns.queue(self._host, self)
        if self.given:
            return
        self._waits = asyncio.get_running_loop().create_future()
        try:
            await self._waits
        except asyncio.CancelledError:
            self._turns.leave(self._host, self)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave(self._host, self)

    def give(self, *, in_bulkhead: bool) -> None:
        self.given, self.in_bulkhead = True, in_bulkhead
        if self._waits and not self._waits.done():
            self._waits.set_result(None)


class Turns:
    """At most ``per_host`` attempts at a time to each host, at most ``most_unproven`` to all unproven ones together.

    ``taken`` are the turns in use, over all hosts.
    """

    def __init__(self, per_host: int, most_unproven: int) -> None:
        self.taken = 0
        self.taken_by_unproven = 0
        self._running: dict[Turn, tuple[_Host, float]] = {}
        """Turns that have not stalled, the oldest first, and since when (loop time)."""
        self._per_host = per_host
        self._most_unproven = max(1, most_unproven)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._queue: deque[_Host] = deque()
        """Unproven hosts that have somebody waiting and room in their window, in the order of their turns."""
        self._changed: dict[str, bool] = {}

    def of(self, name: str) -> Turn:
        """Wait for a turn at this host and keep it for the block."""
        return Turn(self, self._host(name))

    def queue(self, host: _Host, turn: Turn) -> None:
        """``turn`` is given at once or later, whenever others leave."""
        self._notice_stalls()
        host.waiting.append(turn)
        self._hand_out(host)

    def leave(self, host: _Host, turn: Turn) -> None:
        """It is over, or no longer waited for."""
        if turn.given:
            self._give_back(host, turn)
        else:
            host.waiting.remove(turn)
        self._forget_some()

    def told(self, name: str, *, well: bool) -> None:
        """How an attempt at this host went."""
        host = self._host(name)
        if host.proven is not well:
            host.proven = self._changed[name] = well
        host.window = min(host.window + 1, self._per_host) if well else 1
        self._hand_out(host)

    def remember(self, proven: Iterable[str]) -> None:
        """The hosts whose last attempt went well before this process began."""
        for name in proven:
            self._host(name).proven = True
        self._forget_some()

    def take_changes(self) -> dict[str, bool]:
        """The hosts that became proven (True) or unproven since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def room(self, most: int) -> int:
        """How many more attempts may run when ``most`` may at a time."""
        self._notice_stalls()
        return min(most - len(self._running), most * (1 + MOST_STALLED) - self.taken)

    def _notice_stalls(self) -> None:
        while self._running:
            turn, (host, since) = next(iter(self._running.items()))
            if asyncio.get_running_loop().time() - since < STALL_SECONDS:
                break
            del self._running[turn]
            if host.proven:
                host.proven = self._changed[host.name] = False

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name, min(FIRST_WINDOW, self._per_host))
        self._hosts.move_to_end(name)
        return host

    def _hand_out(self, host: _Host) -> None:
        while host.proven and host.waiting and host.taken < host.window:
            self._give(host, in_bulkhead=False)
        self._queue_up(host)
        while self._queue and self.taken_by_unproven < self._most_unproven:
            first = self._queue.popleft()
            first.queued = False
            if first.proven:
                self._hand_out(first)
            elif first.waiting and first.taken < first.window:
                self._give(first, in_bulkhead=True)
                self._queue_up(first)

    def _queue_up(self, host: _Host) -> None:
        if not host.queued and not host.proven and host.waiting and host.taken < host.window:
            host.queued = True
            self._queue.append(host)

    def _give(self, host: _Host, *, in_bulkhead: bool) -> None:
        host.taken += 1
        self.taken += 1
        self.taken_by_unproven += in_bulkhead
        turn = host.waiting.popleft()
        self._running[turn] = (host, asyncio.get_running_loop().time())
        turn.give(in_bulkhead=in_bulkhead)

    def _give_back(self, host: _Host, turn: Turn) -> None:
        host.taken -= 1
        self.taken -= 1
        self.taken_by_unproven -= turn.in_bulkhead
        self._running.pop(turn, None)
        self._hand_out(host)

    def _forget_some(self) -> None:
        while len(self._hosts) > MOST_HOSTS_REMEMBERED:
            name, oldest = next(iter(self._hosts.items()))
            if oldest.taken or oldest.waiting:
                break
            del self._hosts[name]
