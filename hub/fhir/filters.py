"""Filter criteria strings of the Backport profile, in every form that is in use (S-092).

param=value · param:modifier=value · Type.param=value · Type?param=value&param2=value2 · Type?

A parameter may be a chain, with the type of its target or without: ``patient:Patient.birthdate`` (S-047, S-268).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from hub.domain.subscription import FilterBy
from hub.fhir.topics import TYPE_NAME

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:(?::[A-Z][A-Za-z]+)?\.[A-Za-z_][A-Za-z0-9_-]*)*")
_MODIFIER = re.compile(r"[A-Za-z][A-Za-z-]*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


class FilterSyntaxError(ValueError):
    """The string has none of the forms; the text says what to write instead."""


def read_filter_criteria(criteria: str) -> tuple[FilterBy, ...]:
    """The conditions of one string; ``&`` joins by AND, commas within a value are left for the value's own syntax.

    A string may be URL-encoded or not: it is decoded after splitting, ``+`` is a space only beside escapes (S-037).
    Raises FilterSyntaxError.
    """
    resource_type, question, query = criteria.removeprefix("/").partition("?")
    if not question or "=" in resource_type:
        resource_type, query = "", criteria
    elif not TYPE_NAME.fullmatch(resource_type):
        raise FilterSyntaxError(f"{resource_type!r} is no resource type: write Type?param=value or param=value.")
    elif not query:
        return (FilterBy(parameter="", resource_type=resource_type),)
    encoded = _ESCAPE.search(query) is not None
    return tuple(_condition(part, resource_type, encoded) for part in query.split("&"))


def _condition(part: str, resource_type: str, encoded: bool) -> FilterBy:
    name, equals, value = (_decoded(piece, encoded) for piece in part.partition("="))
    if not equals or not name or not value:
        raise FilterSyntaxError(f"{part!r} is no condition: write param=value.")
    if not resource_type:
        resource_type, name = _qualified(name)
    head, dot, last = name.rpartition(".")  # of a chain, patient:Patient.birthdate, the modifier comes last
    last, colon, modifier = last.partition(":")
    name = head + dot + last
    if not _PARAMETER.fullmatch(name) or (colon and not _MODIFIER.fullmatch(modifier)):
        raise FilterSyntaxError(f"{part!r} is no condition: write param=value or param:modifier=value.")
    return FilterBy(parameter=name, value=value, resource_type=resource_type, modifier=modifier)


def _qualified(name: str) -> tuple[str, str]:
    """``Encounter.patient`` is a parameter of a type, ``patient.gender`` a chain: types have a capital (S-093)."""
    head, dot, rest = name.partition(".")
    return (head, rest) if dot and TYPE_NAME.fullmatch(head) else ("", name)


def _decoded(text: str, encoded: bool) -> str:
    if not encoded:
        return text
    try:
        return unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise FilterSyntaxError(f"{text!r} is not UTF-8 in URL encoding: write it without escapes.") from None
