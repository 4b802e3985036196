"""Each script on its own: safe to run twice (a client library may send it again), and all its keys in one slot."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest

from hub.domain.again import Stretch
from hub.domain.delivery import OutcomeKind
from hub.domain.subscription import Status
from hub.domain.transition import Cause
from hub.store.acceptance import Whole
from hub.store.again import Again
from hub.store.agenda import Hold
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.guards import Guards
from hub.store.keys import Layout, Partition
from hub.store.life import BY_REQUEST, Life
from hub.store.lives import Lives
from hub.store.registry import Registry, TopicRecord
from hub.store.repair import Repair
from hub.store.scripts import DIGESTS, SCRIPT_NAMES, Command
from hub.store.signing import SigningStore
from hub.store.sockets import Sockets
from hub.store.witness import Backwards
from tests.store.factories import PARTITION, Lab, offer, resource_key
from tests.store.snapshot import snapshot

DAY = timedelta(days=1)
NAMES = {digest: name for name, digest in DIGESTS.items()}


class Recorder:
    """A store that remembers every call of a script."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.layout, self.witness, self.confirm = store.layout, store.witness, store.confirm
        self.calls: list[tuple[str, Command]] = []

    async def send(self, *commands: Command) -> list[Any]:
        self.calls += [(NAMES[str(each[1])], each) for each in commands if each[0] == "EVALSHA"]
        return await self._store.send(*commands)


@pytest.fixture
def recorder(store: Store) -> Recorder:
    return Recorder(store)


@pytest.fixture
def lab(recorder: Recorder) -> Lab:
    return Lab(recorder)  # type: ignore[arg-type]


async def held(lab: Lab) -> Hold:
    await lab.activate("a", max_count=1)
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    return hold


async def two_changes(lab: Lab, *, judged: bool = False) -> Changes:
    """Patient/1 in two versions; the cursor is past them when they are ``judged``."""
    changes = Changes(lab.store, most_waiting=100)
    for body in (b"first", b"second"):
        (accepted,) = await changes.accept(PARTITION, [offer("Patient/1", body=body, idempotency=body.decode())])
    lease = await changes.own(PARTITION, "me", "1", 60_000)
    if judged:
        assert accepted.id
        await changes.advance(PARTITION, "me", "1", lease.epoch, accepted.id, 2, 60_000)
    return changes


async def advance(lab: Lab) -> None:
    await two_changes(lab, judged=True)


async def again(lab: Lab) -> None:
    await lab.settle(await held(lab))
    await Again(lab.store).add(lab.key("a"), [], 0, [Stretch(range(1, 2), 7)], [Status.ACTIVE])


async def bind(lab: Lab) -> None:
    await lab.put("a", status=Status.ACTIVE, type="websocket", endpoint="")
    await Sockets(lab.store).bind("one/1", [(lab.name("a"), None)])


async def listen(lab: Lab) -> None:
    await bind(lab)
    await Sockets(lab.store).listen("one/1", [lab.name("a")])


async def unbind(lab: Lab) -> None:
    await listen(lab)
    await Sockets(lab.store).unbind("one/1", [lab.name("a")])


async def claim(lab: Lab) -> None:
    await lab.put("a")
    await lab.claim()


async def disown(lab: Lab) -> None:
    await (await two_changes(lab)).disown(PARTITION, "me", "1", 1)


async def drop(lab: Lab) -> None:
    await lab.settle(await held(lab), OutcomeKind.REFUSED)
    await lab.commit(lab.match(2, "a"))
    await Again(lab.store).drop(lab.key("a"), [], [], [1])


async def history(lab: Lab) -> None:
    await (await two_changes(lab)).history(PARTITION, resource_key("Patient/1"), 10)


async def pause(lab: Lab) -> None:
    await lab.activate("a")
    await Life(lab.store).hold(lab.key("a"), BY_REQUEST, Cause.PAUSED, paused=True)


async def publish(lab: Lab) -> None:
    await Registry(lab.store).publish("default|r5|t", TopicRecord("{}", "2026-01-01T00:00:00Z"), None)


