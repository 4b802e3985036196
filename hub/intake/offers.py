"""What a request amounts to, before the store is asked: identity, bytes, and how a repeat of it is recognised."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, replace

from hub.domain.change import Occasion, Resource, ResourceKey
from hub.domain.trail import NO_TRAIL, Trail
from hub.domain.versions import FhirVersion
from hub.errors import Conflict, Malformed, NotFound, Overloaded, PreconditionFailed, TooLarge, Unprocessable
from hub.fhir.basic_topics import is_topic
from hub.fhir.bundle_entries import LOGICAL_ID
from hub.fhir.identifiers import identifier_tokens
from hub.fhir.json import read_instant
from hub.fhir.splice import check_meta, meta_hint, with_id
from hub.intake.conditions import Condition, Moved
from hub.store.acceptance import Accepted, Code, Offer, Operation

RETRY_AFTER_SECONDS = 2
FOCUS = "Parameters.parameter.where(name='focus')"
"""What an event from elsewhere is about."""
ANYTHING = Condition()


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
    trail: Trail = NO_TRAIL

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
class Repeatable:
    """How a repeat of one change is recognised, and who made it; ``name`` "" when it is not."""

    name: str = ""
    fingerprint: str = "-"
    trail: Trail = NO_TRAIL
    principal: str = ""

    @classmethod
    def of(cls, request: Request, body: bytes) -> Repeatable:
        return cls(*request.identity(body), request.trail, request.principal)

    def part(self, index: int) -> Repeatable:
        """The same for one entry of a Bundle."""
        return replace(self, name=f"{self.name}.{index}") if self.name else self

    @property
    def unrecognised(self) -> Repeatable:
        """The same request, of which a repeat does no harm and need not be recognised."""
        return replace(self, name="", fingerprint="-")


def creation(
    key: ResourceKey, raw: bytes, resource: Resource, repeatable: Repeatable, condition: Condition = ANYTHING
) -> Offer:
    """POST: ``key`` was named by the hub (``named``), whatever id the body carries.

    With a condition that finds something, that is the answer and nothing is written.
    """
    return _offer(key, Operation.CREATE, with_id(raw, resource, key.id), resource, repeatable, None, condition)


def named(key: ResourceKey, repeatable: Repeatable) -> ResourceKey:
    """``key`` with a fresh id. The same request gets the same id, so that a repeat meets its first (REDIS §3.2)."""
    return replace(key, id=derived_id(repeatable))


def derived_id(repeatable: Repeatable) -> str:
    """A fresh id, or the one that every repeat of the same request gets."""
    if not repeatable.name:
        return new_id()
    return _encoded(hashlib.sha256(repeatable.name.encode()).digest()[:12])


def replacement(
    key: ResourceKey,
    raw: bytes,
    resource: Resource,
    repeatable: Repeatable,
    if_match: int | None,
    condition: Condition = ANYTHING,
) -> Offer:
    """PUT, also of an id that was never seen. Raises Malformed when the body is about another id."""
    if "id" not in resource:
        raise Malformed(f'the body has no id; write "id": "{key.id}" as in the URL', expression=f"{key.type}.id")
    if resource["id"] != key.id:
        raise Malformed(f"the id of the body differs from the one of the URL, {key.id}", expression=f"{key.type}.id")
    operation = Operation.UNSEEN if _was_elsewhere(resource) else Operation.PUT
    return _offer(key, operation, raw, resource, repeatable, if_match, condition)


def addressed(key: ResourceKey, condition: Condition, resource: Resource, repeatable: Repeatable) -> ResourceKey:
    """Whom a conditional update is about: the one that is found, else the id of the body, else a fresh one."""
    own = resource.get("id")
    if condition.id:
        return replace(key, id=condition.id)
    if own is None:
        return named(key, repeatable)
    if not isinstance(own, str) or not LOGICAL_ID.fullmatch(own):
        raise Malformed("an id has 1 to 64 letters, digits, '-' and '.'", expression=f"{key.type}.id")
    return replace(key, id=own)


def conditional_replacement(
    key: ResourceKey,
    raw: bytes,
    resource: Resource,
    repeatable: Repeatable,
    if_match: int | None,
    condition: Condition,
) -> Offer:
    """PUT of the one that ``condition`` finds, else a create of ``key`` (``addressed``); the body may lack the id."""
    if "id" not in resource:
        raw, resource = with_id(raw, resource, key.id), {"id": key.id, **resource}
    if condition.id:
        return replacement(key, raw, resource, repeatable, if_match, condition)
    return _offer(key, Operation.CREATE, raw, resource, repeatable, if_match, condition)


def removal(key: ResourceKey, repeatable: Repeatable, if_match: int | None, condition: Condition = ANYTHING) -> Offer:
    return _offer(key, Operation.DELETE, b"", {}, repeatable, if_match, condition)


def patched(
    key: ResourceKey, version: int, raw: bytes, resource: Resource, repeatable: Repeatable, condition: Condition
) -> Offer:
    """PATCH: ``raw`` was made from ``version`` and is written in its place only."""
    return replace(replacement(key, raw, resource, repeatable, version, condition), derived=True)


def loading(key: ResourceKey, raw: bytes, resource: Resource, repeatable: Repeatable) -> Offer:
    """A state to start from, announced to nobody (ruling 34); never in place of what a later change has told."""
    return replace(preceding(key, raw, resource, repeatable), as_of=_milliseconds(resource))


def preceding(key: ResourceKey, raw: bytes, resource: Resource, repeatable: Repeatable) -> Offer:
    """The state before a change, told together with it (ruling 13): it stands, whatever was known."""
    return _offer(key, Operation.LOAD, raw, resource, repeatable.unrecognised, None, ANYTHING)


def happening(key: ResourceKey, occasion: Occasion, raw: bytes, resource: Resource, repeatable: Repeatable) -> Offer:
    """Something happened elsewhere that is about ``key`` (S-044); ``raw`` b"" for its present version.

    What is given goes on as it is: it is not stored, so the hub has no version to name.
    """
    check_meta(resource)
    return Offer(
        key,
        Operation.EVENT,
        raw,
        idempotency=repeatable.name,
        fingerprint=repeatable.fingerprint,
        trail=repeatable.trail,
        principal=repeatable.principal,
        occasion=occasion,
    )


def told(key: ResourceKey, interaction: str, raw: bytes, resource: Resource, repeatable: Repeatable) -> Offer:
    """A ``create`` or ``update`` that happened elsewhere: it is what it is called, whatever is held here."""
    operation = Operation.CREATE if interaction == "create" else Operation.UNSEEN
    return _offer(key, operation, raw, resource, repeatable, None, ANYTHING)


def _milliseconds(resource: Resource) -> int:
    """When the source says that this state began; 0 = it does not say."""
    meta = resource.get("meta")
    written = meta.get("lastUpdated") if isinstance(meta, dict) else None
    moment = read_instant(written) if isinstance(written, str) else None
    return max(0, int(moment.timestamp() * 1000)) if moment else 0


def _offer(
    key: ResourceKey,
    operation: Operation,
    body: bytes,
    resource: Resource,
    repeatable: Repeatable,
    if_match: int | None,
    condition: Condition,
) -> Offer:
    _refuse_topic(key, operation, resource)
    check_meta(resource)
    return Offer(
        key=key,
        operation=operation,
        body=body,
        expected_version=if_match,
        idempotency=repeatable.name,
        fingerprint=repeatable.fingerprint,
        hint=meta_hint(body, resource) if body else "",
        trail=repeatable.trail,
        identifiers=identifier_tokens(resource),
        condition=condition.token,
        finds=condition.finds,
        principal=repeatable.principal,
    )


def _refuse_topic(key: ResourceKey, operation: Operation, resource: Resource) -> None:
    """A topic in R4 is a Basic; stored among the data it would look published and fire nothing (S-065).

    Loading a server's content is no publishing: there it stays data.
    """
    if key.base is FhirVersion.R4 and operation is not Operation.LOAD and is_topic(resource):
        raise Unprocessable(
            "a Basic that stands for a SubscriptionTopic is published alone, by POST on Basic or PUT on Basic/[id]",
            expression="Basic.code",
        )


def refuse(offer: Offer, accepted: Accepted) -> None:
    """Raise what stands in the way of an offer; nothing when it was taken."""
    reference = offer.key.reference
    match accepted.code:
        case Code.BUSY:
            raise Overloaded(
                "as many accepted changes wait for evaluation as may (HUB_MAX_WAITING_CHANGES); send it again",
                RETRY_AFTER_SECONDS,
            )
        case Code.REUSED:
            raise reused()
        case Code.CONFLICT if offer.derived:
            raise Moved(f"{reference} is being written by others; send it again")
        case Code.CONFLICT:
            present = f"version {accepted.version}" if accepted.version else "no present version"
            raise PreconditionFailed(f"If-Match names another version: {reference} has {present}")
        case Code.EXISTS:
            raise Conflict(f"{reference} exists already")
        case Code.MOVED:
            raise Moved("what the condition finds changed meanwhile; send it again")
        case Code.ABSENT:
            raise NotFound(f"{reference} is not held here")
        case Code.LARGE:
            raise TooLarge(
                f"{reference} has {accepted.version} bytes as it is held, too many to be copied into an event "
                "(HUB_MAX_EVENT_COPY_BYTES): send the resource itself as focus",
                expression=FOCUS,
            )
        case _:
            return


def reused() -> Unprocessable:
    return Unprocessable("this Idempotency-Key was used for another request; take a new one")


def new_id() -> str:
    """A fresh logical id: 96 random bits in 20 lower-case letters and digits; unguessable and short (STORE §2)."""
    return _encoded(secrets.token_bytes(12))


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
