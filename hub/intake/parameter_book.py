"""The SearchParameters that were written through a base, and the facts of the base with them.

A parameter belongs to one base of one tenant. It adds to what the standard defines and never changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import Definitions, SearchParameter, definitions
from hub.fhir.search_parameters import is_in_use_here

Home = tuple[str, FhirVersion]


@dataclass(frozen=True, slots=True)
class ListedParameter:
    """One SearchParameter of a base; ``resource`` as its author wrote it, ``version`` the resource's own."""

    id: str
    resource: Mapping[str, Any]
    parameter: SearchParameter
    version: int = 1
    written: str = ""


@dataclass(slots=True)
class ParameterBook:
    """Everything that was written; asked for the facts whenever a topic is made ready."""

    _own: dict[Home, dict[str, ListedParameter]] = field(default_factory=dict)
    _facts: dict[Home, Definitions] = field(default_factory=dict)

    def put(self, tenant: str, base: FhirVersion, listed: ListedParameter) -> None:
        self._own.setdefault((tenant, base), {})[listed.id] = listed
        self._facts.pop((tenant, base), None)

    def drop(self, tenant: str, base: FhirVersion, identity: str) -> None:
        if self._own.get((tenant, base), {}).pop(identity, None):
            self._facts.pop((tenant, base), None)

    def by_id(self, tenant: str, base: FhirVersion, identity: str) -> ListedParameter | None:
        return self._own.get((tenant, base), {}).get(identity)

    def listed(self, tenant: str, base: FhirVersion) -> Iterator[ListedParameter]:
        yield from self._own.get((tenant, base), {}).values()

    def names(self) -> list[str]:
        """Names (``tenant|base|id``) of all of them."""
        return [f"{tenant}|{base}|{identity}" for (tenant, base), own in self._own.items() for identity in own]

    def facts(self, tenant: str, base: FhirVersion) -> Definitions:
        """What the standard and this base define together."""
        home = (tenant, base)
        if home not in self._facts:
            self._facts[home] = facts_with(base, self.listed(tenant, base))
        return self._facts[home]


def facts_with(base: FhirVersion, parameters: Iterator[ListedParameter]) -> Definitions:
    """In the order of their ids, so that every process comes to the same."""
    used = [each for each in parameters if is_in_use_here(each.resource)]
    if not used:
        return definitions(base)
    return definitions(base).with_parameters(each.parameter for each in sorted(used, key=lambda each: each.id))
