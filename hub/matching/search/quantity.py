"""quantity: a number with its unit, compared without converting units (S-260, S-261)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.errors import Malformed
from hub.matching.search.number import HIGHEST, LOWEST, AskedNumber, Bound, Span, decimal_of, extent_of
from hub.matching.search.syntax import split_unescaped, unescape
from hub.matching.search.threshold import UNREADABLE, Extent, Threshold

_CURRENCIES = "urn:iso:std:iso:4217"
_QUANTITIES = frozenset({"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity"})


@dataclass(frozen=True, slots=True)
class Unit:
    """``system`` "" asks for a code or a unit text; ``code`` "" asks for nothing."""

    system: str
    code: str

    @property
    def name(self) -> str:
        """Among the ``_unit_names`` of every quantity whose unit this is; "" asks for nothing."""
        return f"{self.system}|{self.code}" if self.code else ""

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

    def threshold(self) -> Threshold | None:
        return self.asked.threshold(self.comparator, self.unit.name)

    def _span(self, fhir_type: str, value: Any) -> Span | None:
        if fhir_type == "Range":
            return self._range(value)
        value = _as_quantity(fhir_type, value)
        if value is None:
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


def extents_of(fhir_type: str, value: Any) -> Iterator[Extent]:
    """Where an element lies and in which units. Raises when ``accepts`` raises whatever is asked.

    A Range with an end that is no Quantity can be compared by those who ask for no unit: it is UNREADABLE for others.
    """
    if not isinstance(value, dict):
        return
    if fhir_type == "Range":
        ends = [value[name] for name in ("low", "high") if name in value]
        if ends:
            span = Span(_bound(value.get("low"), LOWEST), _bound(value.get("high"), HIGHEST))
            readable = all(isinstance(end, dict) for end in ends)
            yield extent_of(span, ("", *_unit_names(ends[0])) if readable else ("", UNREADABLE))
        return
    quantity = _as_quantity(fhir_type, value)
    number = decimal_of(quantity.get("value")) if quantity else None
    span_of_value = None if quantity is None or number is None else _opened(number, quantity.get("comparator", ""))
    if span_of_value is not None:
        yield extent_of(span_of_value, ("", *_unit_names(quantity)))


def _unit_names(quantity: Any) -> Iterator[str]:
    """Every ``Unit.name`` that this quantity answers to; texts only, nothing else can be asked for."""
    system, code, unit = quantity.get("system"), quantity.get("code"), quantity.get("unit")
    if isinstance(code, str) and code:
        yield f"|{code}"
        if isinstance(system, str) and system:
            yield f"{system}|{code}"
    if isinstance(unit, str) and unit and unit != code:
        yield f"|{unit}"


def _as_quantity(fhir_type: str, value: Any) -> Any:
    """None for what is no quantity."""
    if fhir_type == "Money":
        return {"value": value.get("value"), "system": _CURRENCIES, "code": value.get("currency")}
    return value if fhir_type in _QUANTITIES else None


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
