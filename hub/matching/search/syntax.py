"""Query strings and values as they are written (S-037, S-038, S-238, S-239)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from hub.errors import Malformed, Unprocessable

MAX_QUERY_CHARACTERS = 16 * 1024
MAX_VALUES = 100
"""Both from SECURITY E3: what is compiled once is evaluated on every change."""

COMPARATORS = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})

_TYPE_PREFIX = re.compile(r"/?([A-Za-z]*)\?")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ONLY_LEGAL_ESCAPES = re.compile(r"(?:[^\\]|\\[,$|\\])*")
_ESCAPE = re.compile(r"\\(.)")
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[-0-9.])")


@dataclass(frozen=True, slots=True)
class Condition:
    """``parameter[:modifier]=value``, percent-decoded; escapes still stand in ``value``.

    Of a chain, ``patient:Patient.birthdate:missing``, the modifier is what stands after its last name (S-239, S-268).
    """

    parameter: str
    modifier: str
    value: str


def parse_query(query: str, resource_type: str) -> tuple[Condition, ...]:
    """Split ``a=1&b:not=2``; a leading ``Type?`` (or ``/Type?``) of this very type is tolerated.

    ``Type?`` alone has no conditions. Raises Malformed for broken syntax, Unprocessable for another type.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise Unprocessable(f"The query has more than {MAX_QUERY_CHARACTERS} characters; write a shorter one.")
    text, typed = _without_type(query, resource_type)
    if not text:
        if typed:
            return ()
        raise Malformed("The query is empty; write parameter=value, or leave the element out.")
    encoded = "%" in text
    return tuple(_condition(piece, encoded) for piece in text.split("&"))


def split_values(value: str) -> tuple[str, ...]:
    """The alternatives of a value, split at unescaped commas and still escaped."""
    if "\\" in value and not _ONLY_LEGAL_ESCAPES.fullmatch(value):
        raise Malformed(r"A backslash escapes only , $ | and \; write \\ for a backslash.")
    values = tuple(split_unescaped(value, ","))
    if len(values) > MAX_VALUES:
        raise Unprocessable(f"More than {MAX_VALUES} values in one condition; use several Subscriptions.")
    if not all(values):
        raise Malformed("An empty value stands for nothing; remove it, or ask for absence with :missing=true.")
    return values


def split_unescaped(text: str, separator: str) -> list[str]:
    """Split at ``separator`` unless a backslash stands before it; the pieces keep their escapes."""
    if "\\" not in text:
        return text.split(separator)
    pieces, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            pieces.append(text[start:position])
            start = position + 1
        position += 1
    return [*pieces, text[start:]]


def unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)


def split_prefix(value: str) -> tuple[str, str]:
    """``ge5`` as (``ge``, ``5``); no prefix is ``""``. Only for number, date and quantity (S-240)."""
    found = _PREFIX.match(value)
    return (found.group(1), value[found.end() :]) if found else ("", value)


def _without_type(query: str, resource_type: str) -> tuple[str, bool]:
    found = _TYPE_PREFIX.match(query)
    if not found:
        return query, False
    if found.group(1) not in ("", resource_type):
        raise Unprocessable(f"The query asks for {found.group(1)}, but {resource_type} is tested; write that type.")
    return query[found.end() :], bool(found.group(1))


def _condition(piece: str, encoded: bool) -> Condition:
    name, equals, value = piece.partition("=")
    if not name or not equals:
        raise Malformed(f"'{piece}' is not parameter=value.")
    head, dot, last = _decoded(name, encoded).rpartition(".")
    parameter, colon, modifier = last.partition(":")
    if colon and not modifier:
        raise Malformed(f"'{name}' ends in a colon; write a modifier after it or leave the colon out.")
    return Condition(head + dot + parameter, modifier, _decoded(value, encoded))


def _decoded(text: str, encoded: bool) -> str:
    """Percent-decoded; ``+`` is a space only in a string that is otherwise encoded (S-037)."""
    if not encoded:
        return text
    if _BROKEN_PERCENT.search(text):
        raise Malformed(f"'{text}' holds a % that starts no escape; write %25 for a per cent sign.")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Malformed(f"'{text}' is not UTF-8 after percent-decoding.") from None
