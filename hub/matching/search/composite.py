"""composite: several values that must hold for the same element, ``code$value`` (S-266)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter
from hub.matching.search.value import SearchValue

TYPE = "composite"
"""Stands for the type of an item whose value is a tuple: for each component its (type, value) pairs."""


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """One value for each component; an element is accepted when each of them accepts something in it."""

    parts: tuple[SearchValue, ...]

    @property
    def keys(self) -> frozenset[str] | None:
        """Those of the first component that has any: an accepted element has that one too."""
        for place, part in enumerate(self.parts):
            if part.keys is not None:
                return frozenset(component_key(place, key) for key in part.keys)
        return None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return all(
            any(part.accepts(found_type, found) for found_type, found in items)
            for part, items in zip(self.parts, value, strict=True)
        )


def components_of(parameter: SearchParameter, facts: Definitions) -> tuple[SearchParameter, ...]:
    """The components as parameters, each with its expression relative to an element of the composite.

    Raises Unprocessable when the standard leaves open of what type one is.
    """
    return tuple(_component(parameter, url, expression, facts) for url, expression in parameter.components)


def _component(parameter: SearchParameter, url: str, expression: str, facts: Definitions) -> SearchParameter:
    defined = facts.component(url)
    if defined is None or defined.type in ("composite", "special"):
        raise Unprocessable(
            f"'{parameter.code}' has a component that cannot be evaluated ({url}); filter by its parts one by one.",
            code="not-supported",
        )
    return replace(defined, expression=expression, components=())


def check_count(parameter: SearchParameter, pieces: Sequence[str], text: str) -> None:
    """Raises Malformed unless there is one value for each component."""
    if len(pieces) != len(parameter.components) or not all(pieces):
        names = "$".join(url.rpartition("/")[2] for url, _ in parameter.components)
        raise Malformed(rf"'{text}' is no value of '{parameter.code}'; write {names} (\$ for a $ inside a value).")


def component_key(place: int, key: str) -> str:
    return f"{place}${key}"
