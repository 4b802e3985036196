"""Bundles that ask for something: a transaction (all or none), a batch (each for itself), or a history.

Entries count one by one, as changes of their own, in the order that FHIR gives them: deletes, creates, updates.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hub.domain.change import Resource, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, PreconditionFailed, Refused, Unprocessable
from hub.fhir.bundle_entries import BundleEntry, references_in, with_references
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json
from hub.fhir.splice import with_id
from hub.intake.changes import Intake, Stored
from hub.intake.conditions import Condition, Conditions
from hub.intake.offers import Repeatable, Request, creation, loading, named, new_id, removal, replacement
from hub.store.changes import Offer

KEPT_APART = {"Subscription", "SubscriptionTopic", "Bundle"}
"""Types that a Bundle entry may not write: they have a life of their own, or are Bundles again."""
LOADED_TOGETHER = 256
LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3, "HEAD": 3}


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What became of one entry: what is stored, or the refusal (of a batch only)."""

    method: str
    stored: Stored | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class _Planned:
    """An entry made ready. ``found`` is set when a conditional create found its resource: nothing is written."""

    entry: BundleEntry
    key: ResourceKey
    condition: Condition
    found: bool = False


class BundleIntake:
    """Transactions, batches and histories of ordinary resources."""

    def __init__(self, intake: Intake, conditions: Conditions) -> None:
        self._intake = intake
        self._conditions = conditions

    async def transaction(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], request: Request, raw: bytes
    ) -> list[EntryResult]:
        """All entries or none (ruling 26). Raises what stands in the way, naming the entry: nothing has changed."""
        planned = [await self._plan(tenant, base, entry, request, raw) for entry in entries]
        _refuse_doubles(planned)
        addresses = await self._addresses(tenant, base, planned)
        repeatable = Repeatable.of(request, raw)
        writes = [one for one in planned if not one.found and one.entry.method not in ("GET", "HEAD")]
        writes.sort(key=lambda one: ORDER[one.entry.method])
        offers = [_offer(one, addresses, repeatable.part(one.entry.index)) for one in writes]
        places = [one.entry.path for one in writes]
        written = await self._intake.write_all(offers, places) if offers else []
        stored = {one.entry.index: result for one, result in zip(writes, written, strict=True)}
        return [
            EntryResult(one.entry.method, stored.get(one.entry.index) or await self._intake.read(one.key))
            for one in planned
        ]

    async def batch(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], request: Request, raw: bytes
    ) -> list[EntryResult]:
        """Each entry for itself; a refused one says why and the others go on."""
        repeatable = Repeatable.of(request, raw)
        results = []
        for entry in entries:
            try:
                one = await self._plan(tenant, base, entry, request, raw)
                if one.found or entry.method in ("GET", "HEAD"):
                    stored = await self._intake.read(one.key)
                else:
                    stored = await self._intake.write(_offer(one, {}, repeatable.part(entry.index)))
                results.append(EntryResult(entry.method, stored))
            except Refused as problem:
                results.append(EntryResult(entry.method, refused=problem))
        return results

    async def history(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], request: Request, raw: bytes
    ) -> list[EntryResult]:
        """The history of another server, which lists the newest first: taken in from its end, each under its own id."""
        results: list[EntryResult] = []
        repeatable = Repeatable.of(request, raw)
        for entry in reversed(entries):
            try:
                key = _history_key(tenant, base, entry)
                part = repeatable.part(entry.index)
                if entry.method == "DELETE":
                    offer = removal(key, part, None)
                else:
                    assert entry.resource is not None
                    offer = replacement(key, entry.raw, entry.resource, part, None)
                results.append(EntryResult(entry.method, await self._intake.write(offer)))
            except Refused as problem:
                results.append(EntryResult(entry.method, refused=_placed(problem, entry)))
        return results[::-1]

    async def load(self, tenant: str, base: FhirVersion, resources: Sequence[tuple[bytes, Resource]]) -> int:
        """Store states without announcing them (rulings 13, 34); how many. Nothing is stored when one is wrong."""
        named: list[tuple[ResourceKey, bytes, Resource]] = []
        for place, (body, resource) in enumerate(resources):
            where, written = f"resource {place}", resource.get("id")
            identity = written if isinstance(written, str) and LOGICAL_ID.fullmatch(written) else ""
            key = _key(tenant, base, str(resource.get("resourceType")), identity, where)
            if not identity:
                raise Malformed(f"{where} needs an id: 1 to 64 letters, digits, '-', '.'", expression=f"{key.type}.id")
            named.append((key, body, resource))
        for start in range(0, len(named), LOADED_TOGETHER):
            await asyncio.gather(*(self._intake.load(*one) for one in named[start : start + LOADED_TOGETHER]))
        return len(named)

    async def process_change(self, key: ResourceKey, previous: tuple[bytes, Resource] | None, change: Offer) -> Stored:
        """A change together with the state before it (ruling 13): both in one atomic step."""
        offers = [change] if previous is None else [loading(key, *previous), change]
        return (await self._intake.write_all(offers))[-1]

    async def _plan(self, tenant: str, base: FhirVersion, entry: BundleEntry, request: Request, raw: bytes) -> _Planned:
        try:
            key = _key(tenant, base, entry.type, entry.id, f"{entry.path}.request.url")
            match entry.method:
                case "POST":
                    return await self._plan_create(key, entry, request, raw)
                case "PUT" | "DELETE":
                    return await self._plan_conditional(key, entry)
                case "GET" | "HEAD" if entry.id and not entry.query:
                    return _Planned(entry, key, Condition())
                case _:
                    raise Unprocessable(
                        f"{entry.method} {entry.type} is not offered in a Bundle; there are POST, PUT, DELETE and GET "
                        "of a single resource",
                        expression=f"{entry.path}.request",
                        code="not-supported",
                    )
        except Refused as problem:
            raise _placed(problem, entry) from problem

    async def _plan_create(self, key: ResourceKey, entry: BundleEntry, request: Request, raw: bytes) -> _Planned:
        _check_type(entry)
        condition = Condition()
        if entry.if_none_exist:
            query = [tuple(pair.partition("=")[::2]) for pair in entry.if_none_exist.lstrip("?").split("&")]
            condition = await self._conditions.find(key.tenant, key.base, key.type, query)  # type: ignore[arg-type]
        if condition.id:
            return _Planned(entry, replace(key, id=condition.id), condition, found=True)
        return _Planned(entry, named(key, Repeatable.of(request, raw).part(entry.index)), condition)

    async def _plan_conditional(self, key: ResourceKey, entry: BundleEntry) -> _Planned:
        if entry.method == "PUT":
            _check_type(entry)
        if key.id:
            return _Planned(entry, key, Condition())
        condition = await self._conditions.find(key.tenant, key.base, key.type, entry.query)
        if condition.id:
            return _Planned(entry, replace(key, id=condition.id), condition)
        if entry.method == "DELETE":
            raise PreconditionFailed("the condition finds nothing to delete")
        own = (entry.resource or {}).get("id")
        return _Planned(entry, replace(key, id=own if isinstance(own, str) and own else new_id()), condition)

    async def _addresses(self, tenant: str, base: FhirVersion, planned: Sequence[_Planned]) -> dict[str, str]:
        """What references of the Bundle are to be replaced by: those to its own entries, and conditional ones."""
        addresses = {one.entry.full_url: one.key.reference for one in planned if one.entry.full_url.startswith("urn:")}
        for one in planned:
            for reference in references_in(one.entry.resource):
                where = f"{one.entry.path}.resource"
                if reference.startswith("urn:uuid:") and reference not in addresses:
                    raise Malformed(f"{reference} names no entry of this Bundle", expression=where, code="not-found")
                if (
                    "?" in reference
                    and reference not in addresses
                    and not reference.startswith(("http:", "https:", "urn:"))
                ):
                    addresses[reference] = await self._resolved(tenant, base, reference, where)
        return addresses

    async def _resolved(self, tenant: str, base: FhirVersion, reference: str, where: str) -> str:
        resource_type, _, query = reference.partition("?")
        pairs = [tuple(pair.partition("=")[::2]) for pair in query.split("&")]
        found = await self._conditions.find(tenant, base, resource_type, pairs, where)  # type: ignore[arg-type]
        if not found.id:
            raise PreconditionFailed(f"the conditional reference {reference} finds nothing", expression=where)
        return f"{resource_type}/{found.id}"


