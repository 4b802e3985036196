"""``:in`` and ``:not-in``: is a code in a ValueSet that the hub holds? (S-250)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.errors import Unprocessable
from hub.fhir.value_sets import ValueSets
from hub.matching.search.surroundings import Undecided
from hub.matching.search.syntax import unescape
from hub.matching.search.token import IMPLICIT, Token, tokens_of

SETTING = "HUB_VALUESETS_DIR"


@dataclass(frozen=True, slots=True)
class InValueSet:
    """``:not-in`` is the negation of the whole, as ``:not`` is."""

    url: str
    value_sets: ValueSets

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        """Raises Undecided when no code of the element is a member for certain, and one may be."""
        found = [self._holds(token) for token in tokens_of(fhir_type, value)]
        if None in found and True not in found:
            raise Undecided(f"whether {self.url} holds a code cannot be told without the system of the code")
        return True in found

    def _holds(self, token: Token) -> bool | None:
        if token.code is None:
            return False
        system = None if token.system == IMPLICIT else token.system
        return self.value_sets.contains(self.url, system, token.code)


def compile_membership(text: str, value_sets: ValueSets) -> InValueSet:
    url = unescape(text)
    if not value_sets.holds(url):
        why = value_sets.why_not(url)
        said = f"cannot be used: {why}" if why else "is not known here"
        raise Unprocessable(
            f"the ValueSet {url} {said}; write its expansion to this base, put it into the folder of {SETTING}, "
            "or list the codes with commas.",
            code="not-supported",
        )
    return InValueSet(url, value_sets)
