"""Transactions: all entries of a Bundle or none (HOUSE ruling 26).

Entries count one by one, as changes of their own, in the order that FHIR gives them: deletes, creates, updates, reads.
Conditions, references and patches are worked out on the state before the transaction; the store looks again as it
writes, and when that state is no more, all of it is worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hub.beside import beside
from hub.domain.change import ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, PreconditionFailed, Refused, TooLarge
from hub.fhir.bundle_entries import BundleEntry
from hub.fhir.patch import Allowance
from hub.fhir.query_strings import read_written_query
from hub.intake.addresses import Addresses
from hub.intake.addressing import check_type, entry_key, resource_key
from hub.intake.changes import Intake, Stored
from hub.intake.conditions import settled
from hub.intake.offers import Repeatable, addressed, named
from hub.intake.patching import change_of, patched
from hub.intake.placing import placed
from hub.intake.planned import Planned, offer_of, refuse_doubles
from hub.store.acceptance import Offer

ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
MOST_PATCHED_BYTES = 16 * 1024 * 1024
"""Of all resources that one transaction patches: a patch is small, what it makes of them goes to the store at once."""


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
            try:
                done = await settled(lambda: self._attempt(tenant, base, entries, repeatable))
            except Refused:  # the same request may have been faster, and what it did cannot be done again
                done = await self._intake.written_before(tenant, base, repeatable)
                if done is None:
                    raise
        return [done.get(entry.path) for entry in entries]

    async def _attempt(
        self, tenant: str, base: FhirVersion, entries: Sequence[BundleEntry], repeatable: Repeatable
    ) -> dict[str, Stored]:
        planned = [await self._plan(tenant, base, entry, repeatable) for entry in entries]
        refuse_doubles(planned)
        await self._check_reads(planned)
        planned = await self._patch(base, planned)
        addresses = await self._addresses(planned)
        writes = sorted((one for one in planned if one.writes), key=lambda one: ORDER[one.entry.method])
        offers: dict[str, Offer] = {}
        for one in writes:
            with placed(one.entry.path):
                part = repeatable.part(one.entry.index)
                offers[one.entry.path] = await beside(one.size, offer_of, one, addresses, part)
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
            if entry.method == "PATCH":
                return Planned(entry, *await self._intake.to_patch(key, entry.query, f"{entry.path}.request.url"))
            condition = await self._intake.find(key, entry.query, f"{entry.path}.request.url")
            if entry.method == "DELETE":
                return Planned(entry, replace(key, id=condition.id), condition)
            return Planned(entry, addressed(key, condition, entry.resource, part), condition)

    async def _patch(self, base: FhirVersion, planned: Sequence[Planned]) -> list[Planned]:
        """The same, the patches applied to what is present now."""
        allowance, size, done = Allowance(), 0, []
        for one in planned:
            if one.entry.method == "PATCH":
                with placed(one.entry.path):
                    present = await self._intake.present(one.key, one.entry.if_match)
                    made = await patched(one.key, present, change_of(one.entry, base, allowance))
                    size += len(made.raw)
                    if size > MOST_PATCHED_BYTES:
                        raise TooLarge(f"this transaction patches more than {MOST_PATCHED_BYTES} bytes; send several")
                one = replace(one, patched=made)
            done.append(one)
        return done

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
            addresses.add(one.entry, one.key.reference)
        for one in planned:
            for reference in one.references:
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
