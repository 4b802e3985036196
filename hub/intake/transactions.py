"""Transactions: all entries of a Bundle or none (HOUSE ruling 26).

Entries count one by one, as changes of their own, in the order that FHIR gives them: deletes, creates, updates, reads.
Conditions and references are resolved against the state before the transaction; the store looks again as it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hub.domain.change import ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, PreconditionFailed
from hub.fhir.bundle_entries import BundleEntry
from hub.fhir.bundle_references import references_in, with_references
from hub.fhir.json import read_json
from hub.fhir.query_strings import read_written_query
from hub.intake.addressing import check_type, entry_key, resource_key
from hub.intake.changes import Intake, Stored
from hub.intake.conditions import Condition, settled
from hub.intake.offers import (
    ANYTHING,
    Repeatable,
    addressed,
    conditional_replacement,
    creation,
    named,
    removal,
    replacement,
)
from hub.intake.placing import placed
from hub.store.acceptance import Offer

ORDER = {"DELETE": 0, "POST": 1, "PUT": 2}


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry whose resource is known: ``key`` without an id is a conditional delete that finds nothing."""

    entry: BundleEntry
    key: ResourceKey
    condition: Condition = ANYTHING

    @property
    def writes(self) -> bool:
        """``_id`` needs no second look: a create that found it is answered without the store."""
        found = self.entry.method == "POST" and self.condition.id and not self.condition.token
        return not self.entry.reads and not found and bool(self.key.id)


class Transactions:
    """Carries out transactions of ordinary resources."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def carry_out(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> list[Stored | None]:
        """What became of each entry; None for a delete that found nothing, for a create whose find went meanwhile, and
        for a read whose turn comes afterwards.

        Raises what stands in the way, naming the entry: then nothing has changed.
        """
        done = await self._intake.written_before(tenant, base, repeatable)
        if done is None:
            done = await settled(lambda: self._attempt(tenant, base, entries, repeatable))
        return [done.get(entry.path) for entry in entries]

    async def _attempt(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> dict[str, Stored]:
        planned = [await self._plan(tenant, base, entry, repeatable) for entry in entries]
        _refuse_doubles(planned)
        await self._check_reads(planned)
        addresses = await self._addresses(planned)
        writes = sorted((one for one in planned if one.writes), key=lambda one: ORDER[one.entry.method])
        offers: dict[str, Offer] = {}
        for one in writes:
            with placed(one.entry.path):
                offers[one.entry.path] = _offer(one, addresses, repeatable.part(one.entry.index))
        found = [one for one in planned if one.key.id and not one.writes and not one.entry.reads]
        known = {one.entry.path: await self._intake.read(one.key) for one in found}  # before anything is written
        return known | (await self._intake.write_all(tenant, base, offers, repeatable) if offers else {})

    async def _plan(self, tenant: str, base: FhirVersion, entry: BundleEntry, repeatable: Repeatable) -> Planned:
        with placed(entry.path):
            key = entry_key(tenant, base, entry)
            part = repeatable.part(entry.index)
            if entry.method == "POST":
                check_type(entry, base)
                if not entry.if_none_exist:
                    return Planned(entry, named(key, part))
                condition = await self._intake.find(key, entry.if_none_exist, f"{entry.path}.request.ifNoneExist")
                return Planned(entry, replace(key, id=condition.id or named(key, part).id), condition)
            if entry.method == "PUT":
                check_type(entry, base)
            if entry.id:
                return Planned(entry, key)
            condition = await self._intake.find(key, entry.query, f"{entry.path}.request.url")
            if entry.method == "DELETE":
                return Planned(entry, replace(key, id=condition.id), condition)
            return Planned(entry, addressed(key, condition, entry.resource, part), condition)

    async def _check_reads(self, planned: Sequence[Planned]) -> None:
        """What will be read is there, or is written by this very transaction."""
        written = {one.key: one.entry.method for one in planned if one.writes}
        for one in planned:
            if one.entry.reads and written.get(one.key, "DELETE") == "DELETE":
                with placed(one.entry.path):
                    if one.key in written:
                        raise Malformed("this resource is deleted by another entry; it cannot be read then")
                    await self._intake.read(one.key)

    async def _addresses(self, planned: Sequence[Planned]) -> Addresses:
        """What references of the Bundle are to be replaced by: those to its own entries, and conditional ones."""
        addresses = Addresses({}, {})
        for one in planned:
            addresses.add(one)
        for one in planned:
            for reference in references_in(one.entry.resource):
                where = f"{one.entry.path}.resource"
                if reference in addresses.everywhere:
                    continue
                if reference.startswith(("urn:uuid:", "urn:oid:")):
                    raise Malformed(f"{reference} names no entry of this Bundle", expression=where, code="not-found")
                if "?" in reference and ":" not in reference.partition("?")[0]:
                    addresses.everywhere[reference] = await self._resolved(one.key, reference, where)
        return addresses

    async def _resolved(self, owner: ResourceKey, reference: str, where: str) -> str:
        """A conditional reference, ``Patient?identifier=system|value``, as a literal one."""
        resource_type, _, query = reference.partition("?")
        key = resource_key(owner.tenant, owner.base, resource_type, "", where)
        found = await self._intake.find(key, read_written_query(query, where), where)
        if not found.id:
            raise PreconditionFailed(f"the conditional reference {reference} finds nothing", expression=where)
        return f"{resource_type}/{found.id}"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Reference -> what it becomes: everywhere, and relative ones by the root of the fullUrl of their entry."""

    everywhere: dict[str, str]
    below: dict[str, dict[str, str]]

    def add(self, one: Planned) -> None:
        full_url = one.entry.full_url
        if not full_url or one.entry.method not in ("POST", "PUT"):
            return
        root, relative = _split(full_url)
        if relative != one.key.reference:
            self.everywhere[full_url] = one.key.reference
            if relative:
                self.below.setdefault(root, {})[relative] = one.key.reference

    def of(self, entry: BundleEntry) -> Mapping[str, str]:
        """What is to be replaced in the resource of ``entry``."""
        return self.everywhere | self.below.get(_split(entry.full_url)[0], {})


