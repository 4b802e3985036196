"""A store that went backwards is noticed before anything else travels to it (I24)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.domain.change import ChangeId
from hub.errors import Unavailable
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.keys import Layout
from hub.store.watch import Watch
from tests.servers import FIT, Server
from tests.store.factories import PARTITION, offer

LAYOUT = Layout(partitions=1, shards=1)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path / "redis", dict(FIT))
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def life(server: Server, tmp_path: Path) -> AsyncIterator[tuple[Store, Watch]]:
    store = Store(server.url, LAYOUT)
    watch = Watch(store, tmp_path / "seen", "local", False)
    await watch.start()
    yield store, watch
    await store.close()


async def put(store: Store, name: str) -> ChangeId:
    (accepted,) = await Changes(store, most_waiting=1000).accept(PARTITION, [offer(f"Patient/{name}")])
    assert accepted.id
    return accepted.id


async def restore_a_backup(server: Server, store: Store) -> tuple[ChangeId, ChangeId]:
    """The newest change that the backup has, and the newest that was answered."""
    kept = await put(store, "a")
    await server.back_up()
    lost = await put(store, "b")
    await server.restore()
    return kept, lost


async def test_the_first_new_connection_notices_and_nothing_travels_on_it(
    server: Server, life: tuple[Store, Watch]
) -> None:
    store, _ = life
    kept, lost = await restore_a_backup(server, store)
    for _ in range(3):  # the connections that were cut, then new ones
        with pytest.raises(Unavailable):
            await store.send(("SET", "written", "1"))
    assert await server.say("EXISTS", "written") == 0
    found = store.witness.backwards[PARTITION]
    assert (found.known, found.found) == (str(lost), str(kept))


async def test_a_restart_of_the_same_data_is_not_backwards(server: Server, life: tuple[Store, Watch]) -> None:
    store, _ = life
    await put(store, "a")
    await server.back_up()
    await put(store, "b")
    server.kill()
    await server.start()
    await store.send(("PING",))
    assert not store.witness.backwards


async def test_what_was_retired_is_not_missed(server: Server, life: tuple[Store, Watch]) -> None:
    """Old changes leave the front of the stream in good order."""
    store, _ = life
    await put(store, "a")
    await server.say("XTRIM", PARTITION.key("chg"), "MAXLEN", "0")
    another = Store(server.url, LAYOUT)
    another.witness.saw(PARTITION, await put(store, "b"))
    await server.say("XTRIM", PARTITION.key("chg"), "MAXLEN", "0")
    await another.send(("PING",))
    assert not another.witness.backwards
    await another.close()


async def test_a_change_that_is_missing_under_newer_ones_is_noticed(server: Server, life: tuple[Store, Watch]) -> None:
    """Another process has written since the store went backwards: its end is no longer before what is known."""
    store, _ = life
    first, second = await put(store, "a"), await put(store, "b")
    await put(store, "c")
    await server.say("XDEL", PARTITION.key("chg"), str(second))
    another = Store(server.url, LAYOUT)
    another.witness.saw(PARTITION, second)
    with pytest.raises(Unavailable):
        await another.send(("PING",))
    assert first < second and PARTITION in another.witness.backwards
    await another.close()


async def test_the_next_life_of_the_process_notices_it_from_its_notes(
    server: Server, life: tuple[Store, Watch], tmp_path: Path
) -> None:
    store, watch = life
    kept = await put(store, "a")
    await server.back_up()
    lost = await put(store, "b")
    watch.save()
    await server.restore()
    next_life = Store(server.url, LAYOUT)
    next_watch = Watch(next_life, tmp_path / "seen", "local", False)
    await next_watch.start()
    assert (kept < lost) and f"had change {lost}" in next_watch.problems[0]
    third = Store(server.url, LAYOUT)
    other_watch = Watch(third, tmp_path / "of-another", "local", False)
    await other_watch.start()
    assert other_watch.problems == next_watch.problems, "a process that knew nothing is told by the others"
    await third.close()
    await next_life.close()


async def test_another_store_is_not_taken_for_a_former_state(server: Server, life: tuple[Store, Watch]) -> None:
    store, watch = life
    await put(store, "a")
    watch.save()
    await server.say("FLUSHALL")
    next_life = Store(server.url, LAYOUT)
    next_watch = Watch(next_life, watch._file, "local", False)
    await next_watch.start()
    assert next_watch.problems == []
    await next_life.close()


async def test_what_is_seen_while_the_store_is_asked_is_not_judged_by_the_older_answer(
    server: Server, life: tuple[Store, Watch]
) -> None:
    """Other connections go on while a new one asks: the answer may lie before what they have just stored."""
    store, _ = life
    await put(store, "a")
    witness = store.witness
    questions = witness.questions()
    replies = await store.send(*questions.calls)
    await put(store, "b")
    assert not witness.judge(questions, replies)
    assert not witness.backwards
