"""Identifiers as tokens: by them conditional interactions find a resource (``identifier=system|value``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

MOST_IDENTIFIERS = 50
"""Of one resource; more are not found by conditional interactions, and the write says so."""


def identifier_tokens(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens by which ``resource`` is found: each identifier with its system, and by its value alone."""
    found: dict[str, None] = {}
    written = resource.get("identifier")
    for identifier in written if isinstance(written, list) else [written]:
        if isinstance(identifier, Mapping) and isinstance(identifier.get("value"), str):
            system = identifier.get("system")
            found[_token(resource, system if isinstance(system, str) else "", identifier["value"])] = None
            found[_token(resource, None, identifier["value"])] = None
    return tuple(found)[: 2 * MOST_IDENTIFIERS]


def search_token(resource_type: str, system: str | None, value: str) -> str:
    """The token of a search for ``system|value``; system None: any, "": none."""
    parts = (resource_type, "*" if system is None else f"={system}", value)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _token(resource: Mapping[str, Any], system: str | None, value: str) -> str:
    return search_token(str(resource.get("resourceType")), system, value)
