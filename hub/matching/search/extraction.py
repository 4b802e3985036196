"""What a search parameter says about a resource: its elements, and their equality keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hub.domain.change import Resource
from hub.domain.versions import FhirVersion
from hub.errors import Refused, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter, definitions
from hub.fhirpath import Expression, FHIRPathEvaluationError, compile_expression
from hub.matching.search import composite, date, number, quantity, reference, token, uri
from hub.matching.search.threshold import Extent, Hull, hulls

Items = list[tuple[str, Any]]

MISBUILT = (AttributeError, KeyError, TypeError)
"""What looking at an element raises that is not built as its type says."""

_EXTENTS: dict[str, Callable[[str, Any], Iterator[Extent]]] = {
    "date": date.extents_of,
    "number": number.extents_of,
    "quantity": quantity.extents_of,
}


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """One parameter on one type. Shared by every clause that asks for it, so an index computes its keys once.

    A composite has ``components``: its items are tuples with the items of each component (S-266).
    """

    parameter: SearchParameter
    expression: Expression
    source_base_url: str
    components: tuple[tuple[SearchParameter, Expression], ...] = ()
    _last: list[Any] = field(default_factory=list, compare=False, repr=False)
    """The resource looked at last, and its items: many Subscriptions ask the same of one change."""

    @contextmanager
    def read(self, resource: Resource) -> Iterator[Items]:
        """(FHIR type code, value) of every element, to be looked at inside the block.

        Raises FHIRPathEvaluationError when the data forbid an answer: also when the block trips over an element that
        is not built as its type says, which nothing has checked before (HUB_VALIDATE is off by default).
        """
        items = self.items(resource)
        try:
            yield items
        except MISBUILT as error:
            raise self.misbuilt() from error

    def items(self, resource: Resource) -> Items:
        """What ``read`` gives, for callers that turn MISBUILT into ``misbuilt()`` themselves: that is a hot path."""
        if not self._last or self._last[0] is not resource:
            self._last[:] = [resource, self._items(resource)]
        found: Items = self._last[1]
        return found

    def misbuilt(self) -> FHIRPathEvaluationError:
        return FHIRPathEvaluationError(f"{self.parameter.code}: an element is not built as its type says")

    def keys_of(self, resource: Resource) -> frozenset[str]:
        """The equality keys of the resource; empty for types of value that have none. Raises as ``read`` does."""
        with self.read(resource) as items:
            return frozenset(self._all_keys(items))

    def hulls_of(self, resource: Resource) -> dict[str, Hull]:
        """From where to where the elements reach, by unit; empty for types that are not ordered. Raises as ``read``."""
        with self.read(resource) as items:
            extents_of = _EXTENTS.get(self.parameter.type)
            if extents_of is None:
                return {}
            return hulls([extent for fhir_type, value in items for extent in extents_of(fhir_type, value)])

    def _items(self, resource: Resource) -> Items:
        found = self.expression.typed_items(resource)
        return [(composite.TYPE, self._parts(*item, resource)) for item in found] if self.components else found

    def _parts(self, type_: str, value: Any, resource: Resource) -> tuple[Items, ...]:
        return tuple(expression.typed_items_of(type_, value, resource=resource) for _, expression in self.components)

    def _all_keys(self, items: Items) -> Iterator[str]:
        for fhir_type, value in items:
            if not self.components:
                yield from self._keys(self.parameter.type, fhir_type, value)
                continue
            for place, ((component, _), parts) in enumerate(zip(self.components, value, strict=True)):
                for part_type, part in parts:
                    keys = self._keys(component.type, part_type, part)
                    yield from (composite.component_key(place, key) for key in keys)

    def _keys(self, parameter_type: str, fhir_type: str, value: Any) -> Iterator[str]:
        match parameter_type:
            case "token":
                yield from token.keys_of(fhir_type, value)
            case "reference":
                yield from reference.keys_of(fhir_type, value, self.source_base_url)
            case "uri":
                yield from uri.keys_of(fhir_type, value)


def extraction(parameter: SearchParameter, resource_type: str, facts: Definitions, source_base_url: str) -> Extraction:
    """The extraction of ``parameter`` for one resource type; shared by every clause that asks for it.

    Raises Unprocessable for an expression that cannot be evaluated here.
    """
    components = composite.components_of(parameter, facts)
    return _extraction(parameter, components, resource_type, facts.version, source_base_url)


@lru_cache(maxsize=4096)
def _extraction(
    parameter: SearchParameter,
    components: tuple[SearchParameter, ...],
    resource_type: str,
    version: FhirVersion,
    source_base_url: str,
) -> Extraction:
    facts = definitions(version)
    try:
        expression = compile_expression(parameter.expression, facts, root_type=resource_type)
        # What a composite looks at may be of several types, so its components are compiled for any.
        parts = tuple((each, compile_expression(each.expression, facts)) for each in components)
    except Refused as refusal:
        raise Unprocessable(
            f"The search parameter {parameter.code} cannot be evaluated here: {refusal}.", code="not-supported"
        ) from refusal
    return Extraction(parameter, expression, source_base_url, parts)
