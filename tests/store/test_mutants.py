"""Every guard has a test that goes red without it: here the guards are taken out, and the harm is shown.

A mutant is the text of a script with one guard removed, loaded under its own digest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import pytest

from hub.domain.again import Stretch
from hub.domain.delivery import OutcomeKind
from hub.domain.subscription import Status
from hub.domain.transition import Cause
from hub.store import scripts
from hub.store.acceptance import Code, Operation
from hub.store.again import Again, AgainCode
from hub.store.agenda import CommitCode
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.life import BY_REQUEST, Life
from tests.store.factories import PARTITION, Lab, offer

Mutate = Callable[[str, str, str], None]


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Mutate:
    """Replaces a guard in one script of the store."""

    def replace(name: str, guard: str, without: str) -> None:
        text = scripts.SCRIPTS[name]
        assert text.count(guard) == 1, f"{name} has another guard now"
        mutant = text.replace(guard, without)
        monkeypatch.setitem(scripts.SCRIPTS, name, mutant)
        monkeypatch.setitem(scripts.DIGESTS, name, hashlib.sha1(mutant.encode()).hexdigest())

    return replace


async def test_without_the_high_water_mark_a_repeat_is_numbered_twice(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    mutate("commit", "past = ms > high_ms or", "past = true or ms > high_ms or")
    await lab.commit(lab.match(1, "a"))
    assert (await lab.commit(lab.match(1, "a"))).numbers == (2,)


async def test_without_the_epoch_a_former_owner_goes_on_numbering(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    mutate("commit", "if marks[2] and tonumber(marks[2]) > epoch then", "if false then")
    await lab.commit(lab.match(1, "a"), epoch=2)
    assert (await lab.commit(lab.match(2, "a"), epoch=1)).code is CommitCode.OK


async def test_without_the_definition_check_an_event_is_numbered_under_an_old_filter(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    await lab.put("a", 1, None)
    mutate("commit", "elseif m[DEFINITION] ~= tonumber(ARGV[i+3]) then", "elseif false then")
    assert (await lab.commit(lab.match(1, "a", 1))).numbers == (1,)


async def test_without_the_fence_a_zombie_moves_the_cursor(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    (zombie,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.lease_ends_now("a")
    await lab.claim()
    mutate("settle", "or m[LEASE] == 0 or m[FENCE] ~= tonumber(ARGV[i+1]) then", "then")
    assert await lab.settle(zombie) is True
    assert (await lab.record("a")).cursor == 1


async def test_without_the_freeze_a_retry_carries_another_batch(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    freeze = "if duty == EVENTS and m[FROZEN] <= m[CURSOR] then"
    for name in ("commit", "claim", "settle"):
        mutate(name, freeze, "if duty == EVENTS then")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.FAILED)
    await lab.commit(lab.match(2, "a"))
    await asyncio.sleep(0.01)
    (retry,) = await lab.claim()
    assert list(hold.progress.batch) == [1] and list(retry.progress.batch) == [1, 2]


async def test_without_the_raised_fence_an_attempt_survives_a_put(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    mutate("put", "m[FENCE], m[LEASE] = m[FENCE] + 1, 0", "m[FENCE] = m[FENCE]")
    await lab.put("a", 1, None)
    assert await lab.settle(hold) is True


async def test_without_the_idempotency_record_a_repeat_is_a_second_version(store: Store, mutate: Mutate) -> None:
    mutate("accept", "if seen then", "if false then")
    same = offer("Patient/1", idempotency="k", fingerprint="f")
    answers = await Changes(store, most_waiting=10).accept(PARTITION, [same, same])
    assert [answer.version for answer in answers] == [1, 2]


async def test_without_the_second_look_two_conditional_creates_both_create(store: Store, mutate: Mutate) -> None:
    mutate("accept", "if c.condition ~= '' and found_by(c.condition) ~= c.finds then return {'moved'} end", "")
    two = [
        offer(f"Patient/{n}", Operation.CREATE, identifiers=("a" * 32,), condition="a" * 32) for n in (1, 2)
    ]  # fmt: skip
    answers = await Changes(store, most_waiting=10).accept(PARTITION, two)
    assert [answer.code for answer in answers] == [Code.OK, Code.OK]


async def test_without_the_way_back_a_refused_transaction_is_half_done(store: Store, mutate: Mutate) -> None:
    changes = Changes(store, most_waiting=10)
    mutate("accept", "if result[1] == 0 then return result end", "")
    await changes.transact({"a": offer("Patient/1"), "b": offer("Patient/9", Operation.DELETE)})
    assert await changes.lag(PARTITION) == 1


async def test_without_the_look_at_what_is_being_made_a_load_hides_from_its_change(
    store: Store, mutate: Mutate
) -> None:
    mutate("accept", "heads[c.head] or redis.call('GET', c.head)", "redis.call('GET', c.head)")
    told = {"a": offer("Patient/1", Operation.LOAD), "b": offer("Patient/1", Operation.DELETE, b"")}
    assert not (await Changes(store, most_waiting=10).transact(told)).written


async def test_without_the_cursor_check_what_is_not_judged_yet_is_retired(store: Store, mutate: Mutate) -> None:
    changes = Changes(store, most_waiting=10)
    await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/2")])
    mutate("retire", "if after_cursor(id) then break end", "")
    mutate("retire", "if newest and after_cursor(newest) then break end", "")
    assert await changes.retire(PARTITION, await changes.oldest(PARTITION, 10)) == 2


async def test_without_the_cursor_check_a_trim_drops_what_waits(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"))
    mutate("trim", "math.min(tonumber(ARGV[2]), m[CURSOR] + 1)", "math.min(tonumber(ARGV[2]), m[NUMBER] + 1)")
    assert await lab.log.trim(lab.name("a"), 10) == 1


async def test_without_the_second_look_what_was_asked_for_meanwhile_is_lost(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold)
    mutate("again", "m[AGAIN] ~= ARGV[2] or", "")
    for asked_at in (7, 8):
        more = [Stretch(range(1, 2), asked_at)]
        assert (await Again(lab.store).add(lab.key("a"), [], 0, more, [Status.ACTIVE])).code is AgainCode.OK
    assert [each.asked_at for each in (await lab.record("a")).again] == [8]


async def test_without_the_place_for_pauses_what_is_paused_goes_out(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    mutate("commit", " and m[PAUSED] == 0", "")
    await Life(lab.store).hold(lab.key("a"), BY_REQUEST, Cause.PAUSED, paused=True)
    assert (await lab.commit(lab.match(1, "a"))).holds


async def test_without_a_raised_fence_a_dropped_dead_letter_is_counted_again(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.REFUSED)
    (live,) = (await lab.commit(lab.match(2, "a"))).holds
    mutate("drop", "if m[LEASE] > 0 then m[FENCE], m[LEASE] = m[FENCE] + 1, 0 end", "")
    await Again(lab.store).drop(lab.key("a"), [], [], [1])
    assert await lab.settle(live) is True
    assert (await lab.record("a")).refused == 1, "though there is none"


async def test_without_its_own_bound_retention_takes_what_is_to_be_sent_again(lab: Lab, mutate: Mutate) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold)
    more = [Stretch(range(1, 2), 7)]
    await Again(lab.store).add(lab.key("a"), [], 0, more, [Status.ACTIVE])
    mutate("trim", "if letters == '' then keep", "if false then keep")
    assert await lab.log.trim(lab.name("a"), 2) == 1
