"""The entries of a transaction, once it is known which resources they are about, and what the store is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.domain.change import ResourceKey
from hub.errors import Malformed
from hub.fhir.bundle_entries import BundleEntry
from hub.fhir.bundle_references import references_in, with_references
from hub.fhir.json import read_json
from hub.intake.addresses import Addresses
from hub.intake.conditions import Condition
from hub.intake.offers import ANYTHING, Repeatable, conditional_replacement, creation, removal, replacement
from hub.intake.patching import Patched
from hub.store.acceptance import Offer


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry whose resource is known: ``key`` without an id is a conditional delete that finds nothing."""

    entry: BundleEntry
    key: ResourceKey
    condition: Condition = ANYTHING
    patched: Patched | None = None

    @property
    def writes(self) -> bool:
        """``_id`` needs no second look: a create that found it is answered without the store."""
        found = self.entry.method == "POST" and self.condition.id and not self.condition.token
        return not self.entry.reads and not found and bool(self.key.id)

    @property
    def size(self) -> int:
        """In bytes, of what is written."""
        return len(self.patched.raw if self.patched else self.entry.raw)

    @property
    def references(self) -> Iterator[str]:
        """Those that this entry brings with it, not those that stood in what it patches."""
        if self.patched is None:
            return references_in(self.entry.resource)
        kept = self.patched.pointers
        return (reference for reference in references_in(self.patched.resource) if reference not in kept)


def offer_of(one: Planned, addresses: Addresses, repeatable: Repeatable) -> Offer:
    """What the store is asked for; ``addresses`` are those of the whole Bundle."""
    entry, if_match = one.entry, one.entry.if_match
    if one.patched:
        return one.patched.pointing(addresses.of(entry)).offer(repeatable, one.condition)
    if entry.method == "DELETE":
        return removal(one.key, repeatable, if_match, one.condition)
    body = with_references(entry.raw, addresses.of(entry))
    resource = read_json(body)
    if entry.method == "POST":
        return creation(one.key, body, resource, repeatable, one.condition)
    if entry.id:
        return replacement(one.key, body, resource, repeatable, if_match)
    return conditional_replacement(one.key, body, resource, repeatable, if_match, one.condition)


def refuse_doubles(planned: Sequence[Planned]) -> None:
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
