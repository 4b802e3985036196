"""What must hold while matches are numbered: COMMIT, and the lease of the evaluator (I5, I7, I8, I16)."""

from __future__ import annotations

from datetime import timedelta

from hub.domain.change import ChangeId
from hub.domain.delivery import Duty, OutcomeKind, RetryPolicy
from hub.domain.subscription import Status
from hub.domain.transition import Cause
from hub.errors import Fenced
from hub.store.agenda import CommitCode, Hold
from hub.store.changes import Changes
from hub.store.life import BY_REQUEST, Life
from tests.store.factories import PARTITION, Lab, offer
from tests.store.guards.mutation import must

LONG = 60_000


async def a_repeated_commit_numbers_nothing(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"))
    must((await lab.commit(lab.match(1, "a"))).numbers == (0,), "an event has one number")
    must((await lab.record("a")).number == 1 == await lab.log_length("a"), "and stands in the log once")


async def repeats_alone_do_not_set_the_mark_back(lab: Lab) -> None:
    await lab.activate("a", "b")
    await lab.commit(lab.match(1, "a"))
    await lab.commit(lab.match(1, "b"))
    await lab.commit(lab.match(1, "a"))
    must((await lab.commit(lab.match(1, "b"))).numbers == (0,), "what was numbered stays numbered")


async def a_former_evaluator_numbers_nothing(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"), epoch=2)
    must((await lab.commit(lab.match(2, "a"), epoch=1)).code is CommitCode.FENCED, "an older epoch is fenced")
    must((await lab.record("a")).number == 1, "and changes nothing")


async def a_match_under_an_old_definition_is_judged_again(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, None)
    stale = await lab.commit(lab.match(1, "a", 1))
    must((stale.code, stale.decided) == (CommitCode.STALE, 0), "it is told to look at the new definition")
    must((await lab.record("a")).number == 0, "nothing was numbered under the old one")


async def off_numbers_nothing(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, Status.OFF)
    must((await lab.commit(lab.match(1, "a", 2))).numbers == (-1,), "I8")


async def an_event_does_not_wait_behind_a_heartbeat(lab: Lab) -> None:
    await lab.activate("a", heartbeat_seconds=60)
    await lab.commit(lab.match(1, "a"), hold=False)
    must([hold.duty for hold in await lab.claim()] == [Duty.EVENTS], "it is due at once, not with the heartbeat")


async def nothing_is_held_beside_an_attempt_in_flight(lab: Lab) -> None:
    (beat,) = await _heartbeat(lab)
    must((await lab.commit(lab.match(1, "a"))).holds == (), "one attempt at a time (I13)")
    must(await lab.settle(beat) is True, "and the one in flight still counts")


async def an_endpoint_that_fails_is_left_alone_until_its_time(lab: Lab) -> None:
    (beat,) = await _heartbeat(lab)
    await lab.settle(beat, OutcomeKind.FAILED, policy=RetryPolicy(initial=timedelta(seconds=60)))
    must((await lab.commit(lab.match(1, "a"))).holds == (), "the next attempt is no earlier than the back-off (I15)")


async def _heartbeat(lab: Lab) -> list[Hold]:
    await lab.activate("a", heartbeat_seconds=0.002)
    while not (held := await lab.claim()):
        pass  # until the heartbeat is due, in a millisecond or two
    assert held[0].duty is Duty.HEARTBEAT
    return held


async def nothing_is_sent_before_the_handshake(lab: Lab) -> None:
    await lab.put("a")
    must((await lab.commit(lab.match(1, "a"))).holds == (), "no event before the handshake (ruling 16)")


async def nothing_is_sent_while_the_client_is_to_act(lab: Lab) -> None:
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold, OutcomeKind.REFUSED, policy=RetryPolicy(recovers_by_itself=False))
    must((await lab.commit(lab.match(2, "a"))).holds == (), "attempts stop under HUB_RECOVERY=client (S-076)")


async def nothing_is_sent_while_nobody_listens(lab: Lab) -> None:
    await lab.put("a", status=Status.ACTIVE, type="websocket", endpoint="")
    must((await lab.commit(lab.match(1, "a"))).holds == (), "its events wait for a socket")


async def nothing_is_sent_while_it_is_paused(lab: Lab) -> None:
    await lab.activate("a")
    await Life(lab.store).hold(lab.key("a"), BY_REQUEST, Cause.PAUSED, paused=True)
    must((await lab.commit(lab.match(1, "a"))).holds == (), "a pause holds events back")


async def a_partition_has_one_owner(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    await changes.own(PARTITION, "one", "1", LONG)
    must((await changes.own(PARTITION, "another", "1", LONG)).epoch == 0, "while its lease runs")


async def a_new_life_of_an_owner_fences_the_former(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    former = await changes.own(PARTITION, "one", "1", LONG)
    must((await changes.own(PARTITION, "one", "2", LONG)).epoch > former.epoch, "its epoch is higher")


async def a_former_owner_does_not_move_the_cursor(lab: Lab) -> None:
    changes, first, _ = await _two_changes(lab)
    former = await changes.own(PARTITION, "one", "1", LONG)
    await changes.own(PARTITION, "one", "2", LONG)
    fenced = False
    try:
        await changes.advance(PARTITION, "one", "1", former.epoch, first, 1, LONG)
    except Fenced:
        fenced = True
    must(fenced, "it is told")
    must(await changes.evaluated_upto(PARTITION) == ChangeId(0, 0), "and the cursor stays")


async def a_former_owner_does_not_give_the_partition_away(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    former = await changes.own(PARTITION, "one", "1", LONG)
    await changes.own(PARTITION, "one", "2", LONG)
    await changes.disown(PARTITION, "one", "1", former.epoch)
    must((await changes.own(PARTITION, "another", "1", LONG)).epoch == 0, "it is another's now")


async def advancing_again_counts_once(lab: Lab) -> None:
    changes, first, _ = await _two_changes(lab)
    lease = await changes.own(PARTITION, "one", "1", LONG)
    for _ in range(2):
        await changes.advance(PARTITION, "one", "1", lease.epoch, first, 1, LONG)
    must(await changes.lag(PARTITION) == 1, "one of two is evaluated")


async def the_cursor_of_a_partition_never_goes_back(lab: Lab) -> None:
    changes, first, second = await _two_changes(lab)
    lease = await changes.own(PARTITION, "one", "1", LONG)
    for upto in (second, first):
        await changes.advance(PARTITION, "one", "1", lease.epoch, upto, 2, LONG)
    must(await changes.evaluated_upto(PARTITION) == second, "an ADVANCE that comes late moves nothing (I11)")


async def _two_changes(lab: Lab) -> tuple[Changes, ChangeId, ChangeId]:
    changes = Changes(lab.store, most_waiting=10)
    first, second = await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/2")])
    assert first.id and second.id
    return changes, first.id, second.id
