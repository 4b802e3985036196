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
from hub.matching.search import date, number, quantity, reference, token, uri
from hub.matching.search.threshold import Extent, Hull, hulls

_EXTENTS: dict[str, Callable[[str, Any], Iterator[Extent]]] = {
    "date": date.extents_of,
    "number": number.extents_of,
    "quantity": quantity.extents_of,
}


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """One parameter on one type. Shared by every clause that asks for it, so an index computes its keys once."""

    parameter: SearchParameter
    expression: Expression
    source_base_url: str
    _last: list[Any] = field(default_factory=list, compare=False, repr=False)
    """The resource looked at last, and its items: many Subscriptions ask the same of one change."""

    @contextmanager
    def read(self, resource: Resource) -> Iterator[list[tuple[str, Any]]]:
        """(FHIR type code, value) of every element, to be looked at inside the block.

        Raises FHIRPathEvaluationError when the data forbid an answer: also when the block trips over an element that
        is not built as its type says, which nothing has checked before (HUB_VALIDATE is off by default).
        """
        if not self._last or self._last[0] is not resource:
            self._last[:] = [resource, self.expression.typed_items(resource)]
        try:
            yield self._last[1]
        except (AttributeError, KeyError, TypeError) as error:
            raise FHIRPathEvaluationError(f"{self.parameter.code}: an element is not built as its type says") from error

    def keys_of(self, resource: Resource) -> frozenset[str]:
        """The equality keys of the resource; empty for types of value that have none. Raises as ``read`` does."""
        with self.read(resource) as items:
            return frozenset(key for fhir_type, value in items for key in self._keys(fhir_type, value))

    def hulls_of(self, resource: Resource) -> dict[str, Hull]:
        """From where to where the elements reach, by unit; empty for types that are not ordered. Raises as ``read``."""
        with self.read(resource) as items:
            extents_of = _EXTENTS.get(self.parameter.type)
            if extents_of is None:
                return {}
            return hulls([extent for fhir_type, value in items for extent in extents_of(fhir_type, value)])

    def _keys(self, fhir_type: str, value: Any) -> Iterator[str]:
        match self.parameter.type:
            case "token":
                yield from token.keys_of(fhir_type, value)
            case "reference":
                yield from reference.keys_of(fhir_type, value, self.source_base_url)
            case "uri":
                yield from uri.keys_of(fhir_type, value)


@lru_cache(maxsize=4096)
def extraction(
    parameter: SearchParameter, resource_type: str, version: FhirVersion, source_base_url: str
) -> Extraction:
    """The extraction of ``parameter`` for one resource type; shared by every clause that asks for it."""
    facts: Definitions = definitions(version)
    try:
        expression = compile_expression(parameter.expression, facts, root_type=resource_type)
    except Refused as refusal:
        raise Unprocessable(
            f"The search parameter {parameter.code} cannot be evaluated here: {refusal}.", code="not-supported"
        ) from refusal
    return Extraction(parameter, expression, source_base_url)
