"""Quantities: a number with a unit, compared and calculated across units of the same kind (FHIRPath N1, "Quantity")."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hub.fhirpath import ucum
from hub.fhirpath.ucum import Unit

UCUM = "http://unitsofmeasure.org"
_SINGULAR = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR_UNITS = {word: unit for unit in _SINGULAR for word in (unit, f"{unit}s")}
"""Every calendar word, and the singular that stands for it."""
UCUM_OF_CALENDAR = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
"""The calendar units that are as long as a UCUM unit. Years and months are not: they have no fixed length."""
_MONTHS = {"year": 12, "month": 1}
_MONTH = "calendar month"
_SECONDS_PER_MONTH = 2_629_800
"""As UCUM's ``mo``: what a calendar month is equivalent to (``~``), though never equal."""
_LARGEST_EXPONENT = 60
"""Numbers outside of 1e-60 … 1e60 are measurements of nothing; as fractions they would only be slow."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """``unit`` is a UCUM code, or a calendar unit as a word in the singular."""

    value: Decimal
    unit: str

    @classmethod
    def written(cls, value: Decimal, unit: str) -> Quantity:
        """The literal ``4 days`` or ``4 'mg'``; the words for calendar units may stand in quotes too."""
        return cls(value, CALENDAR_UNITS.get(unit, unit))

    @classmethod
    def of_element(cls, element: Mapping[str, Any]) -> Quantity | None:
        """The value of a FHIR Quantity; None without one, or with only a bound (``<``), or a unit not of UCUM."""
        value, system = element.get("value"), element.get("system")
        if element.get("comparator") or isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return None
        if system is not None and system != UCUM:
            return None
        unit = element.get("code") or element.get("unit") or "1"
        return cls(Decimal(str(value)), unit) if isinstance(unit, str) else None

    @property
    def measure(self) -> Unit | None:
        """What the unit measures; None when it is not known."""
        if self.unit in _MONTHS:
            return Unit(Fraction(_MONTHS[self.unit]), ((_MONTH, 1),))
        return ucum.unit(UCUM_OF_CALENDAR.get(self.unit, self.unit))

    def compare(self, other: Quantity) -> int | None:
        """Below, at or above zero; None when the two do not measure the same (or nobody knows)."""
        if self.unit == other.unit:
            return (self.value > other.value) - (self.value < other.value)
        mine, theirs = self.measure, other.measure
        if mine is None or theirs is None or mine.dimensions != theirs.dimensions:
            return None
        one, another = _in_base_units(self.value, mine), _in_base_units(other.value, theirs)
        return None if one is None or another is None else (one > another) - (one < another)

    def in_unit_of(self, other: Quantity) -> Decimal | None:
        """The value of this quantity in the unit of the other; None when there is none. A calendar month counts as
        UCUM's month here, which is how equivalence takes it."""
        mine, theirs = _definite(self.measure), _definite(other.measure)
        if self.unit == other.unit:
            return self.value
        if mine is None or theirs is None or mine.dimensions != theirs.dimensions:
            return None
        base = _in_base_units(self.value, mine)
        return None if base is None else _decimal((base - theirs.offset) / theirs.factor)

    @property
    def identity(self) -> Hashable:
        """A key that equal quantities share."""
        measure = self.measure
        base = None if measure is None else _in_base_units(self.value, measure)
        return ("quantity", self.value, self.unit) if measure is None else ("quantity", base, measure.dimensions)

    def __str__(self) -> str:
        return f"{self.value:f} {self.unit if self.unit in _SINGULAR else repr(self.unit)}"


def _definite(measure: Unit | None) -> Unit | None:
    if measure is not None and measure.dimensions == ((_MONTH, 1),):
        return Unit(measure.factor * _SECONDS_PER_MONTH, (("s", 1),))
    return measure


def _in_base_units(value: Decimal, measure: Unit) -> Fraction | None:
    sizes = (value.adjusted(), value.as_tuple().exponent)
    if any(not isinstance(size, int) or abs(size) > _LARGEST_EXPONENT for size in sizes):
        return None
    return Fraction(value) * measure.factor + measure.offset


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def product(one: Quantity, other: Quantity, *, divided: bool) -> Quantity | None:
    """``one * other`` or ``one / other``; None when a unit is not known or has no product.

    The result has the unit of the one when the other is a pure number, else it is in base units.
    """
    if not other.value and divided:
        return None
    value = one.value / other.value if divided else one.value * other.value
    if other.unit == "1" or (one.unit == "1" and not divided):
        return Quantity(value, one.unit if other.unit == "1" else other.unit)
    if divided and one.unit == other.unit:
        return Quantity(value, "1")
    mine, theirs = one.measure, other.measure
    if mine is None or theirs is None or mine.offset or theirs.offset or _calendar(mine) or _calendar(theirs):
        return None
    measure = mine.times(theirs, -1 if divided else 1)
    return Quantity(value * _decimal(measure.factor), _written(measure))


def _calendar(measure: Unit) -> bool:
    return any(name == _MONTH for name, _ in measure.dimensions)


def _written(measure: Unit) -> str:
    """The UCUM code of base units, such as ``g.m-1``."""
    return ".".join(f"{name}{'' if power == 1 else power}" for name, power in measure.dimensions) or "1"
