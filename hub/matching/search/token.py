"""token: codes, identifiers, contact points, booleans (S-245…S-249)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.matching.search.syntax import split_unescaped, unescape

CASE_SENSITIVE_SYSTEMS = (
    "http://terminology.hl7.org/CodeSystem/",
    "http://hl7.org/fhir/",
    "http://unitsofmeasure.org",
    "http://snomed.info/sct",
)
"""Begin of the systems known to tell upper from lower case; elsewhere case is ignored when in doubt (S-247)."""

IMPLICIT = "="
"""Stands for the system of a ``code``, which the value set of the element gives and the data does not (S-248)."""

_PHONE_SYSTEMS = frozenset({"phone", "fax", "sms", "pager"})
_FREE_TEXT = frozenset({"string", "System.String"})
_NOT_A_DIGIT = re.compile(r"\D+")


@dataclass(frozen=True, slots=True)
class Token:
    """One code as it stands in a resource; ``system`` is "" when there is none, IMPLICIT for bare primitives."""

    system: str
    code: str | None
    exact: bool
    phone: bool = False
    coded: bool = False

    def has_code(self, asked: str) -> bool:
        if self.code is None:
            return False
        if self.phone:
            return _digits(self.code) == _digits(asked) != ""
        return self.code == asked if self.exact else self.code.casefold() == asked.casefold()


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``code``, ``system|code``, ``|code`` or ``system|``: ``system`` None is any, "" is none; ``code`` None is any.

    ``exact``: case counts whatever the element (``_id``, S-247).
    """

    system: str | None
    code: str | None
    exact: bool = False

    @property
    def keys(self) -> frozenset[str] | None:
        if self.code is None:
            return frozenset({f"{self.system}|"})
        folded = self.code.casefold()
        if self.system is None:
            return frozenset({f"*|{folded}", f"tel|{_digits(self.code)}"})
        return frozenset({f"{self.system}|{folded}", f"{IMPLICIT}|{folded}"})

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return any(self._is(token) for token in tokens_of(fhir_type, value))

    def _is(self, token: Token) -> bool:
        if self.code is not None and not token.has_code(self.code):
            return False
        if self.exact and token.code != self.code:
            return False
        if self.system is None:
            return True
        if token.system == IMPLICIT:
            return self.code is not None and (self.system == "" or token.coded)
        return token.system == self.system


@dataclass(frozen=True, slots=True)
class TypedIdentifierValue:
    """``:of-type``: ``typeSystem|typeCode|value`` of an Identifier, all three (S-250)."""

    system: str
    code: str
    value: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        if fhir_type != "Identifier" or value.get("value") != self.value:
            return False
        codings = value.get("type", {}).get("coding", ())
        return any(coding.get("system") == self.system and coding.get("code") == self.code for coding in codings)


@dataclass(frozen=True, slots=True)
class ReferenceIdentifierValue:
    """``:identifier`` on a reference: Reference.identifier, not the target's own (S-254)."""

    token: TokenValue

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        identifier = value.get("identifier") if fhir_type == "Reference" else None
        return identifier is not None and self.token.accepts("Identifier", identifier)


def compile_token(text: str, *, exact: bool = False) -> TokenValue:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0], exact)
    if len(parts) > 2 or parts == ["", ""]:
        raise Malformed(rf"'{text}' is not a token; write code, system|code, |code or system| (\| inside a code).")
    return TokenValue(parts[0], parts[1] or None, exact)


def compile_of_type(text: str) -> TypedIdentifierValue:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise Malformed(f"'{text}' is not what :of-type takes; write typeSystem|typeCode|value.")
    return TypedIdentifierValue(*parts)


def keys_of(fhir_type: str, value: Any) -> Iterator[str]:
    for token in tokens_of(fhir_type, value):
        if token.code is None:
            yield f"{token.system}|"
            continue
        folded = token.code.casefold()
        yield f"tel|{_digits(token.code)}" if token.phone else f"*|{folded}"
        yield f"{token.system}|{folded}"
        yield f"{token.system}|"


def tokens_of(fhir_type: str, value: Any) -> list[Token]:
    """The codes that an element carries; raises TypeError or AttributeError when it is not built as its type says."""
    return list(_tokens(fhir_type, value))


def _tokens(fhir_type: str, value: Any) -> Iterator[Token]:
    if fhir_type == "CodeableReference":
        value, fhir_type = value.get("concept", {}), "CodeableConcept"
    if fhir_type == "CodeableConcept":
        for coding in value.get("coding", ()):
            yield _coding(coding)
    elif fhir_type == "Coding":
        yield _coding(value)
    elif fhir_type == "Identifier":
        yield Token(_text(value.get("system", "")), _text_or_none(value.get("value")), exact=True)
    elif fhir_type == "ContactPoint":
        is_phone = value.get("system") in _PHONE_SYSTEMS
        yield Token(IMPLICIT, _text_or_none(value.get("value")), exact=False, phone=is_phone)
    elif isinstance(value, bool):
        yield Token(IMPLICIT, "true" if value else "false", exact=True)
    elif isinstance(value, str):
        yield Token(IMPLICIT, value, exact=fhir_type not in _FREE_TEXT, coded=fhir_type == "code")


def _coding(coding: Any) -> Token:
    system = _text(coding.get("system", ""))
    return Token(system, _text_or_none(coding.get("code")), exact=system.startswith(CASE_SENSITIVE_SYSTEMS))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text should stand")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _digits(text: str) -> str:
    return _NOT_A_DIGIT.sub("", text)
