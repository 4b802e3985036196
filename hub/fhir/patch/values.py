"""Values of a FHIRPath Patch: what a ``value`` part holds, in the form that its place in the resource needs.

A data type comes as value[x], a resource as resource, and what is defined only where it stands (``Patient.contact``)
as one part for each of its elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import PRIMITIVES, Definitions, Element
from hub.fhir.elements import UNTYPED, Pair, fits, is_written_as, no_such_element, value_type
from hub.fhir.patch.places import append
from hub.fhir.reading import Json, children, text

_SHOWN_TYPES = 12


@dataclass(frozen=True, slots=True)
class Given:
    """A value and its type; a part of the patch, not yet copied."""

    type: str
    pair: Pair


def read_value(part: Json, element: Element, facts: Definitions, path: str) -> Given:
    """The value that ``part`` gives for ``element``; ``path`` is where the part stands, for messages.

    Raises Malformed when the part holds no readable value, Unprocessable when the element takes no such value.
    """
    keys = sorted({name.removeprefix("_") for name in part if name.removeprefix("_").startswith("value")})
    held = [*keys, *(name for name in ("part", "resource") if name in part)]
    unknown = sorted(set(part) - {*held, *(f"_{key}" for key in keys), "name", "id", "extension"})
    if len(held) != 1 or unknown:
        raise Malformed(
            f"Give one of value[x], resource or part here, nothing else than {', '.join(held + unknown) or 'nothing'}.",
            expression=path,
        )
    if held == ["part"]:
        return _assembled(part, element, facts, path)
    if held == ["resource"]:
        return _resource(part["resource"], element, facts, path)
    return _typed(part, keys[0], element, facts, path)


def _typed(part: Json, key: str, element: Element, facts: Definitions, path: str) -> Given:
    value, sibling, path = part.get(key), part.get(f"_{key}"), f"{path}.{key}"
    definition = facts.element("Parameters.parameter", "value")
    type_ = value_type(key, definition.types if definition else ())
    if not type_:
        raise Malformed(f"FHIR {facts.version.number} has no {key} here: name a type it knows.", expression=path)
    only_extended = value is None and isinstance(sibling, dict) and type_ in PRIMITIVES
    if not only_extended and not is_written_as(value, type_):
        raise Malformed(f"This is not how JSON writes a {type_}: compare with its definition.", expression=path)
    if sibling is not None and (type_ not in PRIMITIVES or not is_written_as(sibling, "Element")):
        raise Malformed(f"_{key} is an object with an id or extensions of a primitive.", expression=path)
    return Given(_type_there(type_, element, facts, path), (value, sibling))


def _type_there(type_: str, element: Element, facts: Definitions, path: str) -> str:
    """The type that the value has once it stands in ``element``."""
    if element.choice:
        if type_ in element.types:
            return type_
    elif fits(type_, element.path, facts):
        return element.path
    raise Unprocessable(f"A {type_} cannot stand here: {_advice(element)}", expression=path, code="value")


def _advice(element: Element) -> str:
    if element.path == "Resource":
        return "give the resource as resource."
    if UNTYPED.intersection(element.types):
        return "give its elements as parts."
    more = ", …" if len(element.types) > _SHOWN_TYPES else ""
    return f"give a value of type {' or '.join(element.types[:_SHOWN_TYPES])}{more}."


def _resource(value: Any, element: Element, facts: Definitions, path: str) -> Given:
    if element.path != "Resource":
        raise Unprocessable(f"No resource can stand here: {_advice(element)}", expression=path, code="value")
    if not isinstance(value, dict) or value.get("resourceType") not in facts.resource_types:
        raise Malformed("Give a resource of this FHIR version, with its resourceType.", expression=f"{path}.resource")
    return Given("Resource", (value, None))


def _assembled(part: Json, element: Element, facts: Definitions, path: str) -> Given:
    parts = children(part, "part")
    if not parts or not all(text(inner, "name") for inner in parts):
        raise Malformed("Give a list with one named part for each element of the value.", expression=f"{path}.part")
    if element.choice or element.path == "Resource" or element.path in PRIMITIVES:
        raise Unprocessable(f"Parts cannot stand here: {_advice(element)}", expression=path, code="value")
    members: dict[str, Any] = {}
    for index, inner in enumerate(parts):
        inner_path = f"{path}.part[{index}]"
        name = text(inner, "name")
        inner_element = facts.element(element.path, name)
        if inner_element is None:
            raise no_such_element(element.path, name, facts, f"{inner_path}.name")
        given = read_value(inner, inner_element, facts, inner_path)
        append(members, name, inner_element, given.type, given.pair)
    return Given(element.path, (members, None))