def _offer(one: _Planned, addresses: Mapping[str, str], repeatable: Repeatable) -> Offer:
    entry, if_match = one.entry, one.entry.if_match
    if entry.method == "DELETE":
        return removal(one.key, repeatable, if_match, one.condition)
    body = with_references(entry.raw, addresses)
    resource: Mapping[str, Any] = read_json(body)
    if entry.method == "POST":
        return creation(one.key, body, resource, repeatable, one.condition)
    if not entry.id and "id" not in resource:  # conditional: the body may leave the id to the hub
        body = with_id(body, resource, one.key.id)
        resource = {**resource, "id": one.key.id}
    return replacement(one.key, body, resource, repeatable, if_match, one.condition)


def _key(tenant: str, base: FhirVersion, resource_type: str, identity: str, where: str) -> ResourceKey:
    if resource_type not in definitions(base).resource_types:
        raise Malformed(
            f"FHIR {base.number} has no resource type {resource_type}", expression=where, code="not-supported"
        )
    if resource_type in KEPT_APART:
        raise Unprocessable(
            f"{resource_type} is written by a request of its own", expression=where, code="not-supported"
        )
    return ResourceKey(tenant, base, resource_type, identity)


def _history_key(tenant: str, base: FhirVersion, entry: BundleEntry) -> ResourceKey:
    if entry.method not in ("POST", "PUT", "DELETE"):
        raise Malformed(f"a history tells of POST, PUT and DELETE, not {entry.method}")
    own = (entry.resource or {}).get("id")
    identity = own if isinstance(own, str) else entry.id or entry.full_url.rpartition("/")[2]
    return _key(tenant, base, entry.type, identity, f"{entry.path}.request.url")


def _check_type(entry: BundleEntry) -> None:
    if (entry.resource or {}).get("resourceType") != entry.type:
        raise Malformed(f'write "resourceType": "{entry.type}", as in request.url', expression=f"{entry.path}.resource")


def _refuse_doubles(planned: Sequence[_Planned]) -> None:
    """A transaction may name a resource once: otherwise its outcome would hang on an order that FHIR does not give."""
    seen: dict[ResourceKey, int] = {}
    urls: dict[str, int] = {}
    for one in planned:
        entry = one.entry
        if entry.method not in ("GET", "HEAD") and not one.found:
            other = seen.setdefault(one.key, entry.index)
            if other != entry.index:
                raise Malformed(f"entries {other} and {entry.index} are about the same resource", expression=entry.path)
        if entry.full_url.startswith("urn:") and urls.setdefault(entry.full_url, entry.index) != entry.index:
            raise Malformed(f"two entries have the fullUrl {entry.full_url}", expression=f"{entry.path}.fullUrl")


def _placed(problem: Refused, entry: BundleEntry) -> Refused:
    """The same refusal, saying which entry is meant."""
    issues = [
        replace(issue, expression=issue.expression if issue.expression.startswith("Bundle.") else entry.path)
        for issue in problem.issues
    ]
    return type(problem)(*issues)
