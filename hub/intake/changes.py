"""Taking changes in: make them durable. The caller may answer 2xx when this returns.

Many callers share one write to the store: while a batch is on its way, the next one collects (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hub.domain.change import ChangeId, Interaction, Resource, ResourceKey
from hub.errors import Conflict, Gone, Malformed, NotFound, PreconditionFailed, Refused, Unavailable
from hub.fhir.json import read_json, write_json
from hub.fhir.splice import with_id, with_meta
from hub.intake.conditions import Condition, Conditions
from hub.intake.offers import Repeatable, Request, creation, loading, named, refuse, removal, replacement
from hub.reading.events import shown
from hub.store.changes import MOST_PER_ACCEPT, Accepted, Changes, Code, Entry, Offer
from hub.store.keys import Layout, Partition

MOST_TRIES = 5
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as it now stands. ``body`` are the bytes to show, b"" after a delete; ``created``: answer 201."""

    key: ResourceKey
    version: int
    last_updated: ChangeId
    created: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class HistoryVersion:
    """One version of a resource in its history; ``body`` b"" for a deletion."""

    version: int
    interaction: Interaction
    last_updated: ChangeId
    body: bytes


class Intake:
    """Accepts changes of ordinary resources. ``accepted`` is called with the partition after each batch."""

    def __init__(
        self, changes: Changes, conditions: Conditions, layout: Layout, accepted: Callable[[Partition], None]
    ) -> None:
        self._changes = changes
        self._conditions = conditions
        self._layout = layout
        self._accepted = accepted
        self._queues: dict[Partition, list[tuple[Offer, asyncio.Future[Accepted]]]] = {}
        self._senders: dict[Partition, asyncio.Task[None]] = {}

    async def create(
        self, key: ResourceKey, raw: bytes, resource: Resource, request: Request, if_none_exist: Query = ()
    ) -> Stored:
        """POST. With ``if_none_exist`` the resource that is there already is answered instead (``created`` False)."""
        repeatable = Repeatable.of(request, raw)
        condition = await self._condition(key, if_none_exist)
        if condition.id and not repeatable.name:
            return await self.read(ResourceKey(key.tenant, key.base, key.type, condition.id))
        return await self.write(creation(named(key, repeatable), raw, resource, repeatable, condition))

    async def update(
        self, key: ResourceKey, raw: bytes, resource: Resource, request: Request, if_match: int | None
    ) -> Stored:
        """PUT, also of an id that was never seen (update-as-create counts as create, ruling 12)."""
        return await self.write(replacement(key, raw, resource, Repeatable.of(request, raw), if_match))

    async def update_where(
        self, key: ResourceKey, query: Query, raw: bytes, resource: Resource, request: Request
    ) -> Stored:
        """Conditional update: of the one that is found, else create, with the id of the body if it has one."""
        condition = await self._condition(key, query)
        repeatable = Repeatable.of(request, raw)
        own = resource.get("id")
        if condition.id:
            if own not in (None, condition.id):
                raise Malformed(
                    f"the body has another id than what is found, {condition.id}", expression=f"{key.type}.id"
                )
            found = replace(key, id=condition.id)
            body = with_id(raw, resource, condition.id)
            return await self.write(
                replacement(found, body, {**resource, "id": condition.id}, repeatable, None, condition)
            )
        fresh = replace(key, id=own) if isinstance(own, str) else named(key, repeatable)
        return await self.write(creation(fresh, raw, resource, repeatable, condition))

    async def delete_where(self, key: ResourceKey, query: Query, request: Request) -> Stored | None:
        """Conditional delete of the one that is found; None when there is none."""
        condition = await self._condition(key, query)
        if not condition.id:
            return None
        found = replace(key, id=condition.id)
        return await self.write(removal(found, Repeatable.of(request, b""), None, condition))

    async def patch(
        self,
        key: ResourceKey,
        change: Callable[[Resource], Resource],
        request: Request,
        raw: bytes,
        if_match: int | None,
    ) -> Stored:
        """PATCH: ``change`` of the present version, written only if that is still present; else tried on the newer one.

        ``raw`` is the patch itself, by which a repeat is recognised. Raises NotFound, Gone and what ``change`` raises.
        """
        repeatable = Repeatable.of(request, raw)
        for _ in range(MOST_TRIES):
            entry = await self._present(key)
            patched = change(read_json(entry.body))
            offer = replacement(key, write_json(patched), patched, repeatable, if_match or entry.version)
            try:
                return await self.write(offer)
            except PreconditionFailed:
                if if_match is not None:
                    raise
        raise Conflict(f"{key.reference} is being written by others; send it again")

    async def delete(self, key: ResourceKey, request: Request, if_match: int | None) -> Stored:
        """DELETE; of a resource that is already deleted it is no change (idempotent), of an unknown one NotFound."""
        return await self.write(removal(key, Repeatable.of(request, b""), if_match))

    async def load(self, key: ResourceKey, raw: bytes, resource: Resource) -> Stored:
        """Store a state without announcing it; the same bytes again change nothing (rulings 13, 34)."""
        return await self.write(loading(key, raw, resource))

    async def read(self, key: ResourceKey, version: int | None = None) -> Stored:
        """The present or a named version. Raises NotFound, and Gone when that version is a deletion."""
        entry = await self._present(key, version)
        return Stored(key, entry.version, entry.id, False, shown(entry))

    async def _present(self, key: ResourceKey, version: int | None = None) -> Entry:
        entry = await self._changes.version(self._layout.partition_of(key), key, version)
        if entry is None:
            what = key.reference if version is None else f"version {version} of {key.reference}"
            raise NotFound(f"{what} is not held here")
        if entry.interaction is Interaction.DELETE:
            raise Gone(f"{key.reference} was deleted")
        return entry

    async def history(self, key: ResourceKey, most: int, before: int) -> list[HistoryVersion]:
        """The versions that are still held, newest first. Raises NotFound when there never was one."""
        entries = await self._changes.history(self._layout.partition_of(key), key, most, before)
        if not entries and not before:
            raise NotFound(f"{key.reference} is not held here")
        return [HistoryVersion(entry.version, entry.interaction, entry.id, shown(entry)) for entry in entries]

    async def write(self, offer: Offer) -> Stored:
        """Make one offer durable. Raises what stands in its way."""
        accepted = await self._enqueue(offer)
        refuse(offer, accepted)
        return self._stored(offer, accepted)

    async def write_all(self, offers: Sequence[Offer], where: Sequence[str] = ()) -> list[Stored]:
        """All or none, in one atomic step (ruling 26). Raises what stands in the way of the first that cannot be.

        ``where`` names the element that each offer came from. A repeat answers as the first time; a load that went with
        it is left out.
        """
        partitions = [self._layout.partition_of(offer.key) for offer in offers]
        done, answers = await self._changes.transact(partitions, offers)
        for offer, accepted, element in zip(offers, answers, where or [""] * len(offers), strict=True):
            try:
                refuse(offer, accepted)
            except Refused as problem:
                raise type(problem)(*(replace(issue, expression=element) for issue in problem.issues)) from None
        if not done:
            raise Conflict("the transaction was refused as a whole; send it again")
        return [
            self._stored(offer, accepted)
            for offer, accepted in zip(offers, answers, strict=True)
            if accepted.code is not Code.READY
        ]

    def _stored(self, offer: Offer, accepted: Accepted) -> Stored:
        assert accepted.id is not None
        if accepted.code is Code.OK:
            self._accepted(self._layout.partition_of(offer.key))
        created = accepted.interaction in (Interaction.CREATE, Interaction.LOAD)
        body = offer.body and with_meta(offer.body, offer.hint, str(accepted.version), accepted.id.instant)
        return Stored(offer.key, accepted.version, accepted.id, created, body)

    async def _condition(self, key: ResourceKey, query: Query) -> Condition:
        if not query:
            return Condition()
        return await self._conditions.find(key.tenant, key.base, key.type, query)

    async def _enqueue(self, offer: Offer) -> Accepted:
        partition = self._layout.partition_of(offer.key)
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(partition, []).append((offer, answer))
        if partition not in self._senders:
            self._senders[partition] = asyncio.create_task(self._send(partition))
        return await answer

    async def _send(self, partition: Partition) -> None:
        queue = self._queues[partition]
        try:
            while queue:
                batch, queue[:] = queue[:MOST_PER_ACCEPT], queue[MOST_PER_ACCEPT:]
                await self._send_batch(partition, batch)
        finally:
            del self._senders[partition]

    async def _send_batch(self, partition: Partition, batch: list[tuple[Offer, asyncio.Future[Accepted]]]) -> None:
        try:
            answers = await self._changes.accept(partition, [offer for offer, _ in batch])
        except Exception as problem:  # noqa: BLE001 each caller must hear of it, whatever it was, and the next batch go on
            waiting = self._queues[partition]
            if isinstance(problem, Unavailable):  # nobody waits for longer than one time-out of the store
                batch, waiting[:] = batch + waiting, []
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(problem)
            return
        for (_, answer), accepted in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(accepted)
