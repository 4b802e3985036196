"""Changes of resources: taken in, evaluated in order, kept as long as something needs them.

A body lives in the entry of its change; the head of a resource names its newest entry. What a reader gets back are the
bytes that came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.domain.change import NO_OCCASION, ChangeId, Interaction, Occasion, ResourceKey
from hub.domain.trail import NO_TRAIL, Trail
from hub.errors import Fenced
from hub.store.acceptance import (
    INTERACTIONS,
    Accepted,
    Code,
    Offer,
    Remembered,
    Transacted,
    Whole,
    notice_of,
    offer_arguments,
    read_accepted,
    read_remembered,
    read_transacted,
)
from hub.store.client import Store
from hub.store.entry_cache import EntryCache
from hub.store.keys import REGISTRY_LOG, VALUE_SETS, Partition
from hub.store.occasions import read_occasion
from hub.store.scripts import Argument, Command, script
from hub.store.trails import read_trail

MOST_PER_ACCEPT = 32
"""Keeps the script under a millisecond (STORE §1.6)."""
MOST_FOUND = 2
"""By one condition in one partition: more than one is one too many."""
IDEMPOTENCY_MILLISECONDS = 24 * 3600 * 1000
MOST_VERSION_LINKS = 500
"""How far back a version is looked for: the store does nothing else meanwhile."""

MOST_HISTORY_BYTES = 8 * 1024 * 1024
"""Of the bodies in one page of a history."""
NO_PREVIOUS = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored change. ``previous`` is the id of the change before it on the same resource, "-" when none.

    Of an EVENT it is the change that made the version it is about. ``principal`` is who told it (ruling 31).
    """

    id: ChangeId
    type: str
    resource_id: str
    version: int
    interaction: Interaction
    previous: str
    hint: str
    body: bytes
    trail: Trail = NO_TRAIL
    principal: str = ""
    occasion: Occasion = NO_OCCASION


