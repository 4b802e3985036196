"""Many Subscriptions at once, as they are when they have been served for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from hub.domain.delivery import Attempt, Outcome, OutcomeKind, RetryPolicy, judge
from hub.store.agenda import MOST_PER_CALL, Hold, Settlement
from tests.store.factories import Lab

WRITTEN_AT_ONCE = 100


async def make_idle(lab: Lab, names: Sequence[str], **channel: object) -> None:
    """Create them and shake hands: what is left to do for them is nothing, or a heartbeat."""
    for start in range(0, len(names), WRITTEN_AT_ONCE):
        await asyncio.gather(*(lab.put(name, **dict(channel)) for name in names[start : start + WRITTEN_AT_ONCE]))  # type: ignore[arg-type]
    while holds := await lab.claim(MOST_PER_CALL):
        await delivered(lab, holds)


async def give_event(lab: Lab, names: Sequence[str], at: int) -> None:
    """One event to each, delivered at once and by itself."""
    for start in range(0, len(names), MOST_PER_CALL):
        committed = await lab.commit(*(lab.match(at, name) for name in names[start : start + MOST_PER_CALL]))
        assert len(committed.holds) == len(committed.numbers)
        await delivered(lab, committed.holds)


async def delivered(lab: Lab, holds: Sequence[Hold]) -> None:
    """The endpoint of each answered 200 after 12 ms."""
    well = Outcome(OutcomeKind.DELIVERED, 200)
    settlements = [
        Settlement(
            hold,
            judge(hold.duty, hold.progress, well, RetryPolicy(), 0),
            Attempt(datetime.now(UTC), hold.duty, hold.numbers, well.kind, well.status, "", 0.012),
        )
        for hold in holds
    ]
    assert set(await lab.agenda.settle(0, settlements, again=False)) <= {True}