def _split(full_url: str) -> tuple[str, str]:
    """(root, Type/id) of a RESTful URL, ("", "") of a urn."""
    if not full_url.startswith(("http://", "https://")):
        return "", ""
    root, *named = full_url.rsplit("/", 2)
    return root, "/".join(named)


def _offer(one: Planned, addresses: Addresses, repeatable: Repeatable) -> Offer:
    entry, if_match = one.entry, one.entry.if_match
    if entry.method == "DELETE":
        return removal(one.key, repeatable, if_match, one.condition)
    body = with_references(entry.raw, addresses.of(entry))
    resource = read_json(body)
    if entry.method == "POST":
        return creation(one.key, body, resource, repeatable, one.condition)
    if entry.id:
        return replacement(one.key, body, resource, repeatable, if_match)
    return conditional_replacement(one.key, body, resource, repeatable, if_match, one.condition)


def _refuse_doubles(planned: Sequence[Planned]) -> None:
    """A transaction may name a resource once: otherwise its outcome would hang on an order that FHIR does not give."""
    seen: dict[object, int] = {}

    def once(what: object, entry: BundleEntry, why: str) -> None:
        other = seen.setdefault(what, entry.index)
        if other != entry.index:
            raise Malformed(f"entries {other} and {entry.index} {why}", expression=entry.path)

    for one in planned:
        if one.entry.full_url:
            once(one.entry.full_url, one.entry, "have the same fullUrl")
        if not one.entry.reads and one.condition.token:
            once((one.key.type, one.condition.token), one.entry, "have the same condition")
        if one.writes and not (one.entry.method == "POST" and one.condition.id):
            once(one.key, one.entry, "are about the same resource")
