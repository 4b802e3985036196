"""Conditional interactions: what does ``identifier=system|value`` or ``_id=…`` find?

The answer is checked again by the store at the moment of writing, so that two that ask at the same time cannot both
find nothing and both create.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.domain.change import Interaction, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, PreconditionFailed
from hub.fhir.identifiers import search_token
from hub.store.changes import Changes
from hub.store.keys import Layout

ADVICE = "conditions are offered on identifier (system|value) and _id"


@dataclass(frozen=True, slots=True)
class Condition:
    """``token`` and what it must find when the write happens; token "" for ``_id``, which needs no second look.

    ``id`` is the one resource that was found, "" when there is none.
    """

    id: str = ""
    token: str = ""

    @property
    def finds(self) -> str:
        return self.id if self.token else ""


class Conditions:
    """Looks conditions up."""

    def __init__(self, changes: Changes, layout: Layout) -> None:
        self._changes = changes
        self._layout = layout

    async def find(
        self, tenant: str, base: FhirVersion, resource_type: str, query: Iterable[tuple[str, str]], where: str = ""
    ) -> Condition:
        """The one resource that meets the condition, or none.

        Raises Malformed for a condition that is not offered, PreconditionFailed when several meet it (412).
        """
        pairs = list(query)
        if len(pairs) != 1 or pairs[0][0] not in ("identifier", "_id") or not pairs[0][1]:
            raise Malformed(f"{ADVICE}, one at a time", expression=where, code="not-supported")
        name, value = pairs[0]
        if name == "_id":
            key = ResourceKey(tenant, base, resource_type, value)
            entry = await self._changes.version(self._layout.partition_of(key), key, None)
            return Condition(value if entry and entry.interaction is not Interaction.DELETE else "")
        system, bar, code = value.rpartition("|")
        token = search_token(resource_type, system if bar else None, code)
        found = await self._changes.found_by(self._layout.partitions_of(tenant, base), token)
        if len(found) > 1:
            raise PreconditionFailed(f"{len(found)} resources have the identifier {value}", expression=where)
        return Condition(found[0] if found else "", token)
