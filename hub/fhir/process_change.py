"""The input of ``$process-change``: a change told together with the state before it (HOUSE ruling 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.domain.change import Resource
from hub.errors import Malformed
from hub.fhir.bundle_entries import LOGICAL_ID
from hub.fhir.json import read_instant
from hub.fhir.raw_parts import parameter_resources

NAMES = ("interaction", "current", "previous", "when")
INTERACTIONS = ("create", "update", "delete")
_STATES = {"create": {"current"}, "update": {"current", "previous"}, "delete": {"previous"}}

State = tuple[bytes, Resource]
"""A resource as received, and parsed."""


@dataclass(frozen=True, slots=True)
class ProcessChange:
    """``current`` and ``previous`` are None when absent; those that are there have the same type and id.

    ``when`` is the moment at which it happened, None when that was not told.
    """

    interaction: str
    type: str
    id: str
    current: State | None
    previous: State | None
    when: datetime | None = None


def read_process_change(raw: bytes, parameters: Mapping[str, Any]) -> ProcessChange:
    """``parameters`` is what ``raw`` parses to. Raises Malformed naming the parameter and what to write instead."""
    places = _places(parameters)
    written = parameters["parameter"]
    interaction = written[places["interaction"]].get("valueCode") if "interaction" in places else None
    if interaction not in INTERACTIONS:
        raise Malformed(f"interaction is a valueCode of {', '.join(INTERACTIONS)}", expression="Parameters.parameter")
    bodies = parameter_resources(raw, parameters)
    states: dict[str, State] = {
        name: read_state(places[name], written, bodies) for name in ("current", "previous") if name in places
    }
    _check_presence(interaction, states)
    identities = {(str(resource["resourceType"]), str(resource["id"])) for _, resource in states.values()}
    if len(identities) != 1:
        raise Malformed("current and previous are states of the same resource", expression="Parameters.parameter")
    ((resource_type, identity),) = identities
    when = read_when(written, places.get("when"))
    return ProcessChange(interaction, resource_type, identity, states.get("current"), states.get("previous"), when)


def read_when(written: Sequence[Any], place: int | None) -> datetime | None:
    """The valueInstant of the parameter at ``place``; None when there is none. Raises Malformed."""
    if place is None:
        return None
    text = written[place].get("valueInstant")
    moment = read_instant(text) if isinstance(text, str) else None
    if moment is None:
        where = f"Parameters.parameter[{place}].valueInstant"
        raise Malformed("when is a valueInstant, such as 2026-01-02T03:04:05Z", expression=where)
    return moment


def _places(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Name -> place of each parameter."""
    if parameters.get("resourceType") != "Parameters":
        raise Malformed(
            "$process-change takes Parameters: interaction, current, previous, when", expression="Parameters"
        )
    written = parameters.get("parameter")
    if not isinstance(written, list) or not written or not all(isinstance(part, Mapping) for part in written):
        raise Malformed("parameter is a list of objects", expression="Parameters.parameter")
    places: dict[str, int] = {}
    for place, part in enumerate(written):
        name, where = part.get("name"), f"Parameters.parameter[{place}]"
        if name not in NAMES:
            raise Malformed(f"the parameters are {', '.join(NAMES)}, not {name}", expression=where)
        if places.setdefault(name, place) != place:
            raise Malformed(f"{name} stands twice; leave one out", expression=where)
    return places


def read_state(place: int, written: Sequence[Any], bodies: Sequence[bytes]) -> State:
    """The resource of the parameter at ``place``, with type and id; ``bodies`` are those of all. Raises Malformed."""
    resource, where = written[place].get("resource"), f"Parameters.parameter[{place}].resource"
    if not isinstance(resource, Mapping):
        raise Malformed(f"{written[place]['name']} carries a resource", expression=where)
    identity = resource.get("id")
    if not isinstance(resource.get("resourceType"), str) or not isinstance(identity, str):
        raise Malformed("the resource has a resourceType and an id", expression=where)
    if not LOGICAL_ID.fullmatch(identity):
        raise Malformed("an id has 1 to 64 letters, digits, '-' and '.'", expression=f"{where}.id")
    return bodies[place], resource


def _check_presence(interaction: str, states: Mapping[str, State]) -> None:
    allowed = _STATES[interaction]
    needed = "previous" if interaction == "delete" else "current"
    if needed not in states:
        raise Malformed(f"a {interaction} has {needed}", expression="Parameters.parameter")
    extra = states.keys() - allowed
    if extra:
        raise Malformed(f"a {interaction} has no {extra.pop()}; leave it out", expression="Parameters.parameter")
