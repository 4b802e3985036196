"""The words of ACCEPT: what is offered, what the script is told and what it answers (``lua/accept.lua``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.domain.change import NO_OCCASION, ChangeId, Interaction, Occasion, ResourceKey
from hub.domain.trail import NO_TRAIL, Trail
from hub.store.keys import Partition
from hub.store.occasions import write_occasion
from hub.store.scripts import Argument
from hub.store.trails import write_trail

INTERACTIONS = {
    b"c": Interaction.CREATE, b"u": Interaction.UPDATE, b"d": Interaction.DELETE, b"l": Interaction.LOAD,
    b"e": Interaction.EVENT,
}  # fmt: skip
NOTICED = "ValueSet"
"""The type of ordinary resources that filters, criteria and expressions refer to."""
NOTHING_WRITTEN = b"0-0"
"""Stands where the id of a change would: a conditional create found what it asked for."""


class Operation(StrEnum):
    """What the caller wants done; the script decides what it amounts to."""

    CREATE = "create"
    PUT = "put"
    UNSEEN = "unseen"
    """A put whose body claims an earlier version elsewhere: update with previous unknown (ruling 13)."""
    DELETE = "delete"
    LOAD = "load"
    EVENT = "event"
    """Something happened elsewhere that is about the resource; without a body its present version goes along."""


class Code(StrEnum):
    """How ACCEPT answered one change."""

    OK = "ok"
    REPEAT = "repeat"
    SAME = "same"
    REUSED = "reused"
    CONFLICT = "conflict"
    ABSENT = "absent"
    GONE = "gone"
    EXISTS = "exists"
    MOVED = "moved"
    FOUND = "found"
    """A conditional create found its resource: nothing was written, ``Accepted.reference`` names it."""
    BUSY = "busy"
    LARGE = "large"
    """The held body, which an event was to copy, has more bytes (``Accepted.version``) than an event copies."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One change to be accepted. ``body`` is final: id in it, everything else as received.

    ``expected_version`` None = any. ``idempotency`` "" = none; it names the record, ``fingerprint`` the request.
    ``hint`` tells where meta is to be completed when the bytes leave (``hub.fhir.splice``). ``identifiers`` are the
    tokens by which conditional interactions find the resource; ``condition`` is the token that must find exactly
    ``finds`` (ids joined by a space) at the moment of writing, else nothing happens (MOVED).
    """

    key: ResourceKey
    operation: Operation
    body: bytes
    expected_version: int | None = None
    idempotency: str = ""
    fingerprint: str = "-"
    hint: str = ""
    trail: Trail = NO_TRAIL
    identifiers: tuple[str, ...] = ()
    condition: str = ""
    finds: str = ""
    as_of: int | None = None
    """Of a LOAD: the milliseconds at which it was true; what a change has told later stays. None: it stands anyway."""
    principal: str = ""
    """Who told it (ruling 31)."""
    occasion: Occasion = NO_OCCASION
    derived: bool = False
    """The body was made from ``expected_version``: when that is no longer the present one, it can be made anew."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to one offer. ``version`` is the one made, or for CONFLICT the present one (0 = there is none).

    ``reference`` (Type/id) is what was written or found; a repeat is told what it was the first time.
    ``interaction`` None: nothing was written.
    """

    code: Code
    id: ChangeId | None = None
    version: int = 0
    previous: str = "-"
    interaction: Interaction | None = None
    reference: str = ""


Remembered = tuple[str, Accepted]
"""(fingerprint of the request, what it was told)."""


@dataclass(frozen=True, slots=True)
class Whole:
    """By what a repeat of a transaction is recognised; its record lives in ``partition``."""

    partition: Partition
    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Transacted:
    """The answers to a transaction by place. ``written`` False: nothing was; the answers say what stood in the way.

    ``fingerprint`` is that of the request that was answered so before, "" when this one is the first.
    """

    written: bool
    answers: dict[str, Accepted]
    fingerprint: str = ""


def offer_arguments(offer: Offer) -> list[Argument]:
    """An offer as the script reads it, from its key on."""
    return [
        offer.key.reference,
        offer.operation,
        "" if offer.expected_version is None else offer.expected_version,
        1 if offer.idempotency else 0,
        offer.fingerprint,
        offer.hint,
        write_trail(offer.trail),
        " ".join(offer.identifiers),
        offer.condition,
        offer.finds,
        "" if offer.as_of is None else offer.as_of,
        offer.principal,
        write_occasion(offer.occasion),
        offer.body,
        notice_of(offer.key),
    ]


def notice_of(key: ResourceKey) -> str:
    """The name under which the registry log tells of a change of ``key``; "" of what the registry does not hold."""
    return f"{key.tenant}|{key.base}|{key.id}" if key.type == NOTICED else ""


def read_accepted(item: Sequence[Any]) -> Accepted:
    """One answer of the script: code, id, version, previous id, interaction, key, as far as it has them."""
    code = Code(item[0].decode())
    if len(item) < 5:
        return Accepted(code, version=int(item[2]) if len(item) > 2 else 0)
    reference = item[5].decode() if len(item) > 5 else ""
    if item[1] == NOTHING_WRITTEN:
        return Accepted(code, reference=reference)
    _, identity, version, previous, interaction = item[:5]
    return Accepted(
        code, ChangeId.parse(identity.decode()), int(version), previous.decode(), INTERACTIONS[interaction], reference
    )


def read_remembered(record: bytes) -> Remembered:
    """The record that a request left: what it was told is told again."""
    *told, fingerprint, reference = record.split(b" ")
    return fingerprint.decode(), read_accepted([b"repeat", *told, reference])


def read_transacted(record: bytes) -> Transacted:
    """The record that a transaction left."""
    fingerprint, told = json.loads(record)
    answers = {place: read_accepted([str(part).encode() for part in ("repeat", *rest)]) for place, _, *rest in told}
    return Transacted(True, answers, fingerprint)
