"""JSON in, strictly; JSON out, plainly.

The standard library's reader accepts much that cannot be stored, compared or sent on exactly (doubled keys, NaN,
half a surrogate pair, numbers of any size, any depth). All of that is refused here, before anything is kept
(SECURITY E1). Decimals are read as ``Decimal``, so 6.30 stays 6.30 for those who compare.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

import orjson

from hub.errors import Malformed

MAX_DEPTH = 64
MAX_DIGITS = 300
MAX_EXPONENT = 400

# A string runs to its closing quote or, when that is missing, to the end: one pass, whatever the input.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def read_json(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw`` (UTF-8, a byte order mark may lead); numbers are ``int`` (of 64 bits) or ``Decimal``.

    Raises Malformed: not UTF-8, not JSON, not an object, nested deeper than 64, a key twice in one object, NaN or
    Infinity, a lone surrogate, a number of more than 300 digits or an exponent beyond ±400.
    """
    value = _read_strictly(raw)
    if not isinstance(value, dict):
        raise Malformed('The body is not a JSON object: send a resource, {"resourceType": …}.')
    return value


def read_kept_json(raw: str | bytes) -> dict[str, Any]:
    """What was read strictly, or written by the hub, before it was stored; decimals are floats."""
    kept: dict[str, Any] = orjson.loads(raw)
    return kept


def read_json_array(raw: bytes) -> list[Any]:
    """The JSON array in ``raw``, read as strictly as ``read_json`` reads an object. Raises Malformed."""
    value = _read_strictly(raw)
    if not isinstance(value, list):
        raise Malformed("The body is not a JSON array: write [ … ].")
    return value


def _read_strictly(raw: bytes) -> Any:
    body = without_byte_order_mark(raw)
    _check_depth(body)
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start} is wrong.", code="invalid") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    if _SURROGATE.search(body):
        _check_surrogates(value)
    return value


def write_json(value: Any) -> bytes:
    """``value`` as compact UTF-8 JSON; a ``Decimal`` keeps its digits, an ``orjson.Fragment`` goes in as it is."""
    return orjson.dumps(value, default=_digits)


def _digits(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no JSON form here")


@lru_cache(maxsize=4096)  # the events of one change all tell the same
def write_instant(moment: datetime) -> str:
    """An aware datetime as a FHIR instant in UTC with milliseconds, ``2026-01-02T03:04:05.678Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def read_instant(written: str) -> datetime | None:
    """The aware datetime that a FHIR instant means; None when ``written`` is none."""
    if not _INSTANT.fullmatch(written):
        return None
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):  # a day, hour or offset that does not exist
        return None


def without_byte_order_mark(raw: bytes) -> bytes:
    """The JSON text itself: a byte order mark may stand before a body, never inside another one."""
    return raw.removeprefix(codecs.BOM_UTF8)


def _check_depth(body: bytes) -> None:
    """Refuse what nests too deep without parsing it: the parser recurses and would fall over first.

    Outside of strings, each round of removing ``{}`` and ``[]`` takes away the innermost level.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = _without_innermost(brackets)
    if brackets:
        raise Malformed(f"The body is nested deeper than {MAX_DEPTH} levels, or its brackets do not close.")


def _without_innermost(brackets: bytes) -> bytes:
    return brackets.replace(b"{}", b"").replace(b"[]", b"")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Malformed(f"The key {double[:64]!r} stands twice in one object: write it once.")
    return members


def _integer(literal: str) -> int | Decimal:
    """An int of 64 bits; what is larger is no FHIR integer, but may stand as a decimal."""
    if len(literal) < 19:
        return int(literal)
    return _decimal(literal)


def _decimal(literal: str) -> Decimal:
    if len(literal) > MAX_DIGITS:
        raise Malformed(f"A number has more than {MAX_DIGITS} digits.")
    exponent = literal.lower().partition("e")[2]
    if exponent and (len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT):
        raise Malformed(f"A number has an exponent beyond ±{MAX_EXPONENT}.")
    return Decimal(literal)


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a JSON number: leave the element out.")


def _check_surrogates(value: Any) -> None:
    """A lone surrogate parses but has no UTF-8 form: it could be stored nowhere."""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Malformed("A string has half of a surrogate pair (\\ud800…\\udfff): write both halves.") from None
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_surrogates(name)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_no_constant
)
