"""The load: one process that writes as fast as it may (closed loop) or by a schedule fixed beforehand (open loop).

In the open loop a change's moment is the one that the schedule gives it, whether or not a connection was free then:
a server that stands still makes the latencies of everything that should have been sent meanwhile longer, as it would
for those who wait (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections import deque
from typing import Any

from hub.bench.child import obey, run
from hub.bench.connections import Connections
from hub.bench.counter import Counter
from hub.bench.requests import maker

TICK_SECONDS = 0.001
ATTEMPTS = 3
"""Of one request whose connection ends unanswered: servers close idle connections at any moment."""
NANOSECONDS = 1_000_000_000


class Load:
    """One job: ``seconds`` or ``count`` of requests over ``connections`` connections, at ``rate`` or at full speed.

    ``window``: with ``counter`` and ``matches`` the most notifications that may be under way.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._make = maker(job)
        self._rate: float = job.get("rate", 0)
        self._count: int = job.get("count", 0) or (int(self._rate * job["seconds"]) if self._rate else 0)
        self._window: int = job.get("window", 0)
        self._matches: int = job.get("matches", 1)
        self._counter = Counter(job["counter"]) if self._window else None
        self._arrived_before = self._counter.read() if self._counter else 0
        self._begin = self._end = 0
        self._next = 0
        self._moments: list[int] = []
        self._again: deque[int] = deque()
        self._attempts: Tally[int] = Tally()
        self._statuses: Tally[int] = Tally()
        self._accepted: dict[int, int] = {}
        self._answer_times: list[int] = []
        self._last = 0
        self._done = asyncio.Event()
        self._connections = Connections(job["host"], job["port"], self._answered)

    async def run(self) -> dict[str, Any]:
        """Times are monotonic nanoseconds, the same clock in every process of one machine."""
        await self._connections.open(self._job["connections"])
        self._begin = time.monotonic_ns()
        self._end = self._begin + int(self._job.get("seconds", 0) * NANOSECONDS)
        ticking = asyncio.create_task(self._tick())
        try:
            await asyncio.wait_for(self._done.wait(), self._job["deadline"])
        except TimeoutError:
            pass  # what was not answered is not accepted, and told as unanswered
        finally:
            ticking.cancel()
            self._connections.close()
        self._answer_times.sort()
        return {
            "sent": len(self._moments),
            "unanswered": len(self._moments) - sum(self._statuses.values()),
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "begin": self._begin,
            "last": self._last,
            "answer_times": self._answer_times,
            "accepted": list(self._accepted.items()) if self._job["what"] == "changes" else len(self._accepted),
        }

    async def _tick(self) -> None:
        while True:
            while self._connections.idle and (number := self._supply()) >= 0:
                self._send(number)
            if self._exhausted(time.monotonic_ns()) and sum(self._statuses.values()) == len(self._moments):
                self._done.set()
            await asyncio.sleep(TICK_SECONDS)

    def _supply(self) -> int:
        """The next request that is due, -1 when none is."""
        if self._again:
            return self._again.popleft()
        now = time.monotonic_ns()
        if self._exhausted(now) or not self._may_go(now):
            return -1
        number = self._next
        self._next += 1
        self._moments.append(self._due(number) if self._rate else now)
        return number

    def _due(self, number: int) -> int:
        return self._begin + int(number * NANOSECONDS / self._rate)

    def _exhausted(self, now: int) -> bool:
        return self._next >= self._count if self._count else now >= self._end

    def _may_go(self, now: int) -> bool:
        if self._rate:
            return self._due(self._next) <= now
        if self._counter is None:
            return True
        arrived = self._counter.read() - self._arrived_before
        return self._next * self._matches - arrived < self._window

    def _send(self, number: int) -> None:
        self._connections.idle.popleft().send(number, self._make(number))

    def _answered(self, number: int, status: int) -> None:
        now = time.monotonic_ns()
        if status == 0 and self._attempts[number] < ATTEMPTS - 1:
            self._attempts[number] += 1
            self._again.append(number)
            return
        self._statuses[status] += 1
        self._last = now
        if 200 <= status < 300:
            self._accepted[number] = self._moments[number]
            self._answer_times.append(now - self._moments[number])
        if self._connections.idle and (following := self._supply()) >= 0:
            self._send(following)


async def handle(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return await Load(job).run()
    except OSError as problem:
        return {"error": f"{job['host']}:{job['port']}: {problem}"}


async def main() -> int:
    return await obey({"ready": True}, handle)


if __name__ == "__main__":
    run(main)
