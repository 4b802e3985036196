"""Level ``replicated``: what is confirmed was received by a replica (I1); a doubt is told as one, never as success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from hub.durability import confirmation
from hub.errors import CannotStart, Unavailable
from hub.settings import load_settings
from hub.store.acceptance import Code
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.confirmation import Confirmation
from hub.store.exchange import Exchange
from hub.store.keys import Layout
from hub.store.scripts import Command
from tests.servers import Server, replicas_online, replicated
from tests.store.factories import PARTITION, offer

LAYOUT = Layout(partitions=1, shards=1)
CONFIRMATION = Confirmation(1, 1000)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[Server]]:
    async with replicated(tmp_path, min_replicas_to_write="0") as servers:
        yield servers


@pytest.fixture
async def store(servers: list[Server]) -> AsyncIterator[Store]:
    store = Store(servers[0].url, LAYOUT, CONFIRMATION)
    await store.send(("SCRIPT", "FLUSH"))
    yield store
    await store.close()


async def test_what_was_answered_is_on_the_replica_when_the_answer_comes(store: Store, servers: list[Server]) -> None:
    changes = Changes(store, most_waiting=10_000)
    for number in range(50):
        await changes.accept(PARTITION, [offer(f"Patient/{number}")])
        held = await servers[1].say("EXISTS", PARTITION.key("r", f"Patient/{number}"))
        assert held == 1


async def test_every_write_is_waited_for_in_its_own_pipeline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAIT counts what was written on its own connection: on another one it says yes to what it has not seen."""
    written: list[list[object]] = []
    exchange = Exchange.of

    async def recorded(self: Exchange, commands: Sequence[Command]) -> list[object]:
        written.append([command[0] for command in commands])
        return await exchange(self, commands)

    monkeypatch.setattr(Exchange, "of", recorded)
    changes = Changes(store, most_waiting=10_000)
    await store.send(("SCRIPT", "FLUSH"))
    await asyncio.gather(*(changes.accept(PARTITION, [offer(f"Patient/{number}")]) for number in range(20)))
    writing = [each for each in written if "EVALSHA" in each]
    assert len(writing) >= 2, "once more after the scripts were taught again"
    assert all(each[-2:] == ["SET", "WAIT"] for each in writing)


async def test_while_the_replica_is_frozen_none_of_many_is_confirmed(store: Store, servers: list[Server]) -> None:
    changes = Changes(store, most_waiting=10_000)
    await asyncio.gather(*(store.send(("SET", f"warm:{number}", "")) for number in range(20)))
    servers[1].freeze()
    try:
        calls = (changes.accept(PARTITION, [offer(f"Patient/{number}")]) for number in range(20))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in found] == [Unavailable] * 20
        assert "0 of 1 replicas" in str(found[0])
    finally:
        servers[1].thaw()


async def test_reads_that_travel_along_are_answered_while_the_replica_is_away(
    store: Store, servers: list[Server]
) -> None:
    await store.send(("SET", "known", "1"))
    servers[1].freeze()
    try:
        written, read = await asyncio.gather(
            store.send(("SET", "known", "2")), store.send(("PING",)), return_exceptions=True
        )
        assert isinstance(written, Unavailable) and read == [True]
    finally:
        servers[1].thaw()


async def test_a_repeat_of_what_was_not_confirmed_is_not_confirmed_either(store: Store, servers: list[Server]) -> None:
    """The script writes nothing the second time, and a mere WAIT would say yes at once (I3)."""
    changes = Changes(store, most_waiting=10_000)
    told = offer("Patient/1", idempotency="k")
    servers[1].freeze()
    try:
        with pytest.raises(Unavailable):
            await changes.accept(PARTITION, [told])
        for ask in ("the same", "what it was told"):
            another = Store(servers[0].url, LAYOUT, CONFIRMATION)  # connections that have written nothing so far
            known = Changes(another, most_waiting=10_000)
            with pytest.raises(Unavailable):
                await (known.accept(PARTITION, [told]) if ask == "the same" else known.remembered([PARTITION], "k"))
            await another.close()
    finally:
        servers[1].thaw()
    await servers[0].until(replicas_online(1))
    again = Store(servers[0].url, LAYOUT, Confirmation(1, 5000))
    (accepted,) = await Changes(again, most_waiting=10_000).accept(PARTITION, [told])
    assert (accepted.code, accepted.version) == (Code.REPEAT, 1)
    await again.close()


async def test_it_does_not_start_without_its_replica(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.store.client.REPLICA_TRIES", 1)
    servers[1].kill()
    await servers[0].until(lambda told: told["connected_slaves"] == 0)
    store = Store(servers[0].url, LAYOUT, CONFIRMATION)
    with pytest.raises(CannotStart) as refusal:
        await store.start(durability="replicated", accept_unverified=False)
    assert "0 replicas are connected, needed are 1" in str(refusal.value)
    assert "min-replicas-to-write is '0', needed is at least '1'" in str(refusal.value)
    await store.close()


async def test_it_does_not_start_on_a_replica_whatever_the_level(servers: list[Server]) -> None:
    for unverified in (False, True):
        store = Store(servers[1].url, LAYOUT)
        with pytest.raises(CannotStart, match="it is a slave, needed is the master"):
            await store.start(durability="local", accept_unverified=unverified)
        await store.close()


async def test_a_replica_that_starts_a_moment_later_is_waited_for(servers: list[Server]) -> None:
    await servers[0].say("CONFIG", "SET", "min-replicas-to-write", "1")
    servers[1].kill()
    await servers[0].until(lambda told: told["connected_slaves"] == 0)
    store = Store(servers[0].url, LAYOUT, CONFIRMATION)
    starting = asyncio.create_task(store.start(durability="replicated", accept_unverified=False))
    await servers[1].start()
    await starting
    await store.close()


def test_the_embedded_server_has_no_replica() -> None:
    with pytest.raises(CannotStart, match="needs HUB_REDIS_URL"):
        confirmation(load_settings(durability="replicated"))
