"""Taking changes in: make them durable. The caller may answer 2xx when this returns.

Many callers share one write to the store: while a batch is on its way, the next one collects (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hub.beside import beside
from hub.domain.change import ChangeId, Interaction, Resource, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Full, Gone, NotFound, PreconditionFailed, Refused, Unavailable
from hub.fhir.splice import with_meta
from hub.intake.conditions import Condition, Conditions, settled
from hub.intake.offers import (
    ANYTHING,
    Repeatable,
    addressed,
    conditional_replacement,
    creation,
    named,
    refuse,
    removal,
    replacement,
    reused,
)
from hub.intake.patching import Change, patched
from hub.intake.placing import placed
from hub.reading.events import shown
from hub.store.acceptance import Accepted, Code, Offer, Transacted, Whole
from hub.store.changes import MOST_PER_ACCEPT, NO_PREVIOUS, Changes, Entry
from hub.store.keys import Layout, Partition
from hub.store.pressure import Pressure

Query = Sequence[tuple[str, str]]
MOST_QUEUED = 4096
"""Changes that wait for the write before theirs; their bytes are counted as those of bodies (HUB_MAX_BODIES_BYTES)."""


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
    """One version of a resource in its history; ``body`` b"" for a deletion, ``earlier`` the version before it."""

    version: int
    interaction: Interaction
    last_updated: ChangeId
    body: bytes
    earlier: ChangeId | None


class Intake:
    """Accepts changes of ordinary resources. ``accepted`` is called with the partition after each batch."""

    def __init__(
        self,
        changes: Changes,
        conditions: Conditions,
        layout: Layout,
        accepted: Callable[[Partition], None],
        pressure: Pressure,
    ) -> None:
        self._changes = changes
        self._conditions = conditions
        self._layout = layout
        self._accepted = accepted
        self._pressure = pressure
        self._queues: dict[Partition, list[tuple[Offer, asyncio.Future[Accepted]]]] = {}
        self._senders: dict[Partition, asyncio.Task[None]] = {}

    async def create(
        self, key: ResourceKey, raw: bytes, resource: Resource, repeatable: Repeatable, if_none_exist: Query = ()
    ) -> Stored:
        """POST. With ``if_none_exist`` the resource that is there already is answered instead (``created`` False)."""
        if not if_none_exist:
            offer = await beside(len(raw), creation, named(key, repeatable), raw, resource, repeatable)
            return await self.write(offer)

        async def attempt() -> Stored:
            condition = await self.find(key, if_none_exist)
            if condition.id and not condition.token:
                return await self.read(replace(key, id=condition.id))
            offer = await beside(len(raw), creation, named(key, repeatable), raw, resource, repeatable, condition)
            return await self.write(offer)

        if before := await self._repeated(key, repeatable):
            return before
        return await settled(attempt)

    async def update(
        self, key: ResourceKey, raw: bytes, resource: Resource, repeatable: Repeatable, if_match: int | None
    ) -> Stored:
        """PUT, also of an id that was never seen (update-as-create counts as create, ruling 12)."""
        return await self.write(await beside(len(raw), replacement, key, raw, resource, repeatable, if_match))

    async def update_where(
        self,
        key: ResourceKey,
        query: Query,
        raw: bytes,
        resource: Resource,
        repeatable: Repeatable,
        if_match: int | None = None,
    ) -> Stored:
        """Conditional update: of the one that is found, else create, with the id of the body if it has one."""

        async def attempt() -> Stored:
            condition = await self.find(key, query)
            found = addressed(key, condition, resource, repeatable)
            offer = await beside(
                len(raw), conditional_replacement, found, raw, resource, repeatable, if_match, condition
            )
            return await self.write(offer)

        if before := await self._repeated(key, repeatable):
            return before
        return await settled(attempt)

    async def delete_where(
        self, key: ResourceKey, query: Query, repeatable: Repeatable, if_match: int | None = None
    ) -> Stored | None:
        """Conditional delete of the one that is found; None when there is none."""

        async def attempt() -> Stored | None:
            condition = await self.find(key, query)
            if not condition.id:
                return None
            return await self.write(removal(replace(key, id=condition.id), repeatable, if_match, condition))

        if before := await self._repeated(key, repeatable):
            return before
        return await settled(attempt)

    async def patch(
        self, key: ResourceKey, change: Change, repeatable: Repeatable, if_match: int | None, query: Query = ()
    ) -> Stored:
        """PATCH: ``change`` of the present version, written only if that is still present; else tried on the newer one.

        With ``query`` of the one that is found (S-031, a conditional patch by its outcome). A repeat is not applied
        again. Raises NotFound, Gone and what ``change`` raises.
        """

        async def attempt() -> Stored:
            found, condition = await self.to_patch(key, query)
            patch = await patched(found, await self.present(found, if_match), change)
            return await self.write(await beside(len(patch.raw), patch.offer, repeatable, condition))

        if before := await self._repeated(key, repeatable):
            return before
        try:
            return await settled(attempt)
        except Refused:  # the same request may have been faster, and what it patched cannot be patched so again
            if before := await self._repeated(key, repeatable):
                return before
            raise

    async def to_patch(self, key: ResourceKey, query: Query, where: str = "") -> tuple[ResourceKey, Condition]:
        """Whom a patch is about: ``key``, or with ``query`` the one that meets it. Raises NotFound when none does."""
        if not query:
            return key, ANYTHING
        condition = await self.find(key, query, where)
        if not condition.id:
            raise NotFound(f"no {key.type} meets the condition; a patch creates none", expression=where)
        return replace(key, id=condition.id), condition

    async def delete(self, key: ResourceKey, repeatable: Repeatable, if_match: int | None) -> Stored:
        """DELETE; of a resource that is already deleted it is no change (idempotent), of an unknown one NotFound."""
        return await self.write(removal(key, repeatable, if_match))

    async def read(self, key: ResourceKey, version: int | None = None) -> Stored:
        """The present or a named version. Raises NotFound, and Gone when that version is a deletion."""
        entry = await self._held(key, version)
        return Stored(key, entry.version, entry.id, False, shown(entry))

    async def present(self, key: ResourceKey, if_match: int | None) -> Entry:
        """The present version as it is held. Raises NotFound, Gone, PreconditionFailed when ``if_match`` is another."""
        entry = await self._held(key)
        if if_match not in (None, entry.version):
            raise PreconditionFailed(f"If-Match names another version: {key.reference} has version {entry.version}")
        return entry

    async def _held(self, key: ResourceKey, version: int | None = None) -> Entry:
        entry = await self._changes.version(self._layout.partition_of(key), key, version)
        if entry is None:
            what = key.reference if version is None else f"version {version} of {key.reference}"
            raise NotFound(f"{what} is not held here")
        if entry.interaction is Interaction.DELETE:
            raise Gone(f"{key.reference} was deleted")
        return entry

    async def history(self, key: ResourceKey, most: int, first: ChangeId | None = None) -> list[HistoryVersion]:
        """Versions that are still held, newest first, from ``first`` on. Raises NotFound when there never was one."""
        entries = await self._changes.history(self._layout.partition_of(key), key, most, first)
        if not entries and first is None:
            raise NotFound(f"{key.reference} is not held here")
        return [
            HistoryVersion(each.version, each.interaction, each.id, shown(each), _earlier(each)) for each in entries
        ]

    async def find(self, key: ResourceKey, query: Query, where: str = "") -> Condition:
        """The one resource of the type of ``key`` that meets the condition. Raises Malformed, PreconditionFailed."""
        return await self._conditions.find(key.tenant, key.base, key.type, query, where)

    async def write(self, offer: Offer) -> Stored:
        """Make one offer durable. Raises what stands in its way, also Overloaded."""
        self._pressure.refuse_change()
        if offer.condition and self._layout.partitions > 1:  # it is looked up in all of them: an atomic step of its own
            accepted = (await self._changes.transact({"": offer})).answers[""]
        else:
            accepted = await self._enqueue(offer)
        refuse(offer, accepted)
        return await self._stored(offer.key, accepted, offer)

    async def write_all(
        self, tenant: str, base: FhirVersion, offers: Mapping[str, Offer], repeatable: Repeatable
    ) -> dict[str, Stored]:
        """All or none, in one atomic step (ruling 26); offers and results go by the element that each came from.

        Raises what stands in the way of the first that cannot be, also Overloaded. A repeat is told what the first one
        was told.
        """
        self._pressure.refuse_change()
        done = await self._changes.transact(offers, self._whole(tenant, base, repeatable))
        if done.fingerprint:
            return await self._told(tenant, base, done, repeatable)
        for place, offer in offers.items():
            with placed(place):
                refuse(offer, done.answers[place])
        assert done.written
        return await self._all_stored(ResourceKey(tenant, base, "", ""), done.answers, offers)

    async def written_before(self, tenant: str, base: FhirVersion, repeatable: Repeatable) -> dict[str, Stored] | None:
        """What ``write_all`` told this very request before; None when it is new."""
        whole = self._whole(tenant, base, repeatable)
        done = await self._changes.transacted(whole) if whole else None
        return await self._told(tenant, base, done, repeatable) if done else None

    def _whole(self, tenant: str, base: FhirVersion, repeatable: Repeatable) -> Whole | None:
        partition = self._layout.partitions_of(tenant, base)[0]
        return Whole(partition, repeatable.name, repeatable.fingerprint) if repeatable.name else None

    async def _told(
        self, tenant: str, base: FhirVersion, done: Transacted, repeatable: Repeatable
    ) -> dict[str, Stored]:
        if done.fingerprint != repeatable.fingerprint:
            raise reused()
        return await self._all_stored(ResourceKey(tenant, base, "", ""), done.answers, {})

    async def _all_stored(
        self, key: ResourceKey, answers: Mapping[str, Accepted], offers: Mapping[str, Offer]
    ) -> dict[str, Stored]:
        """By place; without a resource that was found and deleted meanwhile: what is written stays written."""
        stored: dict[str, Stored] = {}
        for place, accepted in answers.items():
            offer = offers.get(place)
            with suppress(NotFound, Gone):
                stored[place] = await self._stored(offer.key if offer else key, accepted, offer)
        return stored

    async def _repeated(self, key: ResourceKey, repeatable: Repeatable) -> Stored | None:
        """What this very request was told before; None when it is new.

        Asked before a condition or a patch is tried again: by now it may find what the first one made.
        """
        if not repeatable.name:
            return None
        partitions = self._layout.partitions_of(key.tenant, key.base)
        found = await self._changes.remembered(partitions, repeatable.name)
        if found is None:
            return None
        if found[0] != repeatable.fingerprint:
            raise reused()
        return await self._stored(key, found[1])

    async def _stored(self, key: ResourceKey, accepted: Accepted, offer: Offer | None = None) -> Stored:
        """``key`` gives tenant and base; ``offer`` None for a repeat of which only the record is known."""
        resource_type, _, identity = (accepted.reference or key.reference).partition("/")
        key = replace(key, type=resource_type, id=identity)
        if accepted.id is None:  # a conditional create that found it
            return await self.read(key)
        if accepted.code is Code.OK:
            self._accepted(self._layout.partition_of(key))
        created = accepted.interaction in (Interaction.CREATE, Interaction.LOAD)
        body = await self._body(key, accepted, offer)
        return Stored(key, accepted.version, accepted.id, created, body)

    async def _body(self, key: ResourceKey, accepted: Accepted, offer: Offer | None) -> bytes:
        """What is shown of the version that an answer names, b"" when it is no longer held."""
        if accepted.interaction is Interaction.DELETE:
            return b""
        if offer and (accepted.code is not Code.REPEAT or offer.key == key):
            assert accepted.id is not None
            return offer.body and with_meta(offer.body, offer.hint, str(accepted.version), accepted.id.instant)
        entry = await self._changes.version(self._layout.partition_of(key), key, accepted.version)
        return shown(entry) if entry else b""

    async def _enqueue(self, offer: Offer) -> Accepted:
        partition = self._layout.partition_of(offer.key)
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(partition, [])
        if len(queue) >= MOST_QUEUED:
            raise Full(f"{MOST_QUEUED} changes of this base wait in this process to be written, the most that may")
        queue.append((offer, answer))
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


def _earlier(entry: Entry) -> ChangeId | None:
    return None if entry.previous == NO_PREVIOUS else ChangeId.parse(entry.previous)
