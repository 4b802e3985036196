"""reference: relative, absolute and canonical references (S-252…S-256, HOUSE ruling 15)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hub.errors import Malformed, Unprocessable
from hub.matching.search.syntax import unescape

_LITERAL = re.compile(
    r"(?:(?P<base>https?://[^?#|]*)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9.-]{1,64}))?"
)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_ABSOLUTE = re.compile(r"(?:https?://|urn:)\S+")


@dataclass(frozen=True, slots=True)
class LiteralReference:
    """A reference taken apart; ``base`` is "" below the own source base, ``version`` "" when none is named."""

    base: str
    type: str
    id: str
    version: str

    @classmethod
    def parse(cls, text: str, own_base: str) -> LiteralReference | None:
        """None for what is no literal RESTful reference: ``urn:``, ``#contained``, a canonical with a version."""
        found = _LITERAL.fullmatch(text)
        if not found:
            return None
        base = found["base"] or ""
        return cls("" if base == own_base else base, found["type"], found["id"], found["version"] or "")

    @property
    def key(self) -> str:
        return f"{self.base}/{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """One reference that was asked for; a version in an element counts only when one was asked for (S-253)."""

    literal: LiteralReference
    own_base: str
    keys: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", frozenset({self.literal.key}))

    def accepts(self, fhir_type: str, value: Any) -> bool:
        found = _literal(fhir_type, value, self.own_base)
        if found is None or found.key not in self.keys:
            return False
        return self.literal.version in ("", found.version)


@dataclass(frozen=True, slots=True)
class BareIdValue:
    """An id without a type: any type that the parameter allows, on the own base (S-252)."""

    id: str
    targets: frozenset[str]
    own_base: str

    @property
    def keys(self) -> frozenset[str] | None:
        return frozenset({f"*/{self.id}"})

    def accepts(self, fhir_type: str, value: Any) -> bool:
        found = _literal(fhir_type, value, self.own_base)
        if found is None or found.base or found.id != self.id:
            return False
        return not self.targets or found.type in self.targets


@dataclass(frozen=True, slots=True)
class CanonicalValue:
    """An absolute URI: ``url`` meets every version of a canonical, ``url|version`` that one only (S-256)."""

    url: str
    version: str

    @property
    def keys(self) -> frozenset[str] | None:
        return frozenset({self.url})

    def accepts(self, fhir_type: str, value: Any) -> bool:
        url, _, version = _without_fragment(_text(fhir_type, value)).partition("|")
        return url == self.url and self.version in ("", version)


def compile_reference(
    text: str, type_modifier: str, targets: frozenset[str], resource_types: frozenset[str], source_base_url: str
) -> ReferenceValue | BareIdValue | CanonicalValue:
    """``targets`` are the types that the parameter allows, empty for any; ``type_modifier`` is ``:[Type]`` or ""."""
    own_base, text = source_base_url.rstrip("/"), unescape(text)
    if type_modifier:
        if not _ID.fullmatch(text):
            raise Malformed(f"After :{type_modifier} write only the id, not '{text}'.")
        text = f"{type_modifier}/{text}"
    literal = LiteralReference.parse(text, own_base)
    if literal is not None and literal.type in resource_types:
        if targets and literal.type not in targets and not literal.base:
            raise Unprocessable(f"'{text}' can never match; write a reference to {_listed(targets)}.")
        return ReferenceValue(literal, own_base)
    if _ABSOLUTE.fullmatch(text):
        url, _, version = _without_fragment(text).partition("|")
        return CanonicalValue(url, version)
    if _ID.fullmatch(text):
        return BareIdValue(text, targets, own_base)
    raise Malformed(f"'{text}' is not a reference; write Type/id, an id or an absolute URL.")


def keys_of(fhir_type: str, value: Any, source_base_url: str) -> Iterator[str]:
    text = _text(fhir_type, value)
    if not text:
        return
    yield _stem(text)
    literal = _literal(fhir_type, value, source_base_url.rstrip("/"))
    if literal is not None:
        yield literal.key
        if not literal.base:
            yield f"*/{literal.id}"


def _text(fhir_type: str, value: Any) -> str:
    """What an element refers to; "" when it does so only by identifier or display."""
    if isinstance(value, dict):
        if fhir_type == "CodeableReference":
            value = value.get("reference", {})
        value = value.get("reference")
    return value if isinstance(value, str) else ""


def _literal(fhir_type: str, value: Any, own_base: str) -> LiteralReference | None:
    """A canonical also with its version left out: asked without one, every version counts (S-256)."""
    text = _text(fhir_type, value)
    return LiteralReference.parse(_stem(text) if fhir_type == "canonical" else text, own_base)


def _without_fragment(uri: str) -> str:
    return uri.partition("#")[0]


def _stem(uri: str) -> str:
    return _without_fragment(uri).partition("|")[0]


def _listed(targets: frozenset[str]) -> str:
    return " or ".join(sorted(targets))
