"""Bundles that ask for something, and the cold start: transaction, batch, history, load, a change with its previous.

Whatever the way in, each resource becomes a change of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hub.domain.change import Occasion, Resource, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Gone, Malformed, Overloaded, Refused
from hub.fhir.bundle_entries import BundleEntry
from hub.fhir.bundle_references import references_in
from hub.fhir.patch import Allowance
from hub.fhir.process_change import ProcessChange
from hub.intake.addressing import check_ordinary, check_type, entry_key, resource_key
from hub.intake.changes import Intake, Stored
from hub.intake.offers import Repeatable, loading, preceding, removal, replacement, told
from hub.intake.patching import Change, change_of
from hub.intake.placing import placed
from hub.intake.transactions import Transactions

LOADED_TOGETHER = 256
PREVIOUS, CURRENT = (f"Parameters.parameter.where(name='{name}')" for name in ("previous", "current"))


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What became of one entry: what is stored, why it was refused, or nothing (a delete that found nothing)."""

    method: str
    stored: Stored | None = None
    refused: Refused | Overloaded | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What the entries of a batch have in common: no ties, so the ``urls`` of all are refused, and a cost to share."""

    urls: frozenset[str]
    allowance: Allowance

    def refuse_ties(self, references: Iterable[str]) -> None:
        for reference in references:
            if reference in self.urls:
                raise Malformed(f"a batch has no ties between its entries; {reference} needs a transaction")
            if "?" in reference and ":" not in reference.partition("?")[0]:
                raise Malformed(f"the conditional reference {reference} needs a transaction")

    def untied(self, change: Change) -> Change:
        """The same change, refused when it brings a reference that ties it to another entry."""

        def checked(before: Resource) -> Resource:
            after, kept = change(before), frozenset(references_in(before))
            self.refuse_ties(reference for reference in references_in(after) if reference not in kept)
            return after

        return checked


class BundleIntake:
    """Bundles of ordinary resources."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._transactions = Transactions(intake)

    async def transaction(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> list[EntryResult]:
        """All entries or none (ruling 26). Raises what stands in the way, naming the entry: nothing has changed."""
        done = await self._transactions.carry_out(tenant, base, entries, repeatable)
        results = []
        for entry, stored in zip(entries, done, strict=True):
            if entry.reads:  # it was there a moment ago; who deletes it now does not undo what is written
                results.append(await self._one(tenant, base, entry, repeatable))
            elif stored is None and entry.method == "POST":
                gone = Gone("what the condition found was deleted meanwhile", expression=entry.path)
                results.append(EntryResult(entry.method, refused=gone))
            else:
                results.append(EntryResult(entry.method, stored))
        return results

    async def batch(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> list[EntryResult]:
        """Each entry for itself; a refused one says why and the others go on."""
        batch = Batch(frozenset(entry.full_url for entry in entries if entry.full_url.startswith("urn:")), Allowance())
        return [await self._one(tenant, base, entry, repeatable.part(entry.index), batch) for entry in entries]

    async def history(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> list[EntryResult]:
        """The history of another server, which lists the newest first: taken in from its end, each under its own id."""
        results = []
        for entry in reversed(entries):
            part = repeatable.part(entry.index)
            try:
                with placed(entry.path):
                    results.append(EntryResult(entry.method, await self._told(tenant, base, entry, part)))
            except (Refused, Overloaded) as problem:
                results.append(EntryResult(entry.method, refused=problem))
        return results[::-1]

    async def load(
        self, tenant: str, base: FhirVersion, resources: Sequence[tuple[bytes, Resource, str]], repeatable: Repeatable
    ) -> int:
        """Store states without announcing them (rulings 13, 34); how many. Nothing is stored when one is wrong.

        Each comes with the name of the place where it stood, for whom it is wrong.
        """
        offers = []
        for body, resource, place in resources:
            key = resource_key(tenant, base, resource.get("resourceType"), resource.get("id", ""), place)
            if not key.id:
                raise Malformed(f"each {key.type} that is loaded needs an id", expression=place)
            check_ordinary(base, resource, place)
            with placed(place):
                offers.append(loading(key, body, resource, repeatable))
        for start in range(0, len(offers), LOADED_TOGETHER):
            await asyncio.gather(*(self._intake.write(offer) for offer in offers[start : start + LOADED_TOGETHER]))
        return len(offers)

    async def process_change(
        self, tenant: str, base: FhirVersion, change: ProcessChange, repeatable: Repeatable
    ) -> Stored:
        """A change together with the state before it (ruling 13): both in one atomic step."""
        key = resource_key(tenant, base, change.type, change.id, "Parameters.parameter")
        offers = {}
        if change.previous:
            with placed(PREVIOUS):
                offers[PREVIOUS] = preceding(key, *change.previous, repeatable)
        with placed(CURRENT):
            if change.current:
                check_ordinary(base, change.current[1], CURRENT)
                offers[CURRENT] = told(key, change.interaction, *change.current, repeatable)
            else:
                offers[CURRENT] = removal(key, repeatable, None)
            offers[CURRENT] = replace(offers[CURRENT], occasion=Occasion(change.when))
        stored = await self._intake.write_all(tenant, base, offers, repeatable)
        return stored[CURRENT]

    async def _one(
        self, tenant: str, base: FhirVersion, entry: BundleEntry, part: Repeatable, batch: Batch | None = None
    ) -> EntryResult:
        """An entry by itself."""
        batch = batch or Batch(frozenset(), Allowance())
        try:
            with placed(entry.path):
                key = entry_key(tenant, base, entry)
                batch.refuse_ties(references_in(entry.resource))
                return EntryResult(entry.method, await self._carry_out(key, entry, part, batch))
        except (Refused, Overloaded) as problem:
            return EntryResult(entry.method, refused=problem)

    async def _carry_out(self, key: ResourceKey, entry: BundleEntry, part: Repeatable, batch: Batch) -> Stored | None:
        if entry.reads:
            return await self._intake.read(key)
        if entry.method == "DELETE":
            if entry.id:
                return await self._intake.delete(key, part, entry.if_match)
            return await self._intake.delete_where(key, entry.query, part, entry.if_match)
        if entry.method == "PATCH":
            change = batch.untied(change_of(entry, key.base, batch.allowance))
            return await self._intake.patch(key, change, part, entry.if_match, entry.query)
        check_type(entry, key.base)
        if entry.method == "POST":
            return await self._intake.create(key, entry.raw, entry.resource, part, entry.if_none_exist)
        if entry.id:
            return await self._intake.update(key, entry.raw, entry.resource, part, entry.if_match)
        return await self._intake.update_where(key, entry.query, entry.raw, entry.resource, part, entry.if_match)

    async def _told(self, tenant: str, base: FhirVersion, entry: BundleEntry, part: Repeatable) -> Stored:
        """What a history tells: the resource has its id in itself, in the URL or, deleted, at least in fullUrl."""
        if entry.method not in ("POST", "PUT", "DELETE"):
            raise Malformed(f"a history tells of POST, PUT and DELETE, not {entry.method}")
        identity = entry.resource.get("id") or entry.id or entry.full_url.rpartition("/")[2]
        key = resource_key(tenant, base, entry.type, identity, f"{entry.path}.request.url")
        if not key.id:
            raise Malformed("nothing says which resource this is: give its id in the URL")
        if entry.method == "DELETE":
            return await self._intake.delete(key, part, None)
        check_type(entry, base)
        return await self._intake.write(replacement(key, entry.raw, entry.resource, part, None))
