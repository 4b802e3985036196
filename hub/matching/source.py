"""One parameter as many Subscriptions ask for it: what a resource says of it is worked out once, then looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hub.domain.change import Resource
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.postings import Postings
from hub.matching.search.extraction import Extraction
from hub.matching.search.threshold import UNREADABLE
from hub.matching.thresholds import Axis

Tell = Callable[[str, str], None]
"""Hears (parameter, reason) of values that could not be read."""

PLACE_BITS = 2**60 - 1


def place_of(key: str) -> int:
    """Where an equality key is filed: its hash takes 32 bytes, not a hundred. Who shares it by accident is judged."""
    return hash(key) & PLACE_BITS


@dataclass(slots=True, eq=False)
class Source:
    """One parameter, on each focus type that somebody asks it of."""

    code: str
    extractions: dict[str, Extraction] = field(default_factory=dict)
    equalities: Postings = field(default_factory=Postings)
    axes: dict[str, Axis] = field(default_factory=dict)

    def fits(self, resource_type: str, extraction: Extraction) -> bool:
        return self.extractions.get(resource_type, extraction) is extraction

    def find(self, resource_type: str, focus: Resource, tell: Tell, found: set[str]) -> None:
        extraction = self.extractions[resource_type]
        try:
            if self.equalities:
                for key in extraction.keys_of(focus):
                    found.update(self.equalities.at(place_of(key)))
            if self.axes:
                self._compare(extraction, focus, tell, found)
        except FHIRPathEvaluationError as error:
            tell(self.code, str(error))

    def _compare(self, extraction: Extraction, focus: Resource, tell: Tell, found: set[str]) -> None:
        for unit, hull in extraction.hulls_of(focus).items():
            axis = self.axes.get(unit)
            for names in axis.met_by(hull) if axis else ():
                found.update(names)
            if unit == UNREADABLE and self.axes.keys() - {""}:
                tell(self.code, "an element is not built as its type says, so its unit cannot be told")
