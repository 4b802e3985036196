"""FHIRPath Patch: a Parameters resource whose operations name elements by their FHIRPath, all or nothing.

The language: http://hl7.org/fhir/R5/fhirpatch.html, the same in R4 and R4B. Every path must mean exactly one element
(for insert and move one list); a delete that finds nothing has nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from hub.errors import Refused, Unprocessable
from hub.fhir.definitions import Definitions, Element
from hub.fhir.elements import Pair, no_such_element, read_pairs, write_pairs
from hub.fhir.patch.parameters import PatchOperation, read_operations
from hub.fhir.patch.paths import Paths
from hub.fhir.patch.places import Place, append, level_below, members_to_change, overwrite, remove
from hub.fhir.patch.rules import Allowance, Copier, copy_of_resource, naming, refuse_new_identity
from hub.fhir.patch.values import Given, read_value
from hub.fhir.reading import Json


def apply_fhirpath_patch(
    resource: Mapping[str, Any], parameters: Json, facts: Definitions, allowance: Allowance | None = None
) -> dict[str, Any]:
    """``resource`` (parsed JSON of the version of ``facts``) after all operations; neither argument is changed.

    What it costs is taken from ``allowance``, from one of its own when none is given.
    Raises Malformed for what is no patch or no FHIRPath, Unprocessable for what cannot be applied: a path that means
    no or several elements, a value of a wrong type, an element that is there already, another type or id of the
    resource, too much or too deep. Each issue names the operation by its index from 0 and its place in Parameters.
    """
    operations = list(read_operations(parameters))
    patched = _Patched(resource, facts, allowance or Allowance())
    for index, operation in enumerate(operations):
        try:
            patched.apply(operation)
            refuse_new_identity(resource, patched.root.value)
        except Refused as refusal:
            place = f"Parameters.parameter[{index}]"
            raise naming(f"Operation {index} ({operation.type})", refusal, place) from None
        finally:
            patched.account()
    result: dict[str, Any] = patched.root.value
    return result


class _Patched:
    """The resource while it is being patched."""

    def __init__(self, resource: Mapping[str, Any], facts: Definitions, allowance: Allowance) -> None:
        type_ = resource.get("resourceType")
        if not isinstance(type_, str) or type_ not in facts.resource_types:
            raise Unprocessable(f"FHIR {facts.version.number} knows no such resource as this {type_!s:.64}.")
        self.root = Place(type_, copy_of_resource(resource))
        self._facts = facts
        self._allowance = allowance
        self._paths = Paths(self.root, facts, allowance.visits)
        self._copier = Copier(allowance)

    def account(self) -> None:
        """Take what the paths have cost from the allowance."""
        self._allowance.visits = self._paths.environment.budget

    def apply(self, operation: PatchOperation) -> None:
        match operation.type:
            case "add":
                self._add(operation)
            case "insert":
                self._insert(operation)
            case "delete":
                self._delete(operation)
            case "replace":
                self._replace(operation)
            case "move":
                self._move(operation)

    def _add(self, operation: PatchOperation) -> None:
        owner = self._one(operation.path)
        element = self._element(owner, operation.name)
        given, pair = self._given(operation, owner, element)
        append(members_to_change(owner), operation.name, element, given.type, pair)

    def _insert(self, operation: PatchOperation) -> None:
        owner, name, element = self._list(operation.path)
        _, pair = self._given(operation, owner, element)
        members = members_to_change(owner)
        pairs = read_pairs(members, name)
        if operation.index > len(pairs):
            raise _beyond("index", operation.index, len(pairs))
        pairs.insert(operation.index, pair)
        write_pairs(members, name, pairs, many=True)

    def _delete(self, operation: PatchOperation) -> None:
        found = list(islice(self._paths.places(operation.path), 2))
        if len(found) > 1:
            raise _several(operation.path)
        if found:
            remove(self._not_root(found[0]))

    def _replace(self, operation: PatchOperation) -> None:
        place = self._not_root(self._one(operation.path))
        assert place.owner is not None and place.element is not None
        given, pair = self._given(operation, place.owner, place.element)
        overwrite(place, pair, given.type)

    def _move(self, operation: PatchOperation) -> None:
        owner, name, _ = self._list(operation.path)
        members = members_to_change(owner)
        pairs = read_pairs(members, name)
        for part, number in (("source", operation.source), ("destination", operation.destination)):
            if number >= len(pairs):
                raise _beyond(part, number, len(pairs) - 1)
        pairs.insert(operation.destination, pairs.pop(operation.source))
        write_pairs(members, name, pairs, many=True)

    def _one(self, path: str) -> Place:
        found = list(islice(self._paths.places(path), 2))
        if len(found) > 1:
            raise _several(path)
        if not found:
            raise Unprocessable(f"The resource has nothing at {path[:200]}: add it to what is there, from above.")
        return found[0]

    def _list(self, path: str) -> tuple[Place, str, Element]:
        """The owner, name and definition of the one list that a path means; it may be empty."""
        owners, name = self._paths.collection(path)
        found = list(islice(owners, 2))
        if len(found) > 1:
            raise _several(path)
        if not found:
            raise Unprocessable(f"The resource has nothing that {path[:200]} could be a list of: add that first.")
        element = self._element(found[0], name)
        if not element.many:
            raise Unprocessable(f"{name} does not repeat, so it is no list: use add, replace or delete.")
        return found[0], name, element

    def _element(self, owner: Place, name: str) -> Element:
        element = self._facts.element(owner.type, name)
        if element is None:
            raise no_such_element(owner.type, name, self._facts, "")
        return element

    def _given(self, operation: PatchOperation, owner: Place, element: Element) -> tuple[Given, Pair]:
        """The value of the operation, and a copy of it to stand below ``owner``."""
        given = read_value(operation.value, element, self._facts, operation.value_path)
        level = level_below(owner, element)
        value, sibling = (self._copier.copy(part, level) for part in given.pair)
        return given, (value, sibling)

    def _not_root(self, place: Place) -> Place:
        if place.owner is None:
            raise Unprocessable("A patch cannot take away or replace the whole resource: delete or update it instead.")
        return place


def _several(path: str) -> Unprocessable:
    return Unprocessable(
        f"{path[:200]} means several elements of the resource: add an index, such as [0], or where(…).",
        code="multiple-matches",
    )


def _beyond(part: str, number: int, last: int) -> Unprocessable:
    if last < 0:
        return Unprocessable(f"{part} {number} cannot be: the list is empty.")
    return Unprocessable(f"{part} {number} is beyond the list: use 0 to {last}.")
