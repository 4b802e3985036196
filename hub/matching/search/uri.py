"""uri: the whole string, exactly (S-257); a canonical also without its version (S-256)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed, Unprocessable
from hub.matching.search.syntax import unescape

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s|#?]+", re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class BelowUri:
    """The URL itself and what lies below it, by whole path segments; fragments and versions do not count."""

    url: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return isinstance(value, str) and _is_below(_stem(value), self.url)


@dataclass(frozen=True, slots=True)
class AboveUri:
    """The URL itself and what it lies below."""

    url: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return isinstance(value, str) and bool(_URL.fullmatch(_stem(value))) and _is_below(self.url, _stem(value))


@dataclass(frozen=True, slots=True)
class ContainsUri:
    """``:contains`` of R5: the text anywhere in it, case included."""

    text: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return isinstance(value, str) and self.text in value


def compile_uri(
    text: str, any_fragment: bool, any_version: bool = False, *, modifier: str = ""
) -> UriValue | BelowUri | AboveUri | ContainsUri:
    """Raises Malformed for a URL that cannot have something above or below it, Unprocessable for a URN."""
    written = unescape(text)
    match modifier:
        case "below":
            return BelowUri(_url(written, modifier))
        case "above":
            return AboveUri(_url(written, modifier))
        case "contains":
            return ContainsUri(written)
        case _:
            return UriValue(written, any_fragment, any_version)


def keys_of(fhir_type: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield _stem(value)


def _url(text: str, modifier: str) -> str:
    if text.lower().startswith("urn:"):
        raise Unprocessable(f":{modifier} looks at the path of a URL, and {text} has none; write the URN without it.")
    if not _URL.fullmatch(text):
        raise Malformed(f"'{text}' is no URL; write one without version, query and fragment.")
    return text.rstrip("/")


def _is_below(url: str, root: str) -> bool:
    root = root.rstrip("/")
    return url.rstrip("/") == root or url.startswith(root + "/")


def _stem(uri: str) -> str:
    return uri.partition("#")[0].partition("|")[0]
