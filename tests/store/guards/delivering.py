"""What must hold while notifications go out: CLAIM, SETTLE, RESUME, TRIM, AGAIN, DROP, SKIP (I9 to I13)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hub.delivery import round as rounds
from hub.domain.again import Stretch
from hub.domain.delivery import Outcome, OutcomeKind, judge
from hub.domain.subscription import Status
from hub.store.again import Again, AgainCode
from hub.store.agenda import Agenda, Hold, Settlement
from hub.store.attempts import Attempts
from hub.store.keys import shard_key
from hub.store.scripts import script
from tests.store.factories import NEVER_ERROR, Lab, attempted
from tests.store.guards.mutation import must

TIMEOUT_SECONDS = 20
ONE_TO_FIVE = range(1, 6)


async def _held(lab: Lab, *at: int, **channel: object) -> Hold:
    await lab.activate("a", **channel)
    (hold,) = (await lab.commit(*(lab.match(each, "a") for each in at or (1,)))).holds
    return hold


async def _delivered(lab: Lab, count: int) -> None:
    await lab.settle(await _held(lab, *range(1, count + 1)))
    assert (await lab.record("a")).cursor == count


async def a_zombie_changes_nothing(lab: Lab) -> None:
    zombie = await _held(lab)
    await lab.lease_ends_now("a")
    await lab.claim()
    must(await lab.settle(zombie) is False, "its fence was passed (I12)")
    must((await lab.record("a")).cursor == 0, "the cursor stays")


async def an_attempt_is_settled_once(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.settle(hold)
    known = await Attempts(lab.store).of(lab.name("a"))
    must(await lab.settle(hold) is False, "it was given back already")
    must(await Attempts(lab.store).of(lab.name("a")) == known, "and is remembered once")


async def the_cursor_never_passes_what_exists(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.settle(replace(hold, progress=replace(hold.progress, frozen_upto=99)))
    must((await lab.record("a")).cursor == 1, "I11")


async def the_cursor_never_goes_back(lab: Lab) -> None:
    await _delivered(lab, 2)
    (hold,) = (await lab.commit(lab.match(3, "a"))).holds
    verdict = judge(hold.duty, hold.progress, Outcome(OutcomeKind.FAILED, 500), NEVER_ERROR, 0)
    back = Settlement(hold, replace(verdict, cursor=0), attempted(hold))
    await lab.agenda.settle(0, [back], again=False)
    must((await lab.record("a")).cursor == 2, "I11")


async def a_retry_repeats_its_batch(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.settle(hold, OutcomeKind.FAILED)
    await lab.commit(lab.match(2, "a"))
    while not (retries := await lab.claim()):
        await asyncio.sleep(0.001)  # the delay is one millisecond
    must(retries[0].numbers == hold.numbers, "the same numbers under the same id (I10, ruling 18)")


async def what_a_lost_process_held_is_claimed(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.lease_ends_now("a")
    must([each.numbers for each in await lab.claim()] == [hold.numbers], "when its lease has ended")


async def what_is_held_is_not_claimed(lab: Lab) -> None:
    await _held(lab)
    await lab.store.send(("ZADD", shard_key(0, "due"), 1, lab.name("a")))
    must(await lab.claim() == [], "whatever the agenda says, the record decides (I13)")


async def an_attempt_ends_before_its_lease(lab: Lab) -> None:
    """The latest possible end of an attempt: it began as late as it may, and took its whole time-out."""
    await _held(lab, timeout_seconds=TIMEOUT_SECONDS)
    (ends,) = await lab.store.send(("ZSCORE", shard_key(0, "due"), lab.name("a")))
    lease_seconds = (float(ends) - await lab.store.clock_milliseconds()) / 1000
    latest = rounds.LEASE_MARGIN_SECONDS + TIMEOUT_SECONDS
    must(lease_seconds > latest, "else two would send at the same time (I12, I13)")


async def only_its_own_former_attempts_are_given_up(lab: Lab) -> None:
    hold = await _held(lab)
    now = await lab.store.clock_milliseconds() + 1
    must(await Agenda(lab.store, "another").resume([0], now) == 0, "another process may be alive")
    must(await lab.settle(hold) is True, "so what it does counts")


async def only_attempts_of_its_former_life_are_given_up(lab: Lab) -> None:
    began = await lab.store.clock_milliseconds()
    hold = await _held(lab)
    must(await lab.agenda.resume([0], began) == 0, "it delivers while it looks for what it held before")
    must(await lab.settle(hold) is True, "so what it does counts")


async def what_waits_is_counted_once(lab: Lab) -> None:
    hold = await _held(lab)
    await lab.commit(lab.match(2, "a"), lab.match(3, "a"))
    must(await lab.agenda.waiting([0]) == 3, "whatever was counted before")
    await lab.settle(hold)
    must(await lab.agenda.waiting([0]) == 2, "what is delivered waits no more")


async def a_trim_spares_what_waits(lab: Lab) -> None:
    await _held(lab)
    must(await lab.log.trim(lab.name("a"), 10) == 0, "nothing past the cursor goes")
    must(await lab.log_length("a") == 1, "and the event is there")


async def a_trim_spares_what_is_to_be_sent_again(lab: Lab) -> None:
    await _delivered(lab, 1)
    await _ask(lab, Stretch(range(1, 2), 7))
    must(await lab.log.trim(lab.name("a"), 2) == 0, "it is needed once more")


async def a_trim_shifts_no_numbers(lab: Lab) -> None:
    await _delivered(lab, 3)
    await lab.log.trim(lab.name("a"), 3)
    ((first, references),) = await lab.log.read([(lab.name("a"), range(3, 4))])
    must([first, *(each.change.milliseconds for each in references)] == [3, 3], "I7")


async def _ask(lab: Lab, *more: Stretch, letters: int = 0, waiting: tuple[Stretch, ...] = ()) -> AgainCode:
    reply = await Again(lab.store).add(lab.key("a"), waiting, letters, more, [Status.ACTIVE, Status.ERROR])
    return reply.code


async def what_was_asked_for_meanwhile_is_not_lost(lab: Lab) -> None:
    await _delivered(lab, 1)
    await _ask(lab, Stretch(range(1, 2), 7))
    must(await _ask(lab, Stretch(range(1, 2), 8)) is AgainCode.MOVED, "who read an older state reads again")
    must([each.asked_at for each in (await lab.record("a")).again] == [7], "and the first stands")


async def what_is_not_held_any_more_is_not_promised(lab: Lab) -> None:
    await _delivered(lab, 2)
    await lab.log.trim(lab.name("a"), 2)
    must(await _ask(lab, Stretch(range(1, 2), 7)) is AgainCode.MOVED, "it was trimmed meanwhile")


async def nothing_is_sent_again_in_a_status_that_forbids_it(lab: Lab) -> None:
    await _delivered(lab, 1)
    await lab.put("a", None, Status.OFF)
    must(await _ask(lab, Stretch(range(1, 2), 7)) is AgainCode.STATUS, "S-191")


async def _refused(lab: Lab) -> None:
    hold = await _held(lab, max_count=1)
    await lab.settle(hold, OutcomeKind.REFUSED)
    assert (await lab.record("a")).refused == 1


async def a_dead_letter_of_meanwhile_is_seen(lab: Lab) -> None:
    await _refused(lab)
    letters = Stretch(range(1, 2), 7, letters=True)
    must(await _ask(lab, letters, letters=0) is AgainCode.MOVED, "there is one more than was read")


async def what_was_asked_for_while_dropping_is_not_lost(lab: Lab) -> None:
    await _refused(lab)
    await _ask(lab, Stretch(range(1, 2), 7, letters=True), letters=1)
    reply = await Again(lab.store).drop(lab.key("a"), [], [], [1])
    must(reply.code is AgainCode.MOVED, "who read an older state reads again")


async def a_dropped_dead_letter_is_not_counted_again(lab: Lab) -> None:
    await _refused(lab)
    (live,) = (await lab.commit(lab.match(2, "a"))).holds
    await Again(lab.store).drop(lab.key("a"), [], [], [1])
    must(await lab.settle(live) is False, "the attempt was told of it, and is void")
    must((await lab.record("a")).refused == 0, "no dead letter is left")


async def numbers_that_wait_are_not_skipped(lab: Lab) -> None:
    await _held(lab)
    must(await _skip(lab, drop=False) == -1, "the operator is told that something waits")
    must((await lab.record("a")).number == 1, "and nothing is dropped unasked")


async def numbers_are_skipped_once(lab: Lab) -> None:
    await _held(lab)
    must(await _skip(lab, drop=True) == 1, "what waited is dropped")
    (following,) = (await lab.commit(lab.match(2, "a"))).holds
    must(await _skip(lab, drop=True) == 0, "a repeat finds it done")
    must(await lab.settle(following) is True, "and drops nothing that came later")


async def _skip(lab: Lab, *, drop: bool) -> int:
    """As it is sent after the number 1 was read."""
    keys = [shard_key(0, "due"), shard_key(0, "m"), shard_key(0, "e", lab.name("a"))]
    ((told,),) = await lab.store.send(script("skip", keys, [1000, int(drop), lab.name("a"), 1]))
    return int(told)
