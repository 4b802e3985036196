"""What must hold when a process dies between two commands, whichever they are (I5, I7, I9)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis.exceptions import RedisError

from hub.delivery import round as rounds
from hub.errors import Unavailable
from hub.store.agenda import Agenda, Committed, Match
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.exchange import Exchange
from hub.store.keys import Partition, shard_key
from hub.store.scripts import Command
from tests.store.factories import PARTITION, Lab, offer
from tests.store.guards.mutation import Edit, must


class Mortal:
    """A store as a process sees it that dies after so many commands: what came before stands, nothing follows."""

    def __init__(self, store: Store, commands: int) -> None:
        self.layout, self.witness, self.confirm = store.layout, store.witness, store.confirm
        self._store = store
        self._left = commands
        self.dead = asyncio.Event()

    async def send(self, *commands: Command) -> list[Any]:
        done = commands[: self._left]
        self._left -= len(done)
        replies = await self._store.send(*done) if done else []
        if len(done) < len(commands):
            self.dead.set()
            raise Unavailable("this process is dead")
        return replies


async def a_process_that_dies_while_it_commits_leaves_all_or_nothing(lab: Lab) -> None:
    names = [f"dies after {commands}" for commands in range(4)]
    await lab.activate(*names)
    for commands, name in enumerate(names):
        matches = [lab.match(10 * commands + 1, name), lab.match(10 * commands + 2, name)]
        mortal = Agenda(Mortal(lab.store, commands), "mortal")  # type: ignore[arg-type]
        with contextlib.suppress(Unavailable):
            await mortal.commit([(0, PARTITION, 1, matches)], hold=False)
        await lab.commit(*matches, hold=False)
        record = await lab.record(name)
        (length,) = await lab.store.send(("LLEN", shard_key(0, "e", lab.name(name))))
        must((record.number, length) == (2, 2), f"each event once, also when it {name} commands")


def commit_split(patch: pytest.MonkeyPatch) -> None:
    """Events first and the mark afterwards, as separate commands."""
    mark = "redis.call('HSET', KEYS[1], partition, ARGV[last+1]"
    Edit("commit", mark, f"return {{code, decided, numbers, held}} -- {mark}")(patch)
    commit = Agenda.commit

    async def split(
        self: Agenda, batches: Sequence[tuple[int, Partition, int, Sequence[Match]]], *, hold: bool
    ) -> list[Committed]:
        done = await commit(self, batches, hold=hold)
        for shard, partition, _, matches in batches:
            last = matches[-1]
            mark = f"{last.change.milliseconds} {last.change.sequence} {last.subscription}"
            await self._store.send(("HSET", shard_key(shard, "hw"), str(partition), mark))
        return done

    patch.setattr(Agenda, "commit", split)


def begin_late(patch: pytest.MonkeyPatch) -> None:
    """An attempt may begin when the margin of its lease is used up already."""
    patch.setattr(rounds, "LEASE_MARGIN_SECONDS", 6.0)


@contextlib.asynccontextmanager
async def _losing_a_reply(redis: str) -> AsyncIterator[str]:
    """The URL of a Redis behind which the connection is cut instead of the first reply of a script."""
    lost, writers = False, []

    async def carry(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        nonlocal lost
        replies, server = await asyncio.open_unix_connection(redis)
        writers.extend((answers, server))
        while said := await client.read(1 << 16):
            server.write(said)
            reply = await replies.read(1 << 16)
            if b"EVALSHA" in said and not lost:
                lost = True
                break
            answers.write(reply)
        for writer in (answers, server):
            writer.close()

    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "proxy.sock")
        async with await asyncio.start_unix_server(carry, path):
            yield f"unix://{path}"
            for writer in writers:
                writer.close()


async def a_lost_reply_makes_nothing_happen_twice(lab: Lab) -> None:
    direct = Changes(lab.store, most_waiting=100)
    await direct.accept(PARTITION, [offer("Patient/1")])  # Redis knows the script now
    async with _losing_a_reply(lab.store._lanes._connections.pool.connection_kwargs["path"]) as url:
        store = Store(url, lab.store.layout)
        with contextlib.suppress(Unavailable):
            await Changes(store, most_waiting=100).accept(PARTITION, [offer("Patient/2")])
        await store.close()
    must(await direct.lag(PARTITION) == 2, "only the caller knows whether repeating is wanted")


def send_again(patch: pytest.MonkeyPatch) -> None:
    """Whatever had no answer is sent once more, as redis-py does it when it is left alone."""
    exchange = Exchange.of

    async def twice(self: Exchange, commands: Sequence[Command]) -> list[Any]:
        try:
            return await exchange(self, commands)
        except (RedisError, OSError):
            return await exchange(self, commands)

    patch.setattr(Exchange, "of", twice)
