"""Subscriptions as stored: every version of the definition, and the live record of its progress.

The record (status, numbers, cursor, error) changes with every attempt and is no new version of the resource; the
definition changes only by its client. Both are written in one step, then the registry log tells every evaluator.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from hub.domain.again import Stretch
from hub.domain.change import ChangeId
from hub.domain.event import SubscriptionError
from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.domain.transition import NOT_PAUSED, Cause, Pause
from hub.store.again import read_stretches
from hub.store.attempts import attempts_key
from hub.store.client import Store
from hub.store.conditional_write import WriteCode
from hub.store.event_log import dead_letters_key, log_key
from hub.store.keys import REGISTRY_LOG, SOCKETS_CHANNEL, shard_key
from hub.store.scripts import Argument, Command, script
from hub.store.signing import signing_key
from hub.store.status_codes import GONE, STATUS_CODES, STATUSES, write_cause

HEARTBEAT_SHARE = 0.9
"""A heartbeat is due at this share of its period, so that the period never passes in silence (ruling 28)."""
SCAN_BATCH = 500
MOST_LOG_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a Subscription as it is kept.

    ``resource`` is the JSON text as accepted (without id and meta), ``since`` the newest change of each partition when
    it was first asked for: events count from the change after it (ruling 16). ``owner`` is the principal it belongs to.
    """

    resource: str
    since: dict[str, str]
    owner: str
    written: str
    """Instant of this version, RFC 3339."""
    request: str = ""
    """Fingerprint of the request that created the Subscription, when a repeat of it can be recognised (ruling 25)."""

    @property
    def written_at(self) -> datetime:
        return datetime.fromisoformat(self.written)

    def counts(self, partition_index: int, change: ChangeId) -> bool:
        """Whether a change came after the Subscription was asked for."""
        floor = self.since.get(str(partition_index))
        return floor is None or change > ChangeId.parse(floor)


@dataclass(frozen=True, slots=True)
class Record:
    """The live side of a Subscription. ``status`` None = deleted; ``not_before`` in ms of Redis's clock, 0 = none."""

    status: Status | None
    definition_version: int
    number: int
    cursor: int
    first_kept: int
    failures: int
    refused: int
    verified: bool
    held: bool
    not_before: int
    error: SubscriptionError | None
    deaf: bool = False
    """It is sent over a socket, and none is ready for it."""
    listener: str = ""
    """Who holds its socket."""
    again: tuple[Stretch, ...] = ()
    """What waits to be sent again."""
    forgiven: int = 0
    """Dead letters up to this number do not keep it in error."""
    paused: Pause = NOT_PAUSED


@dataclass(frozen=True, slots=True)
class Put:
    """The answer to a write; ``version`` is the one made, or the present one."""

    code: WriteCode
    version: int = 0


