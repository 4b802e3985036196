"""What Redis holds for what: an upper bound in bytes for each, with every key of the hub counted.

MEMORY USAGE is the measure; servers differ, so the figures in docs/performance.md name theirs. A Subscription is
counted without the key that holds its JSON, an event without its body and without what travels along.
"""

from __future__ import annotations

import pytest

from hub.intake.offers import new_id
from hub.store.changes import Changes
from hub.store.client import Store
from tests.store.factories import PARTITION, Lab, offer
from tests.store.populating import give_event, make_idle
from tests.store.weighing import grown, weigh

SUBSCRIPTIONS = 1500
WITH_EVENTS = 250
JSON = "d:s"
MOST_IDLE = 160
MOST_WITH_A_HEARTBEAT = 320
MOST_OF_AN_EVENT = 65
KEPT = 10
NOW = 1_790_000_000_000
BODY = bytes(range(256)) * 40


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


def besides_json(sizes: dict[str, int]) -> int:
    return sum(size for kind, size in sizes.items() if kind != JSON)


@pytest.mark.parametrize(
    ("channel", "most"),
    [({}, MOST_IDLE), ({"heartbeat_seconds": 3600.0}, MOST_WITH_A_HEARTBEAT)],
    ids=["idle", "beats"],
)
async def test_an_idle_subscription_takes_little(lab: Lab, channel: dict[str, object], most: int) -> None:
    before = await weigh(lab.store)
    await make_idle(lab, [new_id() for _ in range(SUBSCRIPTIONS)], **channel)
    sizes = grown(before, await weigh(lab.store))
    assert set(sizes) == {"d:m", JSON, "reg:log"} | ({"d:due"} if channel else set()), "no key of its own but its JSON"
    assert besides_json(sizes) / SUBSCRIPTIONS <= most, sizes


async def test_an_event_takes_a_reference_and_an_attempt(lab: Lab) -> None:
    names = sorted(new_id() for _ in range(WITH_EVENTS))
    await make_idle(lab, names)
    before = await weigh(lab.store)
    for at in range(KEPT):
        await give_event(lab, names, NOW + at)
    sizes = grown(before, await weigh(lab.store))
    assert {"d:e", "d:a"} <= set(sizes)
    assert besides_json(sizes) / WITH_EVENTS / KEPT <= MOST_OF_AN_EVENT, sizes


async def test_a_body_is_stored_once_however_many_it_concerns(lab: Lab) -> None:
    names = sorted(new_id() for _ in range(50))
    await make_idle(lab, names)
    changes = Changes(lab.store, most_waiting=100)
    before = await weigh(lab.store)
    (accepted,) = await changes.accept(PARTITION, [offer("Patient/1", body=BODY)])
    assert accepted.id
    await give_event(lab, names, accepted.id.milliseconds)
    sizes = grown(before, await weigh(lab.store))
    assert len(BODY) <= sizes.pop("P:chg") < 2 * len(BODY)
    assert max(size / keys for size, keys in ((sizes["d:e"], len(names)), (sizes["d:a"], len(names)))) < 300
    assert sum(sizes.values()) < 2 * 300 * len(names)


async def test_a_body_that_leaves_the_stream_is_still_stored_once(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=100)
    (accepted,) = await changes.accept(PARTITION, [offer("Patient/1", body=BODY)])
    assert accepted.id
    lease = await changes.own(PARTITION, "me", "1", 10_000)
    await changes.advance(PARTITION, "me", "1", lease.epoch, accepted.id, 1, 10_000)
    before = await weigh(lab.store)
    assert await changes.retire(PARTITION, await changes.oldest(PARTITION, 1)) == 1
    sizes = grown(before, await weigh(lab.store))
    assert sizes["P:b"] >= len(BODY) and sizes["P:chg"] <= -len(BODY)
