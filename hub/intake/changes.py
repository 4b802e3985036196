"""Taking a change in: identify it, recognise a repeat, make it durable. The caller may answer 2xx when this returns.

Many callers share one write to the store: while a batch is on its way, the next one collects (group commit).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hub.domain.change import ChangeId, Interaction, Resource, ResourceKey
from hub.errors import (
    Conflict,
    Gone,
    Malformed,
    NotFound,
    Overloaded,
    PreconditionFailed,
    Unavailable,
    Unprocessable,
)
from hub.fhir.splice import check_meta, meta_hint, with_id, with_meta
from hub.reading.events import shown
from hub.store.changes import MOST_PER_ACCEPT, Accepted, Changes, Code, Offer, Operation
from hub.store.keys import Layout, Partition

RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Request:
    """What of an HTTP request matters for recognising a repeat (ruling 25) and for following it later.

    ``idempotency_key`` and ``request_id`` are the header values, "" when absent.
    """

    method: str
    path: str
    principal: str
    idempotency_key: str = ""
    request_id: str = ""
    correlation: str = ""

    def identity(self, body: bytes) -> tuple[str, str]:
        """(name of the idempotency record, fingerprint of the request); ("", "-") when nothing identifies it.

        An Idempotency-Key used for another request is an error; an X-Request-ID then is simply another request.
        """
        fingerprint = _digest(self.method, self.path, body)
        if self.idempotency_key:
            return "k" + _digest(self.principal, self.idempotency_key), fingerprint
        if self.request_id:
            return "x" + _digest(self.principal, self.request_id, fingerprint), fingerprint
        return "", "-"


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as it now stands. ``body`` are the bytes to show, b"" after a delete; ``created``: answer 201."""

    key: ResourceKey
    version: int
    last_updated: ChangeId
    created: bool
    body: bytes


class Intake:
    """Accepts changes of ordinary resources. ``accepted`` is called with the partition after each batch."""

    def __init__(self, changes: Changes, layout: Layout, accepted: Callable[[Partition], None]) -> None:
        self._changes = changes
        self._layout = layout
        self._accepted = accepted
        self._queues: dict[Partition, list[tuple[Offer, asyncio.Future[Accepted]]]] = {}
        self._senders: dict[Partition, asyncio.Task[None]] = {}

    async def create(self, key: ResourceKey, raw: bytes, resource: Resource, request: Request) -> Stored:
        """POST: the hub names the resource; ``key.id`` is ignored. The same request gets the same id (REDIS §3.2)."""
        check_meta(resource)
        name, fingerprint = request.identity(raw)
        identity = _derived_id(name) if name else new_id()
        named = ResourceKey(key.tenant, key.base, key.type, identity)
        body = with_id(raw, resource, identity)
        hint = meta_hint(body, resource)
        return await self._offer(
            Offer(named, Operation.CREATE, body, None, name, fingerprint, hint, request.correlation)
        )

    async def update(
        self, key: ResourceKey, raw: bytes, resource: Resource, request: Request, if_match: int | None
    ) -> Stored:
        """PUT, also of an id that was never seen (update-as-create counts as create, ruling 12)."""
        if "id" not in resource:
            raise Malformed(f'the body has no id; write "id": "{key.id}" as in the URL', expression=f"{key.type}.id")
        if resource["id"] != key.id:
            raise Malformed(
                f"the id of the body differs from the one of the URL, {key.id}", expression=f"{key.type}.id"
            )
        check_meta(resource)
        name, fingerprint = request.identity(raw)
        operation = Operation.UNSEEN if _was_elsewhere(resource) else Operation.PUT
        hint = meta_hint(raw, resource)
        return await self._offer(Offer(key, operation, raw, if_match, name, fingerprint, hint, request.correlation))

    async def delete(self, key: ResourceKey, request: Request, if_match: int | None) -> Stored:
        """DELETE; of a resource that is already deleted it is no change (idempotent), of an unknown one NotFound."""
        name, fingerprint = request.identity(b"")
        return await self._offer(
            Offer(key, Operation.DELETE, b"", if_match, name, fingerprint, correlation=request.correlation)
        )

    async def read(self, key: ResourceKey, version: int | None = None) -> Stored:
        """The present or a named version. Raises NotFound, and Gone when that version is a deletion."""
        entry = await self._changes.version(self._layout.partition_of(key), key, version)
        if entry is None:
            what = key.reference if version is None else f"version {version} of {key.reference}"
            raise NotFound(f"{what} is not held here")
        if entry.interaction is Interaction.DELETE:
            raise Gone(f"{key.reference} was deleted")
        return Stored(key, entry.version, entry.id, False, shown(entry))

    async def _offer(self, offer: Offer) -> Stored:
        accepted = await self._enqueue(offer)
        _refuse(offer, accepted)
        assert accepted.id is not None
        if accepted.code is Code.OK:
            self._accepted(self._layout.partition_of(offer.key))
        created = accepted.interaction in (Interaction.CREATE, Interaction.LOAD)
        body = offer.body and with_meta(offer.body, offer.hint, str(accepted.version), accepted.id.instant)
        return Stored(offer.key, accepted.version, accepted.id, created, body)

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


def new_id() -> str:
    """A fresh logical id: 96 random bits in 20 lower-case letters and digits; unguessable and short (STORE §2)."""
    return _encoded(secrets.token_bytes(12))


def _derived_id(name: str) -> str:
    return _encoded(hashlib.sha256(name.encode()).digest()[:12])


def _encoded(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _digest(*parts: str | bytes) -> str:
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    sized = b"".join(len(part).to_bytes(8, "big") + part for part in raw)
    return hashlib.sha256(sized).hexdigest()[:32]


def _was_elsewhere(resource: Resource) -> bool:
    """The resource has a history that the hub never saw (ruling 13); only the script knows whether it was seen here."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return isinstance(version, str) and version != "1"


def _refuse(offer: Offer, accepted: Accepted) -> None:
    reference = offer.key.reference
    match accepted.code:
        case Code.BUSY:
            raise Overloaded("too many accepted changes wait for evaluation; send it again", RETRY_AFTER_SECONDS)
        case Code.REUSED:
            raise Unprocessable("this Idempotency-Key was used for another request; take a new one")
        case Code.CONFLICT:
            present = f"version {accepted.version}" if accepted.version else "no present version"
            raise PreconditionFailed(f"If-Match names another version: {reference} has {present}")
        case Code.EXISTS:
            raise Conflict(f"{reference} exists already")
        case Code.ABSENT:
            raise NotFound(f"{reference} is not held here")
        case _:
            return