class Subscriptions:
    """Definitions and records."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(
        self,
        key: SubscriptionKey,
        subscription: Subscription,
        definition: Definition,
        *,
        expected_version: int | None,
        status: Status | None,
        verify_anew: bool,
        stopped: Pause = NOT_PAUSED,
        by: str = "",
    ) -> Put:
        """Write a definition. ``expected_version`` 0 = it must not exist, None = any; ``status`` None = as it is.

        ``stopped`` says what the operator has stopped of its topic and endpoint, ``by`` which principal writes it.
        """
        shard, name = self._store.layout.shard_of(key), str(key)
        channel = subscription.channel
        keys = [shard_key(shard, "due"), shard_key(shard, "m"), shard_key(shard, "why"), self._definitions(name)]
        keys.append(shard_key(shard, "t"))
        arguments: list[Argument] = [
            name,
            "" if expected_version is None else expected_version,
            "" if status is None else STATUS_CODES[status],
            int(verify_anew),
            int(channel.heartbeat_seconds * 1000 * HEARTBEAT_SHARE),
            int(subscription.end.timestamp() * 1000) if subscription.end else 0,
            channel.max_count,
            channel.timeout_seconds * 1000,
            json.dumps(asdict(definition)),
            int(subscription.is_classic),
            int(subscription.needs_handshake),
            int(subscription.is_listened_to),
            2 * stopped.topic_stopped + 4 * stopped.endpoint_stopped,
            write_cause(Cause.CLIENT, by),
        ]
        return await self._write(script("put", keys, arguments), name)

    async def remove(self, key: SubscriptionKey, expected_version: int | None, *, by: str = "") -> Put:
        shard, name = self._store.layout.shard_of(key), str(key)
        keys = [shard_key(shard, "due"), shard_key(shard, "m"), shard_key(shard, "why")]
        keys += [key(shard, name) for key in (log_key, dead_letters_key, attempts_key)]
        keys += [self._definitions(name), shard_key(shard, "t"), signing_key(shard, name)]
        expected: Argument = "" if expected_version is None else expected_version
        return await self._write(script("remove", keys, [name, expected, write_cause(Cause.CLIENT, by)]), name)

    async def _write(self, call: Command, name: str) -> Put:
        """Write and announce in one go: a definition that nobody heard of would be a Subscription that hears nothing.

        The log says only that something may have changed, so a refused write may be announced too. Who holds its
        socket is told at once: the Subscription may be off now.
        """
        entry = ("subscription", name)
        announcement: Command = ("XADD", REGISTRY_LOG, "MAXLEN", "~", MOST_LOG_ENTRIES, "*", *entry)
        reply, *_ = await self._store.send(call, announcement, ("PUBLISH", SOCKETS_CHANNEL, name))
        return _put(reply)

    async def confirm(self) -> None:
        """What was read so far is as durable as what is written (``Store.confirm``). Raises Unavailable."""
        await self._store.confirm()

    async def definitions(self, wanted: Sequence[tuple[str, int]]) -> list[Definition | None]:
        """The definitions of (Subscription, version); None when there is no such version."""
        if not wanted:
            return []
        calls = [("HGET", self._definitions(name), version) for name, version in wanted]
        return [Definition(**orjson.loads(raw)) if raw else None for raw in await self._store.send(*calls)]

    async def records(self, names: Sequence[str]) -> list[Record | None]:
        """The live records; None = never existed."""
        by_shard: dict[int, list[str]] = {}
        for name in names:
            by_shard.setdefault(self._store.layout.shard_of(name), []).append(name)
        chunks = [
            (shard, members[start : start + SCAN_BATCH])
            for shard, members in by_shard.items()
            for start in range(0, len(members), SCAN_BATCH)
        ]
        calls = [script("read", [shard_key(shard, "m"), shard_key(shard, "why")], members) for shard, members in chunks]
        found: dict[str, Record | None] = {}
        replies = await self._store.send(*calls) if calls else []
        for (_, members), reply in zip(chunks, replies, strict=True):
            found.update(zip(members, map(_record, reply), strict=True))
        return [found[name] for name in names]

    async def count(self) -> int:
        """How many Subscriptions there are or were."""
        calls: list[Command] = []
        for shard in range(self._store.layout.shards):
            calls += [("HLEN", shard_key(shard, "m")), ("HEXISTS", shard_key(shard, "m"), "")]
        replies = await self._store.send(*calls)
        return int(sum(replies[::2]) - sum(replies[1::2]))

    async def names(self) -> AsyncIterator[list[str]]:
        """Every Subscription there is or was, in batches."""
        for shard in range(self._store.layout.shards):
            cursor: Any = 0
            while True:
                ((cursor, pairs),) = await self._store.send(
                    ("HSCAN", shard_key(shard, "m"), cursor, "COUNT", SCAN_BATCH)
                )
                batch = pairs[::2] if isinstance(pairs, list) else pairs
                yield [name.decode() for name in batch if name]
                if int(cursor) == 0:
                    break

    def _definitions(self, name: str) -> str:
        return shard_key(self._store.layout.shard_of(name), "s", name)


def _put(reply: list[Any]) -> Put:
    return Put(WriteCode(reply[0].decode()), int(reply[1]) if len(reply) > 1 else 0)


def _record(reply: list[Any]) -> Record | None:
    if not reply:
        return None
    (status, definition, number, cursor, first_kept, failures, refused, verified, held, not_before, _, deaf, listener,
     again, forgiven, paused, _, _, error) = reply  # fmt: skip
    return Record(
        status=None if status == GONE else STATUSES[status],
        definition_version=definition,
        number=number,
        cursor=cursor,
        first_kept=first_kept,
        failures=failures,
        refused=refused,
        verified=bool(verified),
        held=bool(held),
        not_before=not_before,
        error=SubscriptionError(**json.loads(error)) if error else None,
        deaf=bool(deaf),
        listener=listener.decode(),
        again=read_stretches(again),
        forgiven=forgiven,
        paused=Pause(bool(paused & 1), bool(paused & 2), bool(paused & 4)),
    )
