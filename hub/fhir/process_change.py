"""The input of ``$process-change``: a change told together with the state before it (HOUSE ruling 13)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.fhir.bundle_entries import parameter_resources

INTERACTIONS = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class ProcessChange:
    """``current`` and ``previous`` are (bytes as received, parsed), None when absent."""

    interaction: str
    type: str
    id: str
    current: tuple[bytes, Mapping[str, Any]] | None
    previous: tuple[bytes, Mapping[str, Any]] | None


def read_process_change(raw: bytes, parameters: Mapping[str, Any], types: Collection[str]) -> ProcessChange:
    """Raises Malformed naming the parameter and what to write instead."""
    if parameters.get("resourceType") != "Parameters":
        raise Malformed("$process-change takes Parameters: interaction, current, previous", expression="Parameters")
    named = {part.get("name"): part for part in parameters.get("parameter", []) if isinstance(part, Mapping)}
    unknown = set(named) - {"interaction", "current", "previous"}
    if unknown:
        raise Malformed(f"the parameters are interaction, current and previous, not {sorted(map(str, unknown))[0]}")
    interaction = named.get("interaction", {}).get("valueCode")
    if interaction not in INTERACTIONS:
        raise Malformed(f"interaction is a valueCode of {', '.join(INTERACTIONS)}", expression="Parameters.parameter")
    bodies = parameter_resources(raw)
    current, previous = (_resource(name, named, bodies) for name in ("current", "previous"))
    _check_presence(interaction, current, previous)
    known = current or previous
    assert known is not None
    resource_type, identity = known[1].get("resourceType"), known[1].get("id")
    if resource_type not in types or not isinstance(identity, str):
        raise Malformed(
            "current and previous are resources of this FHIR version with an id", expression="Parameters.parameter"
        )
    if current and previous and (previous[1].get("resourceType"), previous[1].get("id")) != (resource_type, identity):
        raise Malformed("current and previous are states of the same resource", expression="Parameters.parameter")
    return ProcessChange(interaction, str(resource_type), identity, current, previous)


def _resource(name: str, named: Mapping[Any, Any], bodies: Mapping[str, str]) -> tuple[bytes, Mapping[str, Any]] | None:
    resource = named.get(name, {}).get("resource")
    if resource is None:
        return None
    if not isinstance(resource, Mapping):
        raise Malformed(f"{name} carries a resource", expression="Parameters.parameter.resource")
    return bodies[name].encode(), resource


def _check_presence(interaction: str, current: Any, previous: Any) -> None:
    if interaction == "delete" and (current or not previous):
        raise Malformed("a delete has previous and no current", expression="Parameters.parameter")
    if interaction != "delete" and not current:
        raise Malformed(f"a {interaction} has current", expression="Parameters.parameter")
    if interaction == "create" and previous:
        raise Malformed("a create has no previous", expression="Parameters.parameter")
