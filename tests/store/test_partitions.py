"""OWN, ADVANCE, DISOWN: one evaluator at a time, and a restarted one at once (STORE §3, I12)."""

from __future__ import annotations

import asyncio

import pytest

from hub.domain.change import ChangeId
from hub.errors import Fenced
from hub.store.acceptance import Operation
from hub.store.agenda import CommitCode
from hub.store.changes import Changes, Lease
from hub.store.client import Store
from tests.store.factories import PARTITION, Lab, offer

LONG, SHORT = 60_000, 30


@pytest.fixture
def changes(store: Store) -> Changes:
    return Changes(store, most_waiting=1000)


async def own(changes: Changes, who: str, lease: int = LONG) -> Lease:
    """``who`` is the owner's name and the number of its life."""
    return await changes.own(PARTITION, who[:-1], who[-1], lease)


async def advance(changes: Changes, who: str, epoch: int, upto: ChangeId, count: int) -> None:
    await changes.advance(PARTITION, who[:-1], who[-1], epoch, upto, count, LONG)


async def test_nobody_else_gets_a_partition_while_its_lease_runs(changes: Changes) -> None:
    first = await own(changes, "hub1")
    assert first.epoch == 1
    assert (await own(changes, "other1")).epoch == 0
    assert (await own(changes, "hub1")).epoch == 1, "renewing is no takeover"


async def test_a_restarted_owner_takes_over_at_once_and_its_former_self_is_fenced(
    changes: Changes, store: Store
) -> None:
    lab = Lab(store)
    await lab.activate("a")
    former = await own(changes, "hub1")
    (accepted,) = await changes.accept(PARTITION, [offer("Patient/1")])
    assert accepted.id
    present = await own(changes, "hub2")
    assert present.epoch == former.epoch + 1
    await lab.commit(lab.match(1, "a"), epoch=present.epoch)
    assert (await lab.commit(lab.match(2, "a"), epoch=former.epoch)).code is CommitCode.FENCED
    with pytest.raises(Fenced):
        await advance(changes, "hub1", former.epoch, accepted.id, 1)
    await changes.disown(PARTITION, "hub", "1", former.epoch)
    assert (await own(changes, "other1")).epoch == 0, "a former self cannot give away what it lost"
    await advance(changes, "hub2", present.epoch, accepted.id, 1)
    assert await changes.lag(PARTITION) == 0


async def test_when_a_lease_ran_out_another_goes_on_after_the_cursor(changes: Changes) -> None:
    first, second = await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/2")])
    assert first.id and second.id
    lease = await own(changes, "hub1", SHORT)
    await changes.advance(PARTITION, "hub", "1", lease.epoch, first.id, 1, SHORT)
    await asyncio.sleep(0.05)
    other = await own(changes, "other1")
    assert (other.epoch, other.cursor) == (lease.epoch + 1, first.id)
    assert [entry.id for entry in await changes.after(PARTITION, other.cursor, 10)] == [second.id]
    with pytest.raises(Fenced):
        await advance(changes, "hub1", lease.epoch, second.id, 1)


async def test_advancing_again_counts_once(changes: Changes) -> None:
    *_, last = await changes.accept(PARTITION, [offer(f"Patient/{number}") for number in range(3)])
    assert last.id and await changes.lag(PARTITION) == 3
    lease = await own(changes, "hub1")
    for _ in range(2):
        await advance(changes, "hub1", lease.epoch, last.id, 3)
    assert await changes.lag(PARTITION) == 0


async def test_a_partition_given_back_is_free_at_once(changes: Changes) -> None:
    lease = await own(changes, "hub1")
    await changes.disown(PARTITION, "hub", "1", lease.epoch)
    assert (await own(changes, "other1")).epoch == lease.epoch + 1


async def test_loads_move_the_cursor_and_count_as_nothing(changes: Changes) -> None:
    (loaded,) = await changes.accept(PARTITION, [offer("Patient/1", Operation.LOAD)])
    assert loaded.id
    lease = await own(changes, "hub1")
    await advance(changes, "hub1", lease.epoch, loaded.id, 0)
    assert await changes.evaluated_upto(PARTITION) == loaded.id
    assert await changes.lag(PARTITION) == 0
