"""ACCEPT tells every process of a ValueSet in the step that changes it, and keeps which there are (I5)."""

from __future__ import annotations

import pytest

from hub.store.acceptance import Operation
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.keys import VALUE_SETS
from hub.store.registry import NewsKind
from hub.store.registry import Registry as RegistryLog
from hub.store.value_sets import ValueSetNames
from tests.store.factories import PARTITION, offer

A = "default|r5|a"


@pytest.fixture
def changes(store: Store) -> Changes:
    return Changes(store, most_waiting=1000)


async def told(store: Store) -> list[tuple[NewsKind, str]]:
    news, _ = await RegistryLog(store).news("0-0")
    return [(item.kind, item.name) for item in news]


async def test_every_version_is_told_once_and_its_deletion_too(store: Store, changes: Changes) -> None:
    names = ValueSetNames(store)
    await changes.accept(PARTITION, [offer("ValueSet/a"), offer("Patient/a"), offer("ValueSet/b", Operation.LOAD)])
    assert await told(store) == [(NewsKind.VALUE_SET, A), (NewsKind.VALUE_SET, "default|r5|b")]
    assert await names.all() == {A, "default|r5|b"}
    await changes.accept(PARTITION, [offer("ValueSet/a", Operation.DELETE)])
    await changes.accept(PARTITION, [offer("ValueSet/a", Operation.DELETE)])
    assert (await told(store))[2:] == [(NewsKind.VALUE_SET, A)]
    assert await names.all() == {"default|r5|b"}


async def test_what_writes_nothing_tells_nothing(store: Store, changes: Changes) -> None:
    await changes.accept(PARTITION, [offer("ValueSet/a", expected_version=3), offer("ValueSet/b", Operation.DELETE)])
    await changes.accept(PARTITION, [offer("ValueSet/a", Operation.EVENT), offer("Patient/a")])
    assert await told(store) == [] and await ValueSetNames(store).all() == set()


async def test_a_transaction_tells_of_all_or_of_none(store: Store, changes: Changes) -> None:
    stale = offer("ValueSet/b", expected_version=3)
    await changes.transact({"1": offer("ValueSet/a"), "2": stale})
    assert await told(store) == []
    await changes.transact({"1": offer("ValueSet/a"), "2": offer("Patient/a"), "3": offer("ValueSet/b")})
    assert [name for _, name in await told(store)] == [A, "default|r5|b"]


async def test_those_of_an_earlier_release_are_found_once(store: Store, changes: Changes) -> None:
    await changes.accept(PARTITION, [offer("ValueSet/a"), offer("ValueSetter/c")])
    await store.send(("DEL", VALUE_SETS))
    names = ValueSetNames(store)
    assert await names.all() == {A}
    await store.send(("DEL", VALUE_SETS))
    assert await names.all() == set()
