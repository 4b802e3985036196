"""Identifiers as tokens: by them conditional interactions find a resource (``identifier=system|value``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from hub.errors import Unprocessable

MOST_IDENTIFIERS = 500
"""Of one resource: each is a key that is written in the step of the change."""
_ELEMENTS = ("identifier", "masterIdentifier")
"""What the search parameter ``identifier`` looks at; the second is DocumentReference's and DocumentManifest's in R4."""


def identifier_tokens(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens by which ``resource`` is found: each identifier with its system, and by its value alone.

    Raises Unprocessable when there are more than can be kept: a condition would not find it by the others.
    """
    resource_type = str(resource.get("resourceType"))
    found: dict[str, None] = {}
    for count, (system, value) in enumerate(_identifiers(resource)):
        if count == MOST_IDENTIFIERS:
            raise Unprocessable(
                f"a resource may have {MOST_IDENTIFIERS} identifiers; leave some out",
                expression=f"{resource_type}.identifier",
                code="too-costly",
            )
        found[search_token(resource_type, system, value)] = None
        found[search_token(resource_type, None, value)] = None
    return tuple(found)


def search_token(resource_type: str, system: str | None, value: str) -> str:
    """The token of a search for ``system|value``; system None: any, "": none."""
    parts = (resource_type, "*" if system is None else f"={system}", value)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _identifiers(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(system or "", value) of each that has a value."""
    for element in _ELEMENTS:
        written = resource.get(element)
        for identifier in written if isinstance(written, list) else [written]:
            if isinstance(identifier, Mapping) and isinstance(identifier.get("value"), str) and identifier["value"]:
                system = identifier.get("system")
                yield system if isinstance(system, str) else "", identifier["value"]
