"""string: folded text, matched from the start unless a modifier says otherwise (S-243, S-244)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.matching.search.syntax import unescape

_PARTS = {
    "HumanName": ("family", "given", "prefix", "suffix", "text"),
    "Address": ("line", "city", "district", "state", "postalCode", "country", "text"),
}
_BETWEEN_NAMES = re.compile(r"[\s-]+")


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Case, accents, punctuation and runs of white space do not count."""

    folded: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return any(fold(text).startswith(self.folded) for text in texts_of(fhir_type, value))


@dataclass(frozen=True, slots=True)
class Contains:
    """``:contains``, folded like the plain test."""

    folded: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return any(self.folded in fold(text) for text in texts_of(fhir_type, value))


@dataclass(frozen=True, slots=True)
class Exact:
    """``:exact``: the whole string, case and accents included."""

    text: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return self.text in texts_of(fhir_type, value)


def compile_string(text: str, modifier: str) -> StartsWith | Contains | Exact:
    text = unescape(text)
    if modifier == "exact":
        return Exact(text)
    folded = fold(text)
    if not folded:
        raise Malformed(f"'{text}' holds no letter or digit to look for; use :exact for it.")
    return Contains(folded) if modifier == "contains" else StartsWith(folded)


def fold(text: str) -> str:
    """Without case, accents and punctuation, single spaces between words."""
    decomposed = unicodedata.normalize("NFKD", text)
    kept = (character for character in decomposed if unicodedata.category(character)[0] not in "MP")
    return " ".join("".join(kept).casefold().split())


def texts_of(fhir_type: str, value: Any) -> Iterator[str]:
    """Every string part; the words of a family name also one by one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in _PARTS.get(fhir_type, ()):
            texts = value.get(part)
            for text in texts if isinstance(texts, list) else (texts,):
                if isinstance(text, str):
                    yield text
        yield from _family_words(value.get("family"))


def _family_words(family: Any) -> Iterator[str]:
    words = _BETWEEN_NAMES.split(family) if isinstance(family, str) else []
    if len(words) > 1:
        yield from words
