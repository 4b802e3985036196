"""Conditional interactions: what does ``identifier=system|value`` or ``_id=…`` find?

The answer is checked again by the store at the moment of writing, so that two that ask at the same time cannot both
find nothing and both create.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from hub.domain.change import Interaction, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Conflict, Malformed, PreconditionFailed
from hub.fhir.bundle_entries import LOGICAL_ID
from hub.fhir.definitions import definitions
from hub.fhir.identifiers import search_token
from hub.matching.search.syntax import split_unescaped, split_values, unescape
from hub.store.changes import Changes
from hub.store.keys import Layout

ADVICE = "conditions are offered on identifier (system|value) and _id, one at a time"
MOST_TRIES = 5

T = TypeVar("T")


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


class Moved(Conflict):
    """What a condition finds changed between the look and the write: look again."""


async def settled(attempt: Callable[[], Awaitable[T]]) -> T:
    """What ``attempt`` comes to, looked up anew each time that somebody else was faster. Raises Moved in the end."""
    for _ in range(MOST_TRIES - 1):
        try:
            return await attempt()
        except Moved:
            continue
    return await attempt()


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
        if len(pairs) != 1 or pairs[0][0] not in ("identifier", "_id"):
            raise Malformed(ADVICE, expression=where, code="not-supported")
        ((name, value),) = pairs
        if name == "_id":
            return await self._by_id(ResourceKey(tenant, base, resource_type, value), where)
        if definitions(base).search_parameter(resource_type, name) is None:
            raise Malformed(f"{resource_type} has no search parameter identifier", expression=where)
        token = search_token(resource_type, *_read_token(value, where))
        found = await self._changes.found_by(self._layout.partitions_of(tenant, base), token)
        if len(found) > 1:
            raise PreconditionFailed(f"more than one {resource_type} has the identifier {value}", expression=where)
        return Condition(found[0] if found else "", token)

    async def _by_id(self, key: ResourceKey, where: str) -> Condition:
        if not LOGICAL_ID.fullmatch(key.id):
            raise Malformed("_id takes one id: 1 to 64 letters, digits, '-' and '.'", expression=where)
        entry = await self._changes.version(self._layout.partition_of(key), key, None)
        return Condition(key.id if entry and entry.interaction is not Interaction.DELETE else "")


def _read_token(value: str, where: str) -> tuple[str | None, str]:
    """(system, value) of a token; system None: any, "": none. Raises Malformed for lists, and for a system alone."""
    try:
        alternatives = split_values(value)
    except Malformed as problem:
        raise Malformed(*(issue.diagnostics for issue in problem.issues), expression=where) from None
    parts = [unescape(part) for part in split_unescaped(value, "|")]
    if len(alternatives) != 1 or len(parts) > 2 or not parts[-1]:
        raise Malformed(f"identifier takes one system|value here, not {value}", expression=where, code="not-supported")
    return (parts[0] if len(parts) == 2 else None), parts[-1]
