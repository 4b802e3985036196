"""Elements as FHIR's JSON writes them: a value, the object beside a primitive, lists side by side, typed names.

See http://hl7.org/fhir/R5/json.html: ``birthDate`` has its id and extensions in ``_birthDate``, a list of primitives
has a second list of the same length, and a choice element carries its type in its name (``valueQuantity``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from hub.errors import Unprocessable
from hub.fhir.definitions import PRIMITIVES, Definitions, Element
from hub.fhirpath.navigation import json_name

Pair = tuple[Any, Any]
"""The value of one element and, for a primitive, the object beside it; None for what is absent."""

UNTYPED = frozenset({"Element", "BackboneElement"})
"""Elements of these types are defined where they stand, so no value[x] can hold them."""

_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})


def read_pairs(members: Mapping[str, Any], name: str) -> list[Pair]:
    """Every element of this JSON name; places that hold nothing at all are left out."""
    values, siblings = _listed(members.get(name)), _listed(members.get(f"_{name}"))
    length = max(len(values), len(siblings))
    pairs = zip(_filled(values, length), _filled(siblings, length), strict=True)
    return [pair for pair in pairs if pair != (None, None)]


def write_pairs(members: dict[str, Any], name: str, pairs: Sequence[Pair], *, many: bool) -> None:
    """Make these the elements of this JSON name, as lists when it repeats; empty lists are not written (json.html)."""
    for key, held in ((name, [value for value, _ in pairs]), (f"_{name}", [sibling for _, sibling in pairs])):
        if all(item is None for item in held):
            members.pop(key, None)
        else:
            members[key] = held if many or len(held) > 1 else held[0]


def typed_names(name: str, element: Element) -> Iterator[tuple[str, str]]:
    """(JSON name, type) that the element can have; a plain one has its own name and its type or path."""
    if element.choice:
        yield from ((json_name(name, type_), type_) for type_ in element.types)
    else:
        yield name, element.path


def value_type(key: str, types: Sequence[str]) -> str:
    """The one of ``types`` that ``value[x]`` has when its JSON name is ``key``; "" when it is none of them."""
    return next((type_ for type_ in types if json_name("value", type_) == key), "")


def fits(type_: str, wanted: str, facts: Definitions) -> bool:
    """Can a value of ``type_`` stand exactly as it is where the element is of type ``wanted``?

    Primitives fit when JSON writes them alike: producers do not agree on string, markdown, uri or canonical.
    """
    if type_ in PRIMITIVES and wanted in PRIMITIVES:
        if type_ in _NUMBERS and wanted in _NUMBERS:
            return wanted == "decimal" or type_ != "decimal"
        return (type_ in _NUMBERS, type_ == "boolean") == (wanted in _NUMBERS, wanted == "boolean")
    if wanted in UNTYPED or type_ in PRIMITIVES or wanted in PRIMITIVES:
        return False
    return facts.is_a(type_, wanted) or facts.is_a(wanted, type_)


def is_written_as(value: Any, type_: str) -> bool:
    """Has ``value`` the JSON form of ``type_``: true or false, a number, a string that says something, an object?"""
    if type_ == "boolean":
        return isinstance(value, bool)
    if type_ in _NUMBERS:
        allowed = int | Decimal | float if type_ == "decimal" else int
        return isinstance(value, allowed) and not isinstance(value, bool)
    if type_ in PRIMITIVES:
        return isinstance(value, str) and bool(value.strip())
    return isinstance(value, dict) and bool(value)


def no_such_element(type_: str, name: str, facts: Definitions, expression: str) -> Unprocessable:
    """The refusal of an element that ``type_`` does not have in this version, with the name that may be meant."""
    names = sorted(set(facts.element_names(type_)))
    elements = {known: facts.element(type_, known) for known in names}
    advice = "see its page in the standard for the elements it has."
    if close := get_close_matches(name, names, n=1):
        advice = f"did you mean {close[0]}?"
    for known, element in elements.items():
        if element is not None and element.choice:
            typed = [typed_name for typed_name, _ in typed_names(known, element)]
            if name in (*typed, f"{known}[x]"):
                advice = f"write {known}, the type follows from the value."
    return Unprocessable(
        f"{type_} of FHIR {facts.version.number} has no element {name[:64]!r}: {advice}",
        expression=expression,
        code="structure",
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _filled(items: list[Any], length: int) -> list[Any]:
    return [*items, *[None] * (length - len(items))]
