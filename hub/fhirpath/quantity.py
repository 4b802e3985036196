"""Quantities: a number with a unit. Only quantities of the same unit compare; nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

UCUM = "http://unitsofmeasure.org"
_SINGULAR = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR_UNITS = {word: unit for unit in _SINGULAR for word in (unit, f"{unit}s")}
"""Every calendar word, and the singular that stands for it."""
_UCUM_OF_CALENDAR = {"second": "s", "millisecond": "ms"}
"""The calendar units that equal a UCUM unit exactly (FHIRPath N1, "Time-valued Quantities")."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """``unit`` is a UCUM code, or a calendar unit as a word in the singular."""

    value: Decimal
    unit: str

    @classmethod
    def written(cls, value: Decimal, unit: str, *, calendar: bool) -> Quantity:
        """The literal ``4 days`` (calendar) or ``4 'mg'``."""
        singular = CALENDAR_UNITS[unit] if calendar else unit
        return cls(value, _UCUM_OF_CALENDAR.get(singular, singular))

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

    def __str__(self) -> str:
        return f"{self.value} {self.unit if self.unit in _SINGULAR else repr(self.unit)}"