async def put(lab: Lab) -> None:
    await lab.put("a")
    await lab.put("a", 1, None)


async def read(lab: Lab) -> None:
    await held(lab)
    await lab.record("a")


async def references(lab: Lab) -> None:
    hold = await held(lab)
    await lab.log.read([(hold.subscription, hold.numbers)])


async def release(lab: Lab) -> None:
    async with Guards(lab.store).hold("door"):
        pass


async def remove(lab: Lab) -> None:
    await held(lab)
    await lab.subscriptions.remove(lab.key("a"), None)


async def resume(lab: Lab) -> None:
    await held(lab)
    ((seconds, _),) = await lab.store.send(("TIME",))
    await lab.agenda.resume([0], int(seconds) * 1000 + 1000)


async def live(lab: Lab) -> None:
    await Lives(lab.store, "lab").tell({}, first=True)


async def inherit(lab: Lab) -> None:
    await held(lab)
    await live(lab)
    heir = Lives(lab.store, "heir")
    (signs,) = await heir.tell({}, first=True)
    await heir.inherit(0, "lab", signs.of_others["lab"])


async def give_back(lab: Lab) -> None:
    hold = await held(lab)
    await lab.agenda.give_back(0, {hold.subscription: hold.fence})


async def retire(lab: Lab) -> None:
    changes = await two_changes(lab, judged=True)
    await changes.retire(PARTITION, await changes.oldest(PARTITION, 1))


async def settle(lab: Lab) -> None:
    await lab.settle(await held(lab), OutcomeKind.REFUSED)


async def sign(lab: Lab) -> None:
    await lab.activate("a")
    for secret in ("first", "second"):
        await SigningStore(lab.store).add(lab.name("a"), secret, DAY)


async def skip(lab: Lab) -> None:
    await held(lab)
    await Repair(lab.store).run(PARTITION, Backwards("5-0", "1-0"), skip=1000, drop=True)


async def trim(lab: Lab) -> None:
    await lab.settle(await held(lab))
    await lab.log.trim(lab.name("a"), 2)


async def version(lab: Lab) -> None:
    await (await two_changes(lab)).version(PARTITION, resource_key("Patient/1"), 1)


@dataclass(frozen=True, slots=True)
class Case:
    """``act`` ends with the call; ``told`` is what a repeat of it is answered, by what the first was answered."""

    act: Callable[[Lab], Awaitable[object]]
    told: Callable[[Any], Any]
    because: str


def same(first: Any) -> Any:
    return first


CASES = {
    "accept": Case(two_changes, lambda first: [1, [b"repeat", *first[1][1:]]], "told as the first time"),
    "advance": Case(advance, same, "the cursor is there already"),
    "again": Case(again, lambda _: [b"MOVED"], "who reads again finds what was asked for"),
    "bind": Case(bind, lambda first: [[b"OK", b"one/1", *first[0][2:]]], "told that it has them"),
    "claim": Case(claim, lambda _: [], "what the first held comes back with the end of its lease"),
    "commit": Case(held, lambda _: [b"OK", 1, [0], []], "nothing is numbered again, nobody holds it twice"),
    "disown": Case(disown, same, "it is given back already"),
    "drop": Case(drop, lambda _: [b"OK", 0], "there is none left"),
    "history": Case(history, same, "it only reads"),
    "inherit": Case(inherit, lambda _: [-1, 0], "it was taken over already"),
    "live": Case(live, same, "the same sign of the same life"),
    "listen": Case(listen, same, "it listens already"),
    "own": Case(two_changes, same, "the same life renews its lease"),
    "pause": Case(pause, lambda _: [b"OK", 0], "it was so already"),
    "publish": Case(publish, same, "known by when it was written"),
    "put": Case(put, same, "known by when it was written"),
    "read": Case(read, same, "it only reads"),
    "references": Case(references, same, "it only reads"),
    "release": Case(release, lambda _: 0, "it stands open"),
    "remove": Case(remove, lambda first: [b"GONE", *first[1:]], "it is gone"),
    "resume": Case(resume, lambda _: [0, 0, 0, 0], "nothing is held any more"),
    "retire": Case(retire, lambda _: 0, "they are gone; the janitor's round ends"),
    "settle": Case(settle, lambda _: [[0]], "given back already: forget it"),
    "sign": Case(sign, same, "the secret is known"),
    "skip": Case(skip, lambda _: [0], "numbers go on beyond the gap already"),
    "trim": Case(trim, lambda _: 0, "they are gone"),
    "unbind": Case(unbind, lambda _: [0], "it was let go"),
    "version": Case(version, same, "it only reads"),
    "yield": Case(give_back, lambda _: 0, "it is free already"),
}


