"""Patches: a new version made of the present one, to be written only in the place of that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hub.domain.change import Resource, ResourceKey
from hub.domain.versions import FhirVersion
from hub.fhir.bundle_entries import BundleEntry
from hub.fhir.bundle_references import pointers_in, with_references
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json, write_json
from hub.fhir.patch import Allowance, apply_bundled_patch
from hub.intake import offers
from hub.intake.conditions import Condition
from hub.intake.offers import Repeatable
from hub.intake.placing import placed
from hub.store.acceptance import Offer
from hub.store.changes import Entry

Change = Callable[[Resource], Resource]


@dataclass(frozen=True, slots=True)
class Patched:
    """What ``key`` becomes. ``raw`` and ``resource`` were made from ``version``.

    ``pointers`` are the references and the like that stood in that version: no patch has brought them.
    """

    key: ResourceKey
    version: int
    raw: bytes
    resource: Resource
    pointers: frozenset[str]

    def offer(self, repeatable: Repeatable, condition: Condition) -> Offer:
        return offers.patched(self.key, self.version, self.raw, self.resource, repeatable, condition)

    def pointing(self, replacements: Mapping[str, str]) -> Patched:
        """The same, with the references replaced that the patch has brought."""
        brought = {old: new for old, new in replacements.items() if old not in self.pointers}
        raw = with_references(self.raw, brought)
        return Patched(self.key, self.version, raw, read_json(raw), self.pointers)


async def patched(key: ResourceKey, entry: Entry, change: Change) -> Patched:
    """``change`` of the version in ``entry``; raises what it raises. However small that is, a patch may look at it very
    often: others go on meanwhile.
    """
    return await asyncio.to_thread(_patched, key, entry, change)


def _patched(key: ResourceKey, entry: Entry, change: Change) -> Patched:
    before = read_json(entry.body)
    after = change(before)
    return Patched(key, entry.version, write_json(after), after, frozenset(pointers_in(before)))


def change_of(entry: BundleEntry, base: FhirVersion, allowance: Allowance) -> Change:
    """The change that a PATCH in a Bundle asks for; its refusals name the resource of the entry."""

    def change(before: Resource) -> Resource:
        with placed(f"{entry.path}.resource"):
            return apply_bundled_patch(before, entry.resource, definitions(base), allowance)

    return change
