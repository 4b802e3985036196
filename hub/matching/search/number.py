"""number: exact decimals with the precision in which they were asked for (S-258, S-259)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.errors import Malformed
from hub.matching.search.threshold import Extent, Side, Threshold, decimal_place

_NUMBER = re.compile(r"-?\d{1,25}(\.\d{1,25})?([eE][+-]?\d{1,2})?", re.ASCII)
MAX_DIGITS = 25
"""Asked values of at most this many digits keep every step below exact in the default context of 28 digits."""

INTEGER_TYPES = frozenset({"integer", "integer64", "positiveInt", "unsignedInt"})
TENTH = Decimal("0.1")

Bound = tuple[Decimal, int]
"""A value and a nudge: 0 for the value itself, +1 for just above it, -1 for just below it."""

LOWEST: Bound = (Decimal("-Infinity"), 0)
HIGHEST: Bound = (Decimal("Infinity"), 0)


@dataclass(frozen=True, slots=True)
class Span:
    """From ``low`` to ``high``, both included; a plain number is a span of one point."""

    low: Bound
    high: Bound

    @classmethod
    def point(cls, number: Decimal) -> Span:
        bound = (number, 0)
        return cls(bound, bound)


@dataclass(frozen=True, slots=True)
class AskedNumber:
    """A number of a query: ``low`` (included) to ``high`` (excluded) is what its digits stand for."""

    value: Decimal
    low: Decimal
    high: Decimal
    exponential: bool

    @classmethod
    def parse(cls, text: str) -> AskedNumber:
        if not _NUMBER.fullmatch(text) or len(Decimal(text).as_tuple().digits) > MAX_DIGITS:
            raise Malformed(f"'{text}' is not a number of at most {MAX_DIGITS} digits; write 5, 5.40 or 5.40e-3.")
        value = Decimal(text)
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
        # The standard reads 1e2 as [95, 105): for tens and above the half step is that of the next digit.
        half = Decimal(5).scaleb(exponent - 2 if exponent > 0 else exponent - 1)
        return cls(value, value - half, value + half, "e" in text.lower())

    def holds(self, comparator: str, span: Span, *, integer: bool = False) -> bool:
        """Does ``span`` stand in the relation ``comparator`` ("" is eq) to this number?"""
        asked: Bound = (self.value, 0)
        match comparator:
            case "gt":
                return span.high > asked
            case "lt":
                return span.low < asked
            case "ge":
                return span.high >= asked
            case "le":
                return span.low <= asked
            case "sa":
                return span.low > asked
            case "eb":
                return span.high < asked
            case "ap":
                margin = abs(self.value) * TENTH
                return span.high >= (self.value - margin, 0) and span.low <= (self.value + margin, 0)
            case "ne":
                return not self._equals(span, integer)
            case _:
                return self._equals(span, integer)

    def threshold(self, comparator: str, unit: str = "") -> Threshold | None:
        """What ``holds`` asks at least; None for ``ne``, which nearly everything fulfils."""
        match comparator:
            case "gt":
                return Threshold(Side.HIGHEST_FROM, decimal_place(self.value, 1), unit=unit)
            case "lt":
                return Threshold(Side.LOWEST_UNTIL, decimal_place(self.value, -1), unit=unit)
            case "ge":
                return Threshold(Side.HIGHEST_FROM, decimal_place(self.value), unit=unit)
            case "le":
                return Threshold(Side.LOWEST_UNTIL, decimal_place(self.value), unit=unit)
            case "sa":
                return Threshold(Side.LATEST_START_FROM, decimal_place(self.value, 1), unit=unit)
            case "eb":
                return Threshold(Side.EARLIEST_END_UNTIL, decimal_place(self.value, -1), unit=unit)
            case "ap":
                margin = abs(self.value) * TENTH
                low, high = decimal_place(self.value - margin), decimal_place(self.value + margin)
                return Threshold(Side.MEETS, low, high, unit)
            case "ne":
                return None
            case _:
                return Threshold(Side.MEETS, decimal_place(self.low), decimal_place(self.high, -1), unit)

    def _equals(self, span: Span, integer: bool) -> bool:
        if integer and not self.exponential:
            return span == Span.point(self.value)
        return (self.low, 0) <= span.low and span.high < (self.high, 0)


@dataclass(frozen=True, slots=True)
class NumberValue:
    comparator: str
    asked: AskedNumber

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        integer = fhir_type in INTEGER_TYPES
        return any(self.asked.holds(self.comparator, span, integer=integer) for span in _spans(fhir_type, value))

    def threshold(self) -> Threshold | None:
        return self.asked.threshold(self.comparator)


def compile_number(comparator: str, text: str) -> NumberValue:
    return NumberValue(comparator, AskedNumber.parse(text))


def extents_of(fhir_type: str, value: Any) -> Iterator[Extent]:
    """Where an element lies; raises as ``accepts`` does."""
    for span in _spans(fhir_type, value):
        yield extent_of(span)


def extent_of(span: Span, units: tuple[str, ...] = ("",)) -> Extent:
    start = decimal_place(*span.low)
    return Extent(start, start if span.high is span.low else decimal_place(*span.high), units)


def decimal_of(value: Any) -> Decimal | None:
    """A JSON number, or the string that integer64 is, as Decimal; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def _spans(fhir_type: str, value: Any) -> Iterator[Span]:
    if fhir_type == "Range" and isinstance(value, dict):
        low = decimal_of(value.get("low", {}).get("value"))
        high = decimal_of(value.get("high", {}).get("value"))
        yield Span(LOWEST if low is None else (low, 0), HIGHEST if high is None else (high, 0))
        return
    number = decimal_of(value)
    if number is not None:
        yield Span.point(number)
