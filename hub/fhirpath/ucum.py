"""UCUM units as far as clinical data uses them: which units measure the same thing, and how many of one make another.

A unit is a factor over base dimensions, exactly as a fraction. Units that this table does not know measure only
themselves: nothing is guessed. See https://ucum.org/ucum ("Table of prefixes", "Base units", "Derived unit atoms").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from hub.fhirpath.ucum_units import ATOMS, METRIC, OFFSETS, PREFIXES

_LONGEST = 64
_LARGEST_EXPONENT = 30
_PART = re.compile(
    r"""(?P<annotation>\{[^{}]*\})
      | (?P<operator>[./()])
      | 10[*^](?P<power>[+-]?\d+)?
      | (?P<atom>(?:[A-Za-z%]|\[[^][{}]*\])(?:[A-Za-z%_]|\[[^][{}]*\])*)(?P<exponent>[+-]?\d+)?
      | (?P<number>\d+)""",
    re.VERBOSE | re.ASCII,
)

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """``value * factor + offset`` is the same in base units of these dimensions (sorted, none with exponent 0)."""

    factor: Fraction
    dimensions: Dimensions
    offset: Fraction = Fraction(0)

    def times(self, other: Unit, exponent: int = 1) -> Unit:
        """The product with a power of another unit; only units without an offset have one."""
        powers = dict(self.dimensions)
        for name, power in other.dimensions:
            powers[name] = powers.get(name, 0) + power * exponent
        return Unit(self.factor * other.factor**exponent, _sorted(powers.items()))


def _sorted(powers: Iterable[tuple[str, int]]) -> Dimensions:
    return tuple(sorted((name, power) for name, power in powers if power))


ONE = Unit(Fraction(1), ())


def unit(code: str) -> Unit | None:
    """The unit that a UCUM code (case sensitive) means; None when this table does not know it."""
    return _unit(code) if len(code) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _unit(code: str) -> Unit | None:
    if code in OFFSETS:
        factor, offset = OFFSETS[code]
        return Unit(factor, (("K", 1),), offset)
    try:
        return _Reader(code).whole()
    except _UnknownUnit:
        return None


class _UnknownUnit(Exception):
    """No unit that is known."""


class _Reader:
    """The grammar of UCUM, from left to right: products and quotients of powers, with parentheses."""

    def __init__(self, code: str) -> None:
        self._parts: list[re.Match[str]] = []
        position = 0
        while position < len(code):
            match = _PART.match(code, position)
            if match is None:
                raise _UnknownUnit
            self._parts.append(match)
            position = match.end()
        self._next = 0

    def whole(self) -> Unit:
        if not self._parts:
            raise _UnknownUnit
        found = self._term()
        if self._next < len(self._parts):
            raise _UnknownUnit
        return found

    def _operator(self) -> str:
        part = self._parts[self._next] if self._next < len(self._parts) else None
        return "" if part is None else part["operator"] or ""

    def _term(self) -> Unit:
        found, exponent = ONE, 1
        if self._operator() == "/":
            self._next, exponent = self._next + 1, -1
        while True:
            found = found.times(self._component(), exponent)
            operator = self._operator()
            if operator not in (".", "/"):
                return found
            self._next, exponent = self._next + 1, -1 if operator == "/" else 1

    def _component(self) -> Unit:
        if self._next >= len(self._parts):
            raise _UnknownUnit
        part = self._parts[self._next]
        self._next += 1
        if part["operator"] == "(":
            found = self._term()
            if self._operator() != ")":
                raise _UnknownUnit
            self._next += 1
        elif part["operator"]:
            raise _UnknownUnit
        else:
            found = _simple(part)
        return self._annotated(found)

    def _annotated(self, found: Unit) -> Unit:
        """``{cells}`` behind a unit says what is counted, not how much."""
        while self._next < len(self._parts) and self._parts[self._next]["annotation"]:
            self._next += 1
        return found


def _simple(part: re.Match[str]) -> Unit:
    if part["annotation"]:
        return ONE
    if part["number"]:
        if not int(part["number"]):
            raise _UnknownUnit
        return Unit(Fraction(int(part["number"])), ())
    if part["atom"] is None:
        return Unit(Fraction(10) ** _exponent(part["power"]), ())
    return ONE.times(_atom(part["atom"]), _exponent(part["exponent"]))


def _exponent(written: str | None) -> int:
    exponent = 1 if written is None else int(written)
    if abs(exponent) > _LARGEST_EXPONENT:
        raise _UnknownUnit
    return exponent


@lru_cache(maxsize=1024)
def _atom(name: str) -> Unit:
    """An atom, or a metric one with a prefix. A definition in the table is a factor and a unit of simpler atoms."""
    if name in ATOMS:
        factor, definition = ATOMS[name]
        if definition == name:
            return Unit(Fraction(1), ((name, 1),))
        simpler = unit(definition)
        assert simpler is not None, name
        return Unit(factor * simpler.factor, simpler.dimensions)
    for size in (2, 1):
        if name[:size] in PREFIXES and name[size:] in METRIC:
            whole = _atom(name[size:])
            return Unit(PREFIXES[name[:size]] * whole.factor, whole.dimensions)
    raise _UnknownUnit
