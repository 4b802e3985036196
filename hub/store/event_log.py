"""The event log of each Subscription: a list of references, addressed by number.

number = first kept number + place in the list. A reference names the change and the definition version it was matched
under; bodies are stored once, with the change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.domain.change import ChangeId
from hub.store.client import Store
from hub.store.keys import shard_key
from hub.store.scripts import Command, script


@dataclass(frozen=True, slots=True)
class IncludedReference:
    """A further resource that travels with an event, in the version that was present when the event was committed."""

    partition_index: int
    change: ChangeId
    resource: str
    """``Type/id``."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which change an event is about. ``partition_index`` counts within the Subscription's own (tenant, base)."""

    partition_index: int
    change: ChangeId
    definition_version: int
    included: tuple[IncludedReference, ...] = ()


def read_reference(raw: bytes) -> Reference:
    index, change, definition, *included = raw.decode().split(":", 3)
    parts = [part.split(";") for part in included[0].split(",")] if included else []
    return Reference(
        int(index),
        ChangeId.parse(change),
        int(definition),
        tuple(IncludedReference(int(place), ChangeId.parse(identity), name) for place, identity, name in parts),
    )


def write_reference(reference: Reference) -> str:
    plain = f"{reference.partition_index}:{reference.change}:{reference.definition_version}"
    included = ",".join(f"{one.partition_index};{one.change};{one.resource}" for one in reference.included)
    return f"{plain}:{included}" if included else plain


def log_key(shard: int, subscription: str) -> str:
    return shard_key(shard, "e", subscription)


def dead_letters_key(shard: int, subscription: str) -> str:
    return shard_key(shard, "x", subscription)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that its endpoint refused for good (ruling 19)."""

    number: int
    reference: Reference
    status: int
    detail: str


def write_dead_letter(reference: Reference, status: int, detail: str) -> str:
    return json.dumps({"reference": write_reference(reference), "status": status, "detail": detail})


class EventLog:
    """Reads and trims the logs; appending is COMMIT's alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, wanted: Sequence[tuple[str, range]]) -> list[tuple[int, list[Reference]]]:
        """For each (Subscription, numbers): (number of the first, references), lowest first, as far as held."""
        calls = [self._read_call(name, numbers) for name, numbers in wanted]
        replies = await self._store.send(*calls) if calls else []
        return [(reply[0], [read_reference(raw) for raw in reply[1]]) if reply[0] else (0, []) for reply in replies]

    def _read_call(self, name: str, numbers: range) -> Command:
        keys = [shard_key(self._store.layout.shard_of(name), "m"), self._key(name)]
        return script("references", keys, [name, numbers.start, numbers.stop - 1])

    async def trim(self, subscription: str, first_to_keep: int) -> int:
        """Drop numbers below ``first_to_keep``, never past the cursor. Returns how many went."""
        shard = self._store.layout.shard_of(subscription)
        keys = [shard_key(shard, "m"), log_key(shard, subscription)]
        (dropped,) = await self._store.send(script("trim", keys, [subscription, first_to_keep]))
        return int(dropped)

    async def dead_letters(self, subscription: str) -> list[DeadLetter]:
        """Lowest number first."""
        shard = self._store.layout.shard_of(subscription)
        (reply,) = await self._store.send(("HGETALL", dead_letters_key(shard, subscription)))
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return sorted((_dead_letter(int(number), json.loads(raw)) for number, raw in pairs), key=lambda d: d.number)

    async def dead_letter_references(self, subscription: str, numbers: range) -> list[Reference]:
        """What these dead letters are about, as far as they are held."""
        shard = self._store.layout.shard_of(subscription)
        (reply,) = await self._store.send(("HMGET", dead_letters_key(shard, subscription), *numbers))
        return [read_reference(json.loads(raw)["reference"].encode()) for raw in reply if raw]

    def _key(self, subscription: str) -> str:
        return log_key(self._store.layout.shard_of(subscription), subscription)


def _dead_letter(number: int, record: dict[str, Any]) -> DeadLetter:
    return DeadLetter(number, read_reference(record["reference"].encode()), record["status"], record["detail"])