@dataclass(frozen=True, slots=True)
class Head:
    """The present version of a resource: the change that made it. It is held as long as it is the present one."""

    id: ChangeId
    version: int
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to evaluate a partition; ``epoch`` 0 means another holds it."""

    epoch: int
    cursor: ChangeId


def read_entry(identity: bytes, fields: Sequence[bytes] | dict[bytes, bytes]) -> Entry:
    pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    resource_type, _, resource_id = pairs[b"k"].decode().partition("/")
    return Entry(
        id=ChangeId.parse(identity.decode()),
        type=resource_type,
        resource_id=resource_id,
        version=int(pairs[b"v"]),
        interaction=INTERACTIONS[pairs[b"o"]],
        previous=pairs[b"p"].decode(),
        hint=pairs[b"h"].decode(),
        trail=read_trail(pairs[b"x"]),
        principal=pairs.get(b"w", b"").decode(),  # entries of earlier releases have neither
        occasion=read_occasion(pairs.get(b"e", b"")),
        body=pairs[b"b"],
    )


class Changes:
    """The change streams of all partitions."""

    def __init__(self, store: Store, *, most_waiting: int, most_copied: int = 65_536) -> None:
        self._store = store
        self._most_waiting = most_waiting
        self._most_copied = most_copied
        self._seen = EntryCache()

    async def accept(self, partition: Partition, offers: Sequence[Offer]) -> list[Accepted]:
        """Make up to MOST_PER_ACCEPT changes of one partition durable, in order (I1, I2, I4)."""
        places = {str(place): offer for place, offer in enumerate(offers)}
        (reply,) = await self._store.send(self._accept_call([partition], places))
        answers = [read_accepted(item) for item in reply[1:]]
        self._saw([(partition, answer) for answer in answers])
        return answers

    def _saw(self, answers: Iterable[tuple[Partition, Accepted]]) -> None:
        for partition, answer in answers:
            if answer.code is Code.OK and answer.id:
                self._store.witness.saw(partition, answer.id)

    def stand_still(self, partition: Partition) -> bool:
        """The store went backwards here: nothing may be numbered until that is repaired (I24)."""
        return self._store.witness.stops_numbering(partition)

    async def transact(self, offers: Mapping[str, Offer], whole: Whole | None = None) -> Transacted:
        """All changes or none, in one atomic step over their partitions (ruling 26). Offers go by their places.

        A transaction that was done before under the name of ``whole`` is not done again.
        """
        layout = self._store.layout
        touched = {layout.partition_of(offer.key): None for offer in offers.values()}
        for offer in offers.values():
            if offer.condition:  # what it looks for may live in any of them
                touched |= dict.fromkeys(layout.partitions_of(offer.key.tenant, offer.key.base))
        (reply,) = await self._store.send(self._accept_call(list(touched), offers, atomic=True, whole=whole))
        if reply[0] == 2:
            return read_transacted(reply[1])
        answers = [read_accepted(item) for item in reply[1:]]
        if reply[0] == 1:
            self._saw(zip((layout.partition_of(offer.key) for offer in offers.values()), answers, strict=True))
        return Transacted(reply[0] == 1, dict(zip(offers, answers, strict=True)))

    async def transacted(self, whole: Whole) -> Transacted | None:
        """How a transaction of this name was answered; None when there was none."""
        (record,) = await self._store.send(("GET", whole.partition.key("i", whole.name)))
        if not record:
            return None
        await self._store.confirm()
        return read_transacted(record)

    async def remembered(self, partitions: Sequence[Partition], name: str) -> Remembered | None:
        """What a request of this name was told; None when there was none."""
        for record in await self._store.send(*(("GET", partition.key("i", name)) for partition in partitions)):
            if record:
                await self._store.confirm()
                return read_remembered(record)
        return None

    def _accept_call(
        self,
        partitions: Sequence[Partition],
        offers: Mapping[str, Offer],
        *,
        atomic: bool = False,
        whole: Whole | None = None,
    ) -> Command:
        index = {partition: number for number, partition in enumerate(partitions, 1)}
        keys = [whole.partition.key("i", whole.name) if whole else partitions[0].key("i", "")]
        keys += [partition.key(name) for partition in partitions for name in ("own", "chg", "ids", "rid")]
        arguments: list[Argument] = [self._most_waiting, IDEMPOTENCY_MILLISECONDS, int(atomic), len(partitions)]
        arguments += [1, whole.fingerprint] if whole else [0, "-"]
        arguments.append(self._most_copied)
        for place, offer in offers.items():
            # One partition may be any: only the caller knows which of several a key belongs to.
            partition = partitions[0] if len(partitions) == 1 else self._store.layout.partition_of(offer.key)
            reference = offer.key.reference
            keys += [
                partition.key("r", reference),
                partition.key("i", offer.idempotency),
                partition.key("b", reference),
            ]
            arguments += [place, index[partition], *offer_arguments(offer)]
        if any(notice_of(offer.key) for offer in offers.values()):
            keys += [REGISTRY_LOG, VALUE_SETS]
        return script("accept", keys, arguments)

    async def found_by(self, partitions: Sequence[Partition], token: str) -> list[str]:
        """The ids of living resources that carry an identifier, over all these partitions; at most two of each."""
        between = (f"[{token} ", f"({token}!", "LIMIT", 0, MOST_FOUND)
        replies = await self._store.send(*(("ZRANGEBYLEX", partition.key("ids"), *between) for partition in partitions))
        return [member.decode().partition(" ")[2] for reply in replies for member in reply]

    async def own(self, partition: Partition, owner: str, incarnation: str, lease_milliseconds: int) -> Lease:
        call = script("own", [partition.key("own")], [owner, incarnation, lease_milliseconds])
        ((epoch, cursor),) = await self._store.send(call)
        return Lease(int(epoch), ChangeId.parse(cursor.decode()))

    async def disown(self, partition: Partition, owner: str, incarnation: str, epoch: int) -> None:
        await self._store.send(script("disown", [partition.key("own")], [owner, incarnation, epoch]))

    async def advance(
        self, partition: Partition, owner: str, incarnation: str, epoch: int, upto: ChangeId, count: int, lease: int
    ) -> None:
        """Move the cursor after every match of the changes up to ``upto`` was committed. Raises Fenced."""
        arguments: list[Argument] = [owner, incarnation, epoch, str(upto), count, lease]
        (reply,) = await self._store.send(script("advance", [partition.key("own")], arguments))
        if reply != b"OK":
            raise Fenced(f"partition {partition} has another owner")
        self._store.witness.saw(partition, upto)

    async def after(self, partition: Partition, cursor: ChangeId, most: int) -> list[Entry]:
        """The next changes in order."""
        (reply,) = await self._store.send(_after_call(partition, cursor, most))
        return [read_entry(identity, fields) for identity, fields in reply]

    async def after_and_news(self, partition: Partition, cursor: ChangeId, most: int) -> tuple[list[Entry], str]:
        """The next changes in order, and the newest entry of the registry log when they were read, or after it (I5).

        They are kept at hand for those who will ask for them.
        """
        call: Command = ("XREVRANGE", REGISTRY_LOG, "+", "-", "COUNT", 1)
        reply, news = await self._store.send(_after_call(partition, cursor, most), call)
        entries = [read_entry(identity, fields) for identity, fields in reply]
        for entry in entries:
            self._seen.put(partition, entry)
        return entries, news[0][0].decode() if news else "0-0"

    async def last(self, partition: Partition) -> ChangeId:
        """The newest change of the partition; ``0-0`` when there is none."""
        (reply,) = await self._store.send(("HGET", partition.key("own"), "last"))
        return ChangeId.parse(reply.decode()) if reply else ChangeId(0, 0)

    async def entries(self, partition: Partition, wanted: Sequence[tuple[ChangeId, str]]) -> list[Entry | None]:
        """The entries of these changes; each is named with its resource (``Type/id``). None = no longer held."""
        found = [self._seen.get(partition, identity) for identity, _ in wanted]
        for look in (self._in_stream, self._kept):
            missing = [place for place, entry in enumerate(found) if entry is None]
            for place, entry in zip(missing, await look(partition, [wanted[place] for place in missing]), strict=True):
                found[place] = entry
                if entry:
                    self._seen.put(partition, entry)
        return found

    async def _in_stream(self, partition: Partition, wanted: Sequence[tuple[ChangeId, str]]) -> list[Entry | None]:
        if not wanted:
            return []
        stream = partition.key("chg")
        replies = await self._store.send(*(("XRANGE", stream, str(identity), str(identity)) for identity, _ in wanted))
        return [read_entry(*reply[0]) if reply else None for reply in replies]

    async def _kept(self, partition: Partition, wanted: Sequence[tuple[ChangeId, str]]) -> list[Entry | None]:
        if not wanted:
            return []
        calls: list[Command] = [("HGETALL", partition.key("b", reference)) for _, reference in wanted]
        result: list[Entry | None] = []
        for (identity, _), fields in zip(wanted, await self._store.send(*calls), strict=True):
            pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
            same = pairs.get(b"id") == str(identity).encode()
            result.append(read_entry(pairs[b"id"], pairs) if same else None)
        return result

    async def version(self, partition: Partition, key: ResourceKey, version: int | None) -> Entry | None:
        """One version of a resource, None for the present one. None back: it never existed or is no longer held.

        The entry of a deletion is returned as it stands: the caller answers 410.
        """
        (reply,) = await self._store.send(_version_call(partition, key, version or 0))
        return read_entry(reply[0], reply[1]) if len(reply) == 2 else None

    async def present(self, wanted: Sequence[tuple[Partition, ResourceKey]]) -> list[Entry | None]:
        """The present version of each, as ``version`` gives it, in one pipeline."""
        if not wanted:
            return []
        replies = await self._store.send(*(_version_call(partition, key, 0) for partition, key in wanted))
        return [read_entry(reply[0], reply[1]) if len(reply) == 2 else None for reply in replies]

    async def heads(self, wanted: Sequence[tuple[Partition, ResourceKey]]) -> list[Head | None]:
        """The head of each, in one pipeline; None = it never existed. A deletion is a head too."""
        if not wanted:
            return []
        calls: list[Command] = [("GET", partition.key("r", key.reference)) for partition, key in wanted]
        return [_read_head(raw) if raw else None for raw in await self._store.send(*calls)]

    async def history(
        self, partition: Partition, key: ResourceKey, most: int, first: ChangeId | None = None
    ) -> list[Entry]:
        """Up to ``most`` versions, newest first, from its change ``first`` on (None = the newest), as far as held.

        Fewer when their bodies are large: go on from the ``previous`` of the last one.
        """
        keys = [partition.key("r", key.reference), partition.key("chg"), partition.key("b", key.reference)]
        arguments: list[Argument] = [key.reference, most, MOST_HISTORY_BYTES, str(first or "")]
        (reply,) = await self._store.send(script("history", keys, arguments))
        return [read_entry(identity, fields) for identity, fields in reply]

    async def oldest(self, partition: Partition, most: int) -> list[Entry]:
        (reply,) = await self._store.send(("XRANGE", partition.key("chg"), "-", "+", "COUNT", most))
        return [read_entry(identity, fields) for identity, fields in reply]

    async def retire(self, partition: Partition, entries: Sequence[Entry]) -> int:
        """Drop changes from the front of the stream; what is still a present version is kept apart (ruling 14)."""
        if not entries:
            return 0
        keys = [partition.key("chg"), partition.key("own")]
        for entry in entries:
            reference = f"{entry.type}/{entry.resource_id}"
            keys += [partition.key("r", reference), partition.key("b", reference)]
        (dropped,) = await self._store.send(script("retire", keys, [str(entry.id) for entry in entries]))
        return int(dropped)

    async def evaluated_upto(self, partition: Partition) -> ChangeId:
        """Every event of the changes up to here is in its log; ``0-0`` before the first."""
        (reply,) = await self._store.send(("HGET", partition.key("own"), "cur"))
        return ChangeId.parse(reply.decode()) if reply else ChangeId(0, 0)

    async def lag(self, partition: Partition) -> int:
        """Accepted changes that are not evaluated yet."""
        ((taken, left),) = await self._store.send(("HMGET", partition.key("own"), "in", "out"))
        return int(taken or 0) - int(left or 0)


def _after_call(partition: Partition, cursor: ChangeId, most: int) -> Command:
    return ("XRANGE", partition.key("chg"), f"({cursor}", "+", "COUNT", most)


def _read_head(raw: bytes) -> Head:
    version, identity, interaction = raw.split()
    return Head(ChangeId.parse(identity.decode()), int(version), INTERACTIONS[interaction])


def _version_call(partition: Partition, key: ResourceKey, version: int) -> Command:
    keys = [partition.key("r", key.reference), partition.key("chg"), partition.key("b", key.reference)]
    return script("version", keys, [version, MOST_VERSION_LINKS])
