"""quantity: a number with its unit, compared without converting units (S-260, S-261)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.errors import Malformed
from hub.matching.search.number import HIGHEST, LOWEST, AskedNumber, Bound, Span, decimal_of
from hub.matching.search.syntax import split_unescaped, unescape

_CURRENCIES = "urn:iso:std:iso:4217"
_QUANTITIES = frozenset({"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity"})


@dataclass(frozen=True, slots=True)
class Unit:
    """``system`` "" asks for a code or a unit text; ``code`` "" asks for nothing."""

    system: str
    code: str

    def is_unit_of(self, quantity: Any) -> bool:
        if not self.code:
            return True
        if self.system:
            return (quantity.get("system"), quantity.get("code")) == (self.system, self.code)
        return self.code in (quantity.get("code"), quantity.get("unit"))


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """SampledData and Ratio never match: neither is a quantity in the sense of the standard's rule."""

    comparator: str
    asked: AskedNumber
    unit: Unit

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        span = self._span(fhir_type, value)
        return span is not None and self.asked.holds(self.comparator, span)

    def _span(self, fhir_type: str, value: Any) -> Span | None:
        if fhir_type == "Range":
            return self._range(value)
        if fhir_type == "Money":
            value = {"value": value.get("value"), "system": _CURRENCIES, "code": value.get("currency")}
        elif fhir_type not in _QUANTITIES:
            return None
        number = decimal_of(value.get("value"))
        if number is None or not self.unit.is_unit_of(value):
            return None
        return _opened(number, value.get("comparator", ""))

    def _range(self, value: Any) -> Span | None:
        ends = [value[name] for name in ("low", "high") if name in value]
        if not ends or not all(self.unit.is_unit_of(end) for end in ends):
            return None
        return Span(_bound(value.get("low"), LOWEST), _bound(value.get("high"), HIGHEST))


def compile_quantity(comparator: str, text: str) -> QuantityValue:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) == 1:
        return QuantityValue(comparator, AskedNumber.parse(parts[0]), Unit("", ""))
    if len(parts) != 3 or not parts[2]:
        raise Malformed(f"'{text}' is not a quantity; write number, number||unit or number|system|code.")
    return QuantityValue(comparator, AskedNumber.parse(parts[0]), Unit(parts[1], parts[2]))


def _bound(end: Any, otherwise: Bound) -> Bound:
    number = decimal_of(end.get("value")) if isinstance(end, dict) else None
    return otherwise if number is None else (number, 0)


def _opened(number: Decimal, comparator: str) -> Span | None:
    """What ``<5`` and the like leave possible; ``ad`` says nothing about the amount, so it is never compared."""
    match comparator:
        case "":
            return Span.point(number)
        case "<":
            return Span(LOWEST, (number, -1))
        case "<=":
            return Span(LOWEST, (number, 0))
        case ">":
            return Span((number, 1), HIGHEST)
        case ">=":
            return Span((number, 0), HIGHEST)
        case _:
            return None
