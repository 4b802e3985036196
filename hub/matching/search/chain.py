"""Chains of depth one: ``patient.birthdate`` is judged on the Patient that the element refers to (S-268, ruling 23).

The target is looked up before matching begins; ``references`` says which ones that must be. A contained target is
judged where it stands. A target that is not held leaves the condition undecided, never false and never true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.domain.change import Resource
from hub.domain.topic import STRUCTURE_DEFINITION
from hub.matching.search.reference import LiteralReference
from hub.matching.search.surroundings import Surroundings, Undecided

if TYPE_CHECKING:
    from hub.matching.search.clause import Clause

MOST_TARGETS = 100
"""Of one parameter of one resource that are looked up; what refers to more stays undecided beyond them."""

Items = Iterable[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Chain:
    """``ends`` has the condition on the target for each type that the target may have."""

    ends: tuple[tuple[str, Clause], ...]
    own_base: str

    @property
    def types(self) -> frozenset[str]:
        return frozenset(type_ for type_, _ in self.ends)

    def references(self, items: Items) -> Iterator[str]:
        """What must be looked up, ``Type/id``, at most MOST_TARGETS."""
        left = MOST_TARGETS
        for fhir_type, value in items:
            literal = self._literal(fhir_type, value)
            if literal is not None and not literal.base and literal.type in self.types and left:
                left -= 1
                yield f"{literal.type}/{literal.id}"

    def matches(self, resource: Resource, items: Items, around: Surroundings) -> bool:
        """Does one of the targets match? Raises Undecided when none that is held does, and one is not held."""
        ends, found, doubt = dict(self.ends), False, None
        for fhir_type, value in items:
            try:
                found = self._target_matches(resource, fhir_type, value, ends, around) or found
            except Undecided as problem:
                doubt = problem
        if doubt and not found:
            raise doubt
        return found

    def _target_matches(
        self, resource: Resource, fhir_type: str, value: Any, ends: Mapping[str, Clause], around: Surroundings
    ) -> bool:
        text = _text(fhir_type, value)
        if text.startswith("#"):
            return self._contained_matches(resource, text[1:], ends, around)
        literal = self._literal(fhir_type, value)
        type_ = literal.type if literal else _said_type(fhir_type, value)
        if type_ and type_ not in ends:
            return False
        if literal is None or literal.base:
            raise Undecided(f"{text or 'a reference without a literal'} leads to a resource that is not held here")
        target = around.targets.get(f"{literal.type}/{literal.id}")
        if target is None:
            raise Undecided(f"{literal.type}/{literal.id} is not held here")
        return ends[literal.type].matches(target, around)

    def _contained_matches(
        self, resource: Resource, identity: str, ends: Mapping[str, Clause], around: Surroundings
    ) -> bool:
        for contained in resource.get("contained", ()):
            if identity and contained.get("id") == identity:
                end = ends.get(contained.get("resourceType"))
                return end is not None and end.matches(contained, around)
        raise Undecided(f"#{identity} is not among the contained resources")

    def _literal(self, fhir_type: str, value: Any) -> LiteralReference | None:
        if fhir_type == "canonical":  # leads by url, not by id: that way nothing can be looked up
            return None
        return LiteralReference.parse(_text(fhir_type, value), self.own_base)


def _reference(fhir_type: str, value: Any) -> Any:
    return value.get("reference", {}) if fhir_type == "CodeableReference" else value


def _text(fhir_type: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    text = _reference(fhir_type, value).get("reference")
    return text if isinstance(text, str) else ""


def _said_type(fhir_type: str, value: Any) -> str:
    """``Reference.type``, "" when it says nothing."""
    said = "" if isinstance(value, str) else _reference(fhir_type, value).get("type", "")
    return said.removeprefix(STRUCTURE_DEFINITION) if isinstance(said, str) else ""
