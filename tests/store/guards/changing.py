"""What must hold while changes come in and go: ACCEPT, RETIRE (I1 to I4, rulings 14, 25, 26)."""

from __future__ import annotations

from hub.store.acceptance import Code, Offer, Operation, Whole
from hub.store.changes import Changes
from tests.store.factories import PARTITION, Lab, offer, resource_key
from tests.store.guards.mutation import must

TOKEN = "a" * 32


async def _accept(lab: Lab, *offers: Offer, most_waiting: int = 10) -> list[tuple[Code, int]]:
    answers = await Changes(lab.store, most_waiting=most_waiting).accept(PARTITION, offers)
    return [(each.code, each.version) for each in answers]


async def a_repeated_request_makes_one_version(lab: Lab) -> None:
    same = offer("Patient/1", idempotency="k", fingerprint="f")
    must(await _accept(lab, same, same) == [(Code.OK, 1), (Code.REPEAT, 1)], "I2")


async def a_key_stands_for_one_request(lab: Lab) -> None:
    one, other = (offer("Patient/1", idempotency="k", fingerprint=each) for each in "fg")
    must([code for code, _ in await _accept(lab, one, other)] == [Code.OK, Code.REUSED], "ruling 25")


async def if_match_names_the_present_version(lab: Lab) -> None:
    stale = offer("Patient/1", expected_version=7)
    must(await _accept(lab, offer("Patient/1"), stale) == [(Code.OK, 1), (Code.CONFLICT, 1)], "I2")


async def a_created_id_is_new(lab: Lab) -> None:
    two = [offer("Patient/1", Operation.CREATE)] * 2
    must([code for code, _ in await _accept(lab, *two)] == [Code.OK, Code.EXISTS], "nothing is overwritten")


async def intake_stops_in_time(lab: Lab) -> None:
    two = [offer("Patient/1"), offer("Patient/2")]
    codes = [code for code, _ in await _accept(lab, *two, most_waiting=1)]
    must(codes == [Code.OK, Code.BUSY], "refused before anything is lost (I23)")


async def of_two_conditional_creates_one_creates(lab: Lab) -> None:
    two = [
        offer(f"Patient/{number}", Operation.CREATE, identifiers=(TOKEN,), condition=TOKEN) for number in (1, 2)
    ]  # fmt: skip
    must([code for code, _ in await _accept(lab, *two)] == [Code.OK, Code.MOVED], "the second finds the first")


async def a_load_does_not_undo_a_change(lab: Lab) -> None:
    old = offer("Patient/1", Operation.LOAD, b"loaded", as_of=1)
    codes = [code for code, _ in await _accept(lab, offer("Patient/1", body=b"changed"), old)]
    must(codes == [Code.OK, Code.SAME], "what a change has told later stays")


async def a_refused_transaction_does_nothing(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    await changes.transact({"a": offer("Patient/1"), "b": offer("Patient/9", Operation.DELETE)})
    must(await changes.lag(PARTITION) == 0, "all or nothing (ruling 26)")


async def a_transaction_sees_what_it_makes(lab: Lab) -> None:
    told = {"a": offer("Patient/1", Operation.LOAD), "b": offer("Patient/1", Operation.DELETE, b"")}
    must((await Changes(lab.store, most_waiting=10).transact(told)).written, "the second deletes what the first made")


async def a_repeated_transaction_is_done_once(lab: Lab) -> None:
    changes, whole = Changes(lab.store, most_waiting=10), Whole(PARTITION, "k", "f")
    for _ in range(2):
        await changes.transact({"a": offer("Patient/1")}, whole)
    must(await changes.lag(PARTITION) == 1, "the second is told what the first did")


async def _judge(changes: Changes, upto: int) -> None:
    """Move the cursor to the so-manieth change."""
    entries = await changes.oldest(PARTITION, upto)
    lease = await changes.own(PARTITION, "me", "1", 60_000)
    await changes.advance(PARTITION, "me", "1", lease.epoch, entries[-1].id, upto, 60_000)


async def what_is_not_judged_is_not_retired(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/2")])
    must(await changes.retire(PARTITION, await changes.oldest(PARTITION, 10)) == 0, "never past the cursor")


async def what_the_next_change_is_judged_against_stays(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    await changes.accept(PARTITION, [offer("Patient/1"), offer("Patient/1")])
    await _judge(changes, 1)
    must(await changes.retire(PARTITION, await changes.oldest(PARTITION, 1)) == 0, "it is the previous version (I4)")


async def a_head_outlives_its_change(lab: Lab) -> None:
    changes = Changes(lab.store, most_waiting=10)
    await changes.accept(PARTITION, [offer("Patient/1", body=b"held")])
    await _judge(changes, 1)
    assert await changes.retire(PARTITION, await changes.oldest(PARTITION, 1)) == 1
    found = await changes.version(PARTITION, resource_key("Patient/1"), None)
    must(found is not None and found.body == b"held", "heads never go (ruling 14)")
