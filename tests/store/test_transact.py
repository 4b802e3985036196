"""ACCEPT's further parts: transactions, conditions, loads, and how repeats of them are told the same (ruling 26)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.domain.change import ChangeId, Interaction
from hub.domain.versions import FhirVersion
from hub.store.acceptance import Code, Offer, Operation, Transacted, Whole
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.keys import Layout
from tests.store.factories import PARTITION, offer, resource_key

TOKEN, OTHER = "a" * 32, "b" * 32
WHOLE = Whole(PARTITION, "kwhole", "f1")


@pytest.fixture
def changes(store: Store) -> Changes:
    return Changes(store, most_waiting=1000)


@pytest.fixture
async def spread(redis_url: str) -> AsyncIterator[Changes]:
    store = Store(redis_url, Layout(partitions=4, shards=1))
    await store.send(("FLUSHALL",))
    yield Changes(store, most_waiting=1000)
    await store.close()


async def transact(changes: Changes, *offers: Offer, whole: Whole | None = None) -> Transacted:
    return await changes.transact({str(place): each for place, each in enumerate(offers)}, whole)


def codes(done: Transacted) -> list[Code]:
    return [answer.code for answer in done.answers.values()]


async def everything(store: Store) -> dict[bytes, object]:
    (keys,) = await store.send(("KEYS", "*"))
    return {key: (await store.send(("DUMP", key)))[0] for key in keys}


async def test_one_that_cannot_be_keeps_all_from_being(changes: Changes, store: Store) -> None:
    await changes.accept(PARTITION, [offer("Patient/1")])
    before = await everything(store)
    for wrong in (
        offer("Patient/1", expected_version=7), offer("Patient/9", Operation.DELETE),
        offer("Patient/1", Operation.CREATE), offer("Patient/3", Operation.CREATE, condition=TOKEN, finds="7"),
    ):  # fmt: skip
        for offers in ((offer("Patient/2"), wrong), (wrong, offer("Patient/2"))):
            done = await transact(changes, *offers, whole=WHOLE)
            assert not done.written and sum(code is Code.SAME for code in codes(done)) == 1
    assert await everything(store) == before


async def test_a_full_queue_refuses_a_transaction_as_a_whole(store: Store) -> None:
    changes = Changes(store, most_waiting=2)
    done = await transact(changes, *(offer(f"Patient/{number}") for number in range(5)))
    assert done.written and await changes.lag(PARTITION) == 5  # the last that is let in is let in whole
    done = await transact(changes, offer("Patient/7"), offer("Patient/8"))
    assert (done.written, codes(done)) == (False, [Code.BUSY] * 2)


async def test_later_offers_of_a_transaction_see_what_earlier_ones_make(changes: Changes) -> None:
    load, delete = offer("Patient/1", Operation.LOAD, b"before"), offer("Patient/1", Operation.DELETE, b"")
    done = await transact(changes, load, delete)
    loaded, deleted = done.answers.values()
    assert (deleted.interaction, deleted.version, deleted.previous) == (Interaction.DELETE, 2, str(loaded.id))


async def test_a_repeated_transaction_is_told_the_same_and_done_once(changes: Changes) -> None:
    offers = (
        offer("Patient/1", Operation.CREATE, identifiers=(TOKEN,)), offer("Patient/2"),
        offer("Patient/2", Operation.DELETE),
    )  # fmt: skip
    first = await transact(changes, *offers, whole=WHOLE)
    found = await transact(
        changes, offer("Patient/3", Operation.CREATE, condition=TOKEN, finds="1"), whole=Whole(PARTITION, "k2", "f2")
    )
    assert codes(found) == [Code.FOUND] and found.answers["0"].reference == "Patient/1"
    for again in (await transact(changes, *offers, whole=WHOLE), await changes.transacted(WHOLE)):
        assert again and again.fingerprint == "f1" and codes(again) == [Code.REPEAT] * 3
        for place, answer in again.answers.items():
            told = first.answers[place]
            assert (answer.id, answer.version, answer.interaction) == (told.id, told.version, told.interaction)
            assert answer.reference == offers[int(place)].key.reference
    told_again = await changes.transacted(Whole(PARTITION, "k2", ""))
    assert told_again and (told_again.answers["0"].id, told_again.answers["0"].reference) == (None, "Patient/1")
    assert await changes.transacted(Whole(PARTITION, "k3", "")) is None


async def test_a_refused_transaction_leaves_no_record(changes: Changes) -> None:
    await transact(changes, offer("Patient/9", Operation.DELETE), whole=WHOLE)
    assert await changes.transacted(WHOLE) is None
    assert (await transact(changes, offer("Patient/9"), whole=WHOLE)).written


async def test_a_condition_is_looked_up_again_at_the_moment_of_writing(changes: Changes) -> None:
    def create(identity: str, finds: str = "") -> Offer:
        return offer(
            f"Patient/{identity}", Operation.CREATE, identifiers=(TOKEN,), condition=TOKEN, finds=finds
        )  # fmt: skip

    first, second = await changes.accept(PARTITION, [create("1"), create("2")])
    assert (first.code, second.code) == (Code.OK, Code.MOVED)
    (found,) = await changes.accept(PARTITION, [create("3", finds="1")])
    assert (found.code, found.reference, found.id) == (Code.FOUND, "Patient/1", None)
    await changes.accept(PARTITION, [offer("Patient/1", Operation.DELETE)])
    assert [answer.code for answer in await changes.accept(PARTITION, [create("4", finds="1"), create("5")])] == [
        Code.MOVED, Code.OK,
    ]  # fmt: skip


async def test_identifiers_are_found_exactly_as_long_as_they_are_carried(changes: Changes, store: Store) -> None:
    async def found(token: str) -> list[str]:
        return await changes.found_by([PARTITION], token)

    await changes.accept(
        PARTITION, [offer("Patient/a", identifiers=(TOKEN, OTHER)), offer("Patient/b", identifiers=(OTHER,))]
    )
    assert (await found(TOKEN), await found(OTHER), await found("c" * 32)) == (["a"], ["a", "b"], [])
    await changes.accept(PARTITION, [offer("Patient/a", identifiers=(TOKEN,)), offer("Patient/b", Operation.DELETE)])
    assert (await found(TOKEN), await found(OTHER)) == (["a"], [])
    await changes.accept(PARTITION, [offer("Patient/a", Operation.DELETE)])
    assert await store.send(("EXISTS", PARTITION.key("ids"), PARTITION.key("rid"))) == [0]


async def test_conditions_of_two_partitions_see_each_other(spread: Changes) -> None:
    async def create(identity: str) -> Code:
        one = offer(f"Patient/{identity}", Operation.CREATE, identifiers=(TOKEN,), condition=TOKEN)
        return (await transact(spread, one)).answers["0"].code

    found = await asyncio.gather(*(create(str(number)) for number in range(12)))
    assert sorted(found) == [Code.MOVED] * 11 + [Code.OK]


async def test_a_transaction_over_partitions_is_written_in_each(spread: Changes) -> None:
    whole = Whole(Layout(partitions=4).partitions_of("default", FhirVersion.R5)[0], "k", "f")
    done = await transact(spread, *(offer(f"Patient/{number}") for number in range(12)), whole=whole)
    assert done.written and codes(done) == [Code.OK] * 12
    partitions = Layout(partitions=4).partitions_of("default", FhirVersion.R5)
    assert sum([await spread.lag(partition) for partition in partitions]) == 12
    assert (await transact(spread, *(offer(f"Patient/{number}") for number in range(12)), whole=whole)).fingerprint
    assert sum([await spread.lag(partition) for partition in partitions]) == 12


async def test_what_a_request_was_told_is_remembered(changes: Changes) -> None:
    asked = offer("Patient/1", idempotency="k1", fingerprint="f1")
    (first,) = await changes.accept(PARTITION, [asked])
    remembered = await changes.remembered([PARTITION], "k1")
    assert remembered and remembered[0] == "f1"
    assert (remembered[1].id, remembered[1].reference, remembered[1].code) == (first.id, "Patient/1", Code.REPEAT)
    assert await changes.remembered([PARTITION], "k2") is None


async def test_a_load_of_the_same_bytes_is_no_change_even_when_they_left_the_stream(changes: Changes) -> None:
    load = offer("Patient/1", Operation.LOAD, b"{}")
    (first,) = await changes.accept(PARTITION, [load])
    assert first.id
    lease = await changes.own(PARTITION, "me", "1", 10_000)
    await changes.advance(PARTITION, "me", "1", lease.epoch, first.id, 0, 10_000)
    await changes.accept(PARTITION, [load])
    assert await changes.retire(PARTITION, await changes.oldest(PARTITION, 10)) == 1
    (same,) = await changes.accept(PARTITION, [load])
    (other,) = await changes.accept(PARTITION, [offer("Patient/1", Operation.LOAD, b"{ }")])
    assert (same.code, same.version, other.code, other.version) == (Code.SAME, 1, Code.OK, 2)


async def test_a_load_gives_way_to_what_a_change_has_told_later(changes: Changes) -> None:
    async def load(as_of: int | None) -> Code:
        one = offer("Patient/1", Operation.LOAD, b"loaded %d" % (as_of or 0), as_of=as_of)
        return (await changes.accept(PARTITION, [one]))[0].code

    assert await load(0) is Code.OK  # nothing is known
    assert await load(5) is Code.OK  # only a load is known
    (changed,) = await changes.accept(PARTITION, [offer("Patient/1", body=b"changed")])
    assert changed.id
    assert await load(changed.id.milliseconds) is Code.SAME
    assert await load(changed.id.milliseconds + 1) is Code.OK
    (deleted,) = await changes.accept(PARTITION, [offer("Patient/1", Operation.DELETE, b"")])
    assert await load(0) is Code.SAME
    assert deleted.id and await load(None) is Code.OK


async def test_history_goes_back_from_any_change_of_the_resource(changes: Changes) -> None:
    key = resource_key("Patient/1")
    made = await changes.accept(PARTITION, [offer("Patient/1", body=b"%d" % number) for number in range(6)])
    await changes.accept(PARTITION, [offer("Patient/2")])
    found = await changes.history(PARTITION, key, 2)
    assert [entry.version for entry in found] == [6, 5]
    rest = await changes.history(PARTITION, key, 10, ChangeId.parse(found[-1].previous))
    assert [(entry.version, entry.body) for entry in rest] == [(n, b"%d" % (n - 1)) for n in (4, 3, 2, 1)]
    assert await changes.history(PARTITION, resource_key("Patient/2"), 10, made[2].id) == []
    assert await changes.history(PARTITION, resource_key("Patient/3"), 10) == []
