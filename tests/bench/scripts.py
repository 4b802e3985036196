"""What COMMIT and SETTLE take of Redis for each match. One command, figures on standard output:

    python -m tests.bench.scripts [--together 27]

Microseconds that Redis spends inside the scripts (``INFO commandstats``), medians of 60 rounds, when so many
Subscriptions share a call: a match of an idle Subscription and of a busy one, an attempt after which the next event is
handed out at once, and one after which nothing waits.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

from hub.domain.delivery import Outcome, OutcomeKind, RetryPolicy, judge
from hub.store.agenda import Hold, Settlement
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import Layout
from tests.store.factories import Lab, attempted

ROUNDS, BACKLOG = 60, 3
Result = TypeVar("Result")


def settlements(holds: Sequence[Hold]) -> list[Settlement]:
    """Every attempt went well."""
    outcome = Outcome(OutcomeKind.DELIVERED, 200)
    return [
        Settlement(each, judge(each.duty, each.progress, outcome, RetryPolicy(), 0), attempted(each)) for each in holds
    ]


class Clock:
    """How long Redis was inside scripts."""

    def __init__(self, store: Store, together: int) -> None:
        self._store = store
        self._together = together
        self.found: dict[str, list[float]] = {}

    async def of(self, what: str, call: Awaitable[Result]) -> Result:
        before = await self._spent()
        result = await call
        self.found.setdefault(what, []).append((await self._spent() - before) / self._together)
        return result

    async def _spent(self) -> float:
        (told,) = await self._store.send(("INFO", "commandstats"))
        return float(told["cmdstat_evalsha"]["usec"])


async def main(together: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder))
        store = Store(await server.start(), Layout(1, 1))
        await store.start(durability="local", accept_unverified=False)
        lab, clock = Lab(store), Clock(store, together)
        names = [f"s{number}" for number in range(together)]
        await lab.activate(*names, max_count=1)
        for first in range(1, ROUNDS * (BACKLOG + 1), BACKLOG + 1):
            committed = await clock.of("COMMIT, idle", lab.commit(*(lab.match(first, name) for name in names)))
            for at in range(first + 1, first + 1 + BACKLOG):
                await clock.of("COMMIT, busy", lab.commit(*(lab.match(at, name) for name in names)))
            holds = list(committed.holds)
            for _ in range(BACKLOG):
                found = await clock.of("SETTLE, more waits", lab.agenda.settle(0, settlements(holds), again=True))
                holds = [each for each in found if isinstance(each, Hold)]
            await clock.of("SETTLE, the last", lab.agenda.settle(0, settlements(holds), again=True))
        for what, spent in clock.found.items():
            print(f"{what:20} {statistics.median(spent):5.1f} µs for each of {together}")
        await store.close()
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--together", type=int, default=27)
    asyncio.run(main(parser.parse_args().together))
