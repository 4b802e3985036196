"""The input of ``$external-event``: something happened elsewhere that is about a resource (S-043, S-044)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.domain.change import EventCode, Occasion
from hub.domain.probe import TEST_SYSTEM
from hub.errors import Malformed
from hub.fhir.bundle_entries import LOGICAL_ID
from hub.fhir.process_change import State, read_state, read_when
from hub.fhir.raw_parts import parameter_resources
from hub.fhir.reading import Json, child, children, text

MOST_CODES = 20
MOST_CONTEXT = 20
_SINGLE = ("focus", "when")
_NAMES = ("event", "focus", "context", "when")


@dataclass(frozen=True, slots=True)
class ExternalEvent:
    """``resource`` is the focus as it was sent along, None when only its reference was."""

    type: str
    id: str
    resource: State | None
    occasion: Occasion


def read_external_event(raw: bytes, parameters: Mapping[str, Any], source_base_url: str) -> ExternalEvent:
    """``parameters`` is what ``raw`` parses to; an absolute reference to ``source_base_url`` equals the relative one.

    Raises Malformed naming the parameter and what to write instead.
    """
    places = _places(parameters)
    written = parameters["parameter"]
    codes = [code for place in places["event"] for code in _codes(written[place], place)]
    if len(codes) > MOST_CODES or len(places["context"]) > MOST_CONTEXT:
        raise Malformed(
            f"an event has at most {MOST_CODES} codings and {MOST_CONTEXT} contexts; tell it as several events",
            expression="Parameters.parameter",
        )
    context = [_reference(written[place], place, source_base_url) for place in places["context"]]
    when = read_when(written, places["when"][0] if places["when"] else None)
    occasion = Occasion(when, tuple(dict.fromkeys(codes)), tuple(dict.fromkeys(context)))
    (focus,) = places["focus"]
    if "resource" in written[focus]:
        if "valueReference" in written[focus]:
            where = f"Parameters.parameter[{focus}]"
            raise Malformed("focus is a resource or a valueReference, not both", expression=where)
        state = read_state(focus, written, parameter_resources(raw, parameters))
        return ExternalEvent(str(state[1]["resourceType"]), str(state[1]["id"]), state, occasion)
    resource_type, _, identity = _reference(written[focus], focus, source_base_url).partition("/")
    return ExternalEvent(resource_type, identity, None, occasion)


def _places(parameters: Mapping[str, Any]) -> dict[str, list[int]]:
    """Name -> places of each parameter, [] when it does not stand."""
    written = parameters.get("parameter")
    well_built = isinstance(written, list) and all(isinstance(part, Mapping) for part in written)
    if parameters.get("resourceType") != "Parameters" or not isinstance(written, list) or not well_built:
        raise Malformed("$external-event takes Parameters: event, focus, context, when", expression="Parameters")
    places: dict[str, list[int]] = {name: [] for name in _NAMES}
    for place, part in enumerate(written):
        name, where = part.get("name"), f"Parameters.parameter[{place}]"
        if name not in _NAMES:
            raise Malformed(f"the parameters are {', '.join(_NAMES)}, not {name}", expression=where)
        places[name].append(place)
        if name in _SINGLE and len(places[name]) > 1:
            raise Malformed(f"{name} stands twice; leave one out", expression=where)
    for name in ("event", "focus"):
        if not places[name]:
            raise Malformed(f"an external event has the parameter {name}", expression="Parameters.parameter")
    return places


def _codes(part: Json, place: int) -> list[EventCode]:
    codings = [child(part, "valueCoding"), *children(child(part, "valueCodeableConcept"), "coding")]
    codes = [EventCode(text(each, "system"), text(each, "code")) for each in codings if text(each, "code")]
    if not codes or not all(isinstance(each.get("system", ""), str) for each in codings):
        raise Malformed(
            "event is a valueCoding, or a valueCodeableConcept with codings; each with its code, a system is a string",
            expression=f"Parameters.parameter[{place}]",
        )
    if any(each.system == TEST_SYSTEM for each in codes):
        raise Malformed(
            f"an event with the system {TEST_SYSTEM} is a test, which only Subscription/[id]/$test makes",
            expression=f"Parameters.parameter[{place}]",
        )
    return codes


def _reference(part: Json, place: int, source_base_url: str) -> str:
    """Type/id of a reference to a resource of this base."""
    written = text(child(part, "valueReference"), "reference")
    relative = written.removeprefix(source_base_url.rstrip("/") + "/")
    resource_type, _, identity = relative.partition("/")
    if not resource_type.isalpha() or not LOGICAL_ID.fullmatch(identity):
        raise Malformed(
            f"{part['name']} is a valueReference with a reference of the form Type/id",
            expression=f"Parameters.parameter[{place}]",
        )
    return relative
