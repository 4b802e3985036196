"""uri: the whole string, exactly (S-257); a canonical also without its version (S-256)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.matching.search.syntax import unescape


@dataclass(frozen=True, slots=True)
class UriValue:
    """``any_fragment``: what stands after ``#`` in the element does not count (``_source``, S-270).

    ``any_version``: the element is a canonical, whatever its type (``topic`` of an R4 Subscription, S-256).
    """

    uri: str
    any_fragment: bool = False
    any_version: bool = False

    @property
    def keys(self) -> frozenset[str] | None:
        return frozenset({_stem(self.uri)})

    def accepts(self, fhir_type: str, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if value == self.uri:
            return True
        if (self.any_version or fhir_type == "canonical") and value.partition("|")[0] == self.uri:
            return True
        return self.any_fragment and value.partition("#")[0] == self.uri


def compile_uri(text: str, any_fragment: bool, any_version: bool = False) -> UriValue:
    return UriValue(unescape(text), any_fragment, any_version)


def keys_of(fhir_type: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield _stem(value)


def _stem(uri: str) -> str:
    return uri.partition("#")[0].partition("|")[0]
