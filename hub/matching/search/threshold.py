"""Where comparisons stand on a line of whole numbers, so that an index can keep them sorted.

The line is coarser than the values (decimals to the sixth digit, instants to the microsecond), never out of order: what
lies before another value lies before it on the line or on the same place. So a resource whose extents do not meet a
threshold cannot be accepted, and one whose extents do is a candidate, not yet a match. Places are multiples of 4; what
is between two of them stands 2 above the lower one, and 1 is left beside each exact place for "just above it".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from enum import IntEnum
from typing import NamedTuple

FARTHEST = 2**62
"""Stands for everything beyond, so that a place fits into 64 bits."""
UNREADABLE = "\0"
"""A name of a unit that nobody can ask for: those who ask for any unit cannot judge this element."""
_DIGITS_KEPT = 6
_LARGEST_EXPONENT = 12
_SMALLEST_EXPONENT = -30
_EXACT = Context(prec=10**6, Emax=10**9, Emin=-(10**9))
_NANOSECONDS_PER_PLACE = 1000


class Side(IntEnum):
    """Which end of the extents a threshold asks about, and on which side of it that end must be."""

    HIGHEST_FROM = 0
    LOWEST_UNTIL = 1
    LATEST_START_FROM = 2
    EARLIEST_END_UNTIL = 3
    MEETS = 4
    """Some of it lies in a window."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a comparison asks at least: ``at`` is included, also ``until``, the other end of a window (MEETS).

    ``unit`` names the unit asked for, as ``Extent.units`` do; "" is any.
    """

    side: Side
    at: int
    until: int = 0
    unit: str = ""


class Extent(NamedTuple):
    """From where to where one element reaches, and the names of the units that it can be asked for in."""

    start: int
    end: int
    units: tuple[str, ...] = ("",)


@dataclass(slots=True)
class Hull:
    """The outermost and innermost ends of all elements together."""

    lowest: int
    highest: int
    latest_start: int
    earliest_end: int

    def widen(self, start: int, end: int) -> None:
        self.lowest = min(self.lowest, start, end)
        self.highest = max(self.highest, start, end)
        self.latest_start = max(self.latest_start, start)
        self.earliest_end = min(self.earliest_end, end)


def hulls(extents: Iterable[Extent]) -> dict[str, Hull]:
    """By unit, the hull of all elements that can be asked for in it."""
    found: dict[str, Hull] = {}
    for start, end, units in extents:
        for unit in units:
            if unit in found:
                found[unit].widen(start, end)
            else:
                found[unit] = Hull(min(start, end), max(start, end), start, end)
    return found


def decimal_place(value: Decimal, nudge: int = 0) -> int:
    """The place of a number; ``nudge`` +1 or -1 is just above or below it, which only an exact place can tell apart."""
    if not value:
        return nudge
    exponent = value.adjusted() if value.is_finite() else _LARGEST_EXPONENT
    if exponent >= _LARGEST_EXPONENT:
        return -FARTHEST if value.is_signed() else FARTHEST
    if exponent < _SMALLEST_EXPONENT:
        return -2 if value.is_signed() else 2
    scaled = value.scaleb(_DIGITS_KEPT, _EXACT)
    whole = int(scaled.to_integral_value(ROUND_FLOOR, _EXACT))
    return 4 * whole + (nudge if scaled == whole else 2)


def instant_place(nanoseconds: int, nudge: int = 0) -> int:
    """The place of an instant; beyond the years that can be written there is only one."""
    whole, rest = divmod(nanoseconds, _NANOSECONDS_PER_PLACE)
    place = 4 * whole + (2 if rest else nudge)
    return min(max(place, -FARTHEST), FARTHEST)