def test_every_script_of_the_folder_is_here() -> None:
    folder = resources.files("hub.store") / "lua"
    files = {each.name.removesuffix(".lua") for each in folder.iterdir()} - {"record"}
    assert files == set(SCRIPT_NAMES) == set(CASES)


@pytest.mark.parametrize("name", SCRIPT_NAMES)
async def test_run_twice_it_leaves_the_same_store_and_tells_what_is_right(
    name: str, lab: Lab, recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    send = recorder.send

    async def answered(*commands: Command) -> list[Any]:
        replies = await send(*commands)
        told.extend(reply for reply, each in zip(replies, commands, strict=True) if each[0] == "EVALSHA")
        return replies

    monkeypatch.setattr(recorder, "send", answered)
    await CASES[name].act(lab)
    place = max(at for at, (called, _) in enumerate(recorder.calls) if called == name)
    before = await snapshot(store)
    (second,) = await store.send(recorder.calls[place][1])
    assert second == CASES[name].told(told[place]), CASES[name].because
    assert await snapshot(store) == before


def slots(call: Command) -> set[str]:
    """The hash tags of its keys; a key without one stands for itself."""
    keys = [str(key) for key in call[3 : 3 + int(call[2])]]
    return {found[1] if (found := re.match(r"[^{]*\{([^}]+)\}", key)) else key for key in keys}


@pytest.mark.parametrize("name", SCRIPT_NAMES)
async def test_all_keys_of_a_script_are_in_one_slot(name: str, lab: Lab, recorder: Recorder) -> None:
    await CASES[name].act(lab)
    called = [call for each, call in recorder.calls if each == name]
    assert called and all(len(slots(call)) == 1 for call in called)


async def test_only_a_transaction_and_a_value_set_reach_further(redis_url: str) -> None:
    """A transaction writes in each of its partitions (ruling 26); a ValueSet is told of in the registry log (I5)."""
    spread = Store(redis_url, Layout(partitions=4, shards=1))
    await spread.send(("FLUSHALL",))
    recorder = Recorder(spread)
    changes = Changes(recorder, most_waiting=100)  # type: ignore[arg-type]
    offers = {str(number): offer(f"Patient/{number}") for number in range(4)}
    partitions = {spread.layout.partition_of(each.key): each for each in offers.values()}
    await changes.transact(offers, Whole(next(iter(partitions)), "k", "f"))
    for partition, one in partitions.items():
        await changes.accept(partition, [one])
    home = offer("ValueSet/1")
    await changes.accept(spread.layout.partition_of(home.key), [home])
    (_, transaction), *alone, (_, value_set) = recorder.calls
    assert slots(transaction) == set(map(str, partitions)) and len(partitions) > 1
    assert [slots(call) for _, call in alone] == [{str(partition)} for partition in partitions]
    assert slots(value_set) == {str(spread.layout.partition_of(home.key)), "reg"}
    await spread.close()


async def test_a_repeated_transaction_leaves_the_same_store(store: Store, recorder: Recorder) -> None:
    changes = Changes(recorder, most_waiting=100)  # type: ignore[arg-type]
    whole = Whole(Partition(PARTITION.tenant, PARTITION.base, 0), "k", "f")
    first = await changes.transact({"a": offer("Patient/1"), "b": offer("Patient/2")}, whole)
    before = await snapshot(store)
    again = await changes.transact({"a": offer("Patient/1"), "b": offer("Patient/2")}, whole)
    assert await snapshot(store) == before
    assert {place: each.id for place, each in again.answers.items()} == {
        place: each.id for place, each in first.answers.items()
    }
