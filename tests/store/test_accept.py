"""ACCEPT: identify, de-duplicate, number the version, make durable (I1…I4)."""

from __future__ import annotations

import asyncio

import pytest

from hub.domain.change import ChangeId, Interaction
from hub.store.acceptance import Accepted, Code, Offer, Operation
from hub.store.changes import Changes
from hub.store.client import Store
from tests.store.factories import PARTITION, offer, resource_key


@pytest.fixture
def changes(store: Store) -> Changes:
    return Changes(store, most_waiting=1000)


async def accept(changes: Changes, *offers: Offer) -> list[Accepted]:
    return await changes.accept(PARTITION, offers)


async def test_a_put_of_an_unknown_id_is_a_create_and_the_next_one_an_update(changes: Changes) -> None:
    first, second = await accept(changes, offer("Patient/1"), offer("Patient/1"))
    assert (first.code, first.version, first.interaction) == (Code.OK, 1, Interaction.CREATE)
    assert (second.code, second.version, second.interaction) == (Code.OK, 2, Interaction.UPDATE)
    assert second.previous == str(first.id)


async def test_a_put_after_a_delete_is_a_create_again_with_the_version_going_on(changes: Changes) -> None:
    _, deleted, again = await accept(
        changes, offer("Patient/1"), offer("Patient/1", Operation.DELETE), offer("Patient/1")
    )
    assert (deleted.interaction, deleted.version) == (Interaction.DELETE, 2)
    assert (again.interaction, again.version) == (Interaction.CREATE, 3)


async def test_delete_tells_an_unknown_resource_from_a_deleted_one(changes: Changes) -> None:
    (absent,) = await accept(changes, offer("Patient/1", Operation.DELETE))
    _, _, gone = await accept(changes, offer("Patient/2"), *[offer("Patient/2", Operation.DELETE)] * 2)
    assert (absent.code, gone.code) == (Code.ABSENT, Code.GONE)


async def test_a_resource_that_was_elsewhere_before_is_an_update_with_no_previous(changes: Changes) -> None:
    (unseen,) = await accept(changes, offer("Patient/1", Operation.UNSEEN))
    assert (unseen.interaction, unseen.previous) == (Interaction.UPDATE, "-")


async def test_if_match_of_another_version_changes_nothing(changes: Changes) -> None:
    _, conflict = await accept(changes, offer("Patient/1"), offer("Patient/1", expected_version=7))
    assert (conflict.code, conflict.version) == (Code.CONFLICT, 1)
    (right,) = await accept(changes, offer("Patient/1", expected_version=1))
    assert right.version == 2


async def test_if_match_on_what_does_not_exist_is_a_conflict(changes: Changes) -> None:
    (conflict,) = await accept(changes, offer("Patient/1", expected_version=1))
    assert (conflict.code, conflict.version) == (Code.CONFLICT, 0)


async def test_the_same_request_twice_makes_one_version(changes: Changes) -> None:
    same = offer("Patient/1", idempotency="k1", fingerprint="f1")
    first, repeat = await accept(changes, same, same)
    (later,) = await accept(changes, same)
    assert first.code is Code.OK
    for again in (repeat, later):
        assert (again.code, again.id, again.version, again.interaction) == (
            Code.REPEAT, first.id, first.version, first.interaction,
        )  # fmt: skip


async def test_a_key_used_for_another_request_is_refused(changes: Changes) -> None:
    await accept(changes, offer("Patient/1", idempotency="k1", fingerprint="f1"))
    (reused,) = await accept(changes, offer("Patient/1", idempotency="k1", fingerprint="f2"))
    assert reused.code is Code.REUSED


async def test_intake_stops_before_more_waits_than_allowed(store: Store) -> None:
    changes = Changes(store, most_waiting=2)
    answers = await accept(changes, *(offer(f"Patient/{n}") for n in range(3)))
    assert [answer.code for answer in answers] == [Code.OK, Code.OK, Code.BUSY]


async def test_loaded_resources_are_heads_but_do_not_wait(store: Store) -> None:
    changes = Changes(store, most_waiting=1)
    answers = await accept(changes, *(offer(f"Patient/{n}", Operation.LOAD) for n in range(3)))
    assert [answer.code for answer in answers] == [Code.OK] * 3
    assert await changes.lag(PARTITION) == 0
    (update,) = await accept(changes, offer("Patient/0"))
    assert update.interaction is Interaction.UPDATE


async def test_every_version_can_be_read_back_byte_for_byte(changes: Changes) -> None:
    bodies = [b'{"v": 6.30}', b'{ "v":\t6.3 }', b""]
    await accept(
        changes,
        offer("Patient/1", body=bodies[0]),
        offer("Patient/1", body=bodies[1]),
        offer("Patient/1", Operation.DELETE, b""),
    )
    key = resource_key("Patient/1")
    found = [await changes.version(PARTITION, key, version) for version in (1, 2, 3, None)]
    assert [entry and entry.body for entry in found] == [*bodies, b""]
    assert found[3] and found[3].interaction is Interaction.DELETE
    assert await changes.version(PARTITION, key, 4) is None
    assert await changes.version(PARTITION, resource_key("Patient/2"), None) is None


async def test_a_present_version_outlives_the_stream_and_a_superseded_one_goes(changes: Changes) -> None:
    await accept(changes, offer("Patient/1", body=b"old"), offer("Patient/1", body=b"new" * 50), offer("Patient/2"))
    entries = await changes.oldest(PARTITION, 10)
    await own_upto(changes, entries[-1].id)
    assert await changes.retire(PARTITION, entries[:2]) == 2
    key = resource_key("Patient/1")
    head = await changes.version(PARTITION, key, None)
    assert head and head.body == b"new" * 50 and head.version == 2
    assert await changes.version(PARTITION, key, 1) is None
    (third,) = await accept(changes, offer("Patient/1", body=b"newest"))
    (previous,) = await changes.entries(PARTITION, [(ChangeId.parse(third.previous), "Patient/1")])
    assert previous and previous.body == b"new" * 50


async def test_what_is_not_evaluated_yet_is_never_retired(changes: Changes) -> None:
    first, _ = await accept(changes, offer("Patient/1"), offer("Patient/2"))
    entries = await changes.oldest(PARTITION, 10)
    assert await changes.retire(PARTITION, entries) == 0
    assert first.id
    await own_upto(changes, first.id)
    assert await changes.retire(PARTITION, entries) == 1


async def own_upto(changes: Changes, cursor: ChangeId) -> None:
    lease = await changes.own(PARTITION, "me", "1", 10_000)
    await changes.advance(PARTITION, "me", "1", lease.epoch, cursor, 0, 10_000)


async def test_an_owner_that_was_late_goes_on_when_nobody_took_its_partition(changes: Changes) -> None:
    """Otherwise a change that takes longer than the lease to judge would be judged again for ever."""
    first = await changes.own(PARTITION, "me", "1", 1)
    await asyncio.sleep(0.02)
    assert (await changes.own(PARTITION, "me", "1", 10_000)).epoch == first.epoch
    assert (await changes.own(PARTITION, "other", "1", 10_000)).epoch == 0
    assert (await changes.own(PARTITION, "me", "2", 10_000)).epoch == first.epoch + 1
