"""Places: where the elements of a resource stand in its JSON, so that they can be changed there.

A place is found, used for one change and forgotten: any change may make others untrue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Unprocessable
from hub.fhir.definitions import PRIMITIVES, Definitions, Element
from hub.fhir.elements import Pair, read_pairs, typed_names, write_pairs
from hub.fhirpath.navigation import resource_type


@dataclass(frozen=True, slots=True)
class Place:
    """One element: its type (or backbone path), value and sibling as FHIRPath sees them, and where it stands.

    ``name`` is its JSON name in ``owner``, ``index`` its number among those of that name, ``element`` its definition.
    ``level`` counts the objects and arrays around its value. The resource itself has no owner.
    """

    type: str
    value: Any
    sibling: Any = None
    owner: Place | None = None
    element: Element | None = None
    name: str = ""
    index: int = 0
    level: int = 0

    @property
    def members(self) -> dict[str, Any] | None:
        """The JSON object that holds the elements below this one; None when there is none (yet)."""
        held = self.sibling if self.type in PRIMITIVES else self.value
        return held if isinstance(held, dict) else None


def level_below(place: Place, element: Element) -> int:
    """How many objects and arrays a value of ``element`` has around it when it stands in ``place``."""
    return place.level + 1 + element.many


def child_places(owner: Place, name: str, facts: Definitions) -> Iterator[Place]:
    """The elements ``name`` (a choice: without its type) of ``owner``, in their order."""
    element, members = facts.element(owner.type, name), owner.members
    if element is None or members is None:
        return
    level = level_below(owner, element)
    for typed_name, type_ in typed_names(name, element):
        for index, (value, sibling) in enumerate(read_pairs(members, typed_name)):
            actual = resource_type(value, facts) if type_ == "Resource" else type_
            yield Place(actual, value, sibling, owner, element, typed_name, index, level)


def members_to_change(place: Place) -> dict[str, Any]:
    """The object that holds what is below ``place``; for a primitive it is made when there is none."""
    if place.members is not None:
        return place.members
    if place.type in PRIMITIVES and place.owner is not None and place.sibling is None:
        made: dict[str, Any] = {}
        overwrite(place, (place.value, made))
        return made
    raise Unprocessable(f"The resource has something else than an object as {place.name}: replace that first.")


def append(members: dict[str, Any], name: str, element: Element, type_: str, pair: Pair) -> None:
    """Add an element of ``type_``; raises Unprocessable when one is there and no second may be."""
    taken = [typed_name for typed_name, _ in typed_names(name, element) if read_pairs(members, typed_name)]
    if taken and not element.many:
        raise Unprocessable(f"{taken[0]} is there already and does not repeat: replace it.", code="duplicate")
    json_name = _name_for(name, element, type_)
    write_pairs(members, json_name, [*read_pairs(members, json_name), pair], many=element.many)


def overwrite(place: Place, pair: Pair, type_: str = "") -> None:
    """Let ``pair`` stand there instead, with all that belongs to it; a choice takes the name for ``type_``."""
    assert place.owner is not None and place.element is not None
    members, many = members_to_change(place.owner), place.element.many
    if place.element.choice and type_ and type_ != place.type:
        write_pairs(members, place.name, [], many=many)
        name = place.name[: len(place.name) - len(place.type)]
        write_pairs(members, _name_for(name, place.element, type_), [pair], many=many)
        return
    pairs = read_pairs(members, place.name)
    pairs[place.index] = pair
    write_pairs(members, place.name, pairs, many=many)


def remove(place: Place) -> None:
    """Take the element away, and with it every object that would be left empty: FHIR has no empty elements."""
    assert place.owner is not None and place.element is not None
    owner, members = place.owner, members_to_change(place.owner)
    pairs = read_pairs(members, place.name)
    del pairs[place.index]
    write_pairs(members, place.name, pairs, many=place.element.many)
    if members or owner.owner is None:
        return
    if owner.type in PRIMITIVES and owner.value is not None:
        overwrite(owner, (owner.value, None))
    else:
        remove(owner)


def _name_for(name: str, element: Element, type_: str) -> str:
    """The JSON name for a value of this type."""
    if not element.choice:
        return name
    return next(typed_name for typed_name, possible in typed_names(name, element) if possible == type_)
