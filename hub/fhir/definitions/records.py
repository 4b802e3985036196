"""The two kinds of fact: an element of a type, and a search parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Element:
    """One element as its type defines it.

    ``types`` are FHIR type codes; a choice element (``value[x]``, found by the name ``value``) lists every type it may
    have. ``many`` is True when it repeats. ``path`` is where the elements below it are found: its type's name, or the
    path of a backbone element (``Encounter.hospitalization``, also behind a content reference); for a choice it is "".
    """

    types: tuple[str, ...]
    many: bool
    choice: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One SearchParameter of the registry.

    ``type`` is a search parameter type (token, reference, ...), ``expression`` is FHIRPath, "" when the standard gives
    none; ``target`` are the types that a reference may point to. ``components`` of a composite are (canonical of the
    component's parameter, expression relative to an item of ``expression``). ``comparators`` are the prefixes that the
    registry lists, empty where it lists none.
    """

    code: str
    base: tuple[str, ...]
    type: str
    expression: str
    target: tuple[str, ...]
    url: str
    components: tuple[tuple[str, str], ...] = ()
    comparators: tuple[str, ...] = ()
