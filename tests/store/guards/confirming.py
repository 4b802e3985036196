"""What must hold at level ``replicated``: nothing counts as written that no replica has received (I1, I3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hub.errors import Unavailable
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.confirmation import Confirmation
from hub.store.keys import Layout
from hub.store.lanes import Lanes
from hub.store.scripts import Command
from tests.servers import Server
from tests.store.factories import PARTITION, offer
from tests.store.guards.mutation import must

CONFIRMATION = Confirmation(replicas=1, timeout_milliseconds=200)


async def _confirmed(url: str) -> bool:
    """Whether the same request, over connections of its own, is answered as written."""
    store = Store(url, Layout(partitions=1, shards=1), CONFIRMATION)
    try:
        await Changes(store, most_waiting=100).accept(PARTITION, [offer("Patient/1", idempotency="k")])
    except Unavailable:
        return False
    finally:
        await store.close()
    return True


async def what_no_replica_has_is_not_confirmed(servers: Sequence[Server]) -> None:
    master, replica = servers
    replica.freeze()
    try:
        must(not await _confirmed(master.url), "WAIT counts what its own connection has written")
    finally:
        replica.thaw()


async def a_repeat_of_what_no_replica_has_is_not_confirmed(servers: Sequence[Server]) -> None:
    master, replica = servers
    replica.freeze()
    try:
        await _confirmed(master.url)
        must(not await _confirmed(master.url), "the repeat writes nothing, so there is nothing for WAIT to count")
    finally:
        replica.thaw()


def wait_elsewhere(patch: pytest.MonkeyPatch) -> None:
    """WAIT on a connection that has written nothing."""
    travel = Lanes._pipeline

    async def elsewhere(self: Lanes, commands: Sequence[Command]) -> list[Any]:
        confirmation, self._confirmation = self._confirmation, None
        try:
            replies = await travel(self, commands)
        finally:
            self._confirmation = confirmation
        assert confirmation
        if not confirmation.closing(commands):
            return replies
        pool = self._connections.pool
        other = pool.connection_class(**pool.connection_kwargs)
        await other.connect()
        await other.send_command("WAIT", confirmation.replicas, confirmation.timeout_milliseconds)
        received = await other.read_response()
        await other.disconnect()
        return confirmation.confirmed(commands, [*replies, True, received])

    patch.setattr(Lanes, "_pipeline", elsewhere)


def wait_without_mark(patch: pytest.MonkeyPatch) -> None:
    """WAIT right after the commands, with nothing written before it for certain."""
    closing = Confirmation.closing

    def bare(self: Confirmation, commands: Sequence[Command]) -> tuple[Command, ...]:
        return tuple(("PING",) if each[0] == "SET" else each for each in closing(self, commands))

    patch.setattr(Confirmation, "closing", bare)
