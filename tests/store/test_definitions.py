"""Definitions live apart from the small record; writing one is told to everybody (REDIS §3.2 corrections)."""

from __future__ import annotations

import pytest

from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.store.client import Store
from hub.store.conditional_write import WriteCode
from hub.store.registry import News, NewsKind, Registry
from hub.store.scripts import script
from hub.store.subscriptions import Definition
from tests.store.factories import Lab, subscription

KEY = SubscriptionKey("default", FhirVersion.R5, "a")
LARGEST_RECORD_BYTES = 160


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


async def put(lab: Lab, text: str, expected: int | None) -> WriteCode:
    definition = Definition(text, {"0": "5-1"}, "owner", "2026-01-01T00:00:00.000+00:00")
    written = await lab.subscriptions.put(
        KEY, subscription(), definition, expected_version=expected, status=Status.REQUESTED, verify_anew=True
    )
    return written.code


async def test_a_long_definition_leaves_the_record_small(lab: Lab) -> None:
    await put(lab, '{"long": "' + "x" * 50_000 + '"}', 0)
    (size,) = await lab.store.send(("HSTRLEN", "{d0}:m", str(KEY)))
    assert size < LARGEST_RECORD_BYTES


async def test_every_version_of_a_definition_can_be_read(lab: Lab) -> None:
    for number, text in enumerate(('{"v": 1}', '{"v": 2}')):
        assert await put(lab, text, number) is WriteCode.OK
    found = await lab.subscriptions.definitions([(str(KEY), version) for version in (1, 2, 3)])
    assert [each and each.resource for each in found] == ['{"v": 1}', '{"v": 2}', None]
    assert found[0] and found[0].since == {"0": "5-1"} and found[0].owner == "owner"


async def test_every_write_is_told(lab: Lab) -> None:
    registry = Registry(lab.store)
    start = await registry.newest_news()
    await put(lab, "{}", 0)
    await lab.subscriptions.remove(KEY, None)
    news, _ = await registry.news(start)
    assert [(item.kind, item.name) for item in news] == [(NewsKind.SUBSCRIPTION, str(KEY))] * 2
    again, missed = await registry.news(news[-1].id)
    assert (again, missed) == ([], False)


async def test_news_that_are_no_longer_held_are_missed_not_skipped(lab: Lab) -> None:
    registry = Registry(lab.store)
    await put(lab, "{}", 0)
    seen = await registry.newest_news()
    for number in range(1, 4):
        await put(lab, "{}", number)
    await lab.store.send(("XTRIM", "{reg}:log", "MAXLEN", 1))
    assert (await registry.news(seen))[1] is True
    assert (await registry.news("0-0"))[1] is True, "also for who began when there was no news yet"


async def test_news_come_in_order_and_the_newest_is_known(lab: Lab) -> None:
    registry = Registry(lab.store)
    assert await registry.newest_news() == "0-0"
    await put(lab, "{}", 0)
    (first,), _ = await registry.news("0-0")
    assert isinstance(first, News) and first.id == await registry.newest_news()


async def test_a_lease_outlives_the_attempt_it_is_for(lab: Lab) -> None:
    """An attempt may take its whole time-out; the lease must run on until it was written down."""
    await lab.activate("a", timeout_seconds=120)
    await lab.commit(lab.match(1, "a"))
    now = await lab.store.clock_milliseconds()
    (due,) = await lab.store.send(("ZSCORE", "{d0}:due", lab.name("a")))
    assert 120_000 + 4_500 < float(due) - now <= 120_000 + 5_000


async def test_settle_writes_what_it_is_told_and_decides_nothing(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    told = [
        str(hold.subscription), hold.fence, 3, 1, 7, 60_000, 0, 1, 0, 2, 0, 1, 0, '{"code": "error-response"}', 1, "{}",
        "an attempt", 0, 4, 0, 0,
    ]  # fmt: skip
    keys = ["{d0}:due", "{d0}:m", "{d0}:why", "{d0}:t", *(f"{{d0}}:{kind}:{lab.name('a')}" for kind in "exa")]
    assert await lab.store.send(script("settle", keys, [1, 20, *told])) == [[[1]]]
    record = await lab.record("a")
    assert (record.status, record.cursor, record.failures, record.refused) == (Status.ERROR, 1, 7, 2)
    assert record.error and record.not_before > await lab.store.clock_milliseconds() + 50_000
    assert await lab.store.send(script("settle", keys, [1, 20, *told])) == [[[0]]]
