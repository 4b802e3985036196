"""``+ - * / div mod &`` and the sign: numbers, strings, quantities, and dates with quantities. Overflow is empty."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.fhirpath import calendar, quantity
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import STRING, Compiled, Environment, collection, constant, singleton, string_item
from hub.fhirpath.items import MEASURES, NUMBERS, STRINGS, TEMPORAL_TYPES, Item, Items, quantity_of, value_of
from hub.fhirpath.quantity import Quantity
from hub.fhirpath.temporal import Temporal

_COST_OF_UNITS = 20
"""Converting a unit or moving a date costs as much as visiting so many items."""
LARGEST = 10**28
"""Numbers beyond this overflow: a Decimal keeps 28 digits."""


def concatenation(left: Compiled, right: Compiled) -> Compiled:
    """``&``: strings put together, an empty one counts as ''."""

    def run(env: Environment, this: Item | None) -> Items:
        one, other = singleton(left.items(env, this)), singleton(right.items(env, this))
        return string_item(env, _text(one) + _text(other))

    return collection(run, STRING)


def _text(item: Item | None) -> str:
    value = None if item is None else value_of(item)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FHIRPathEvaluationError("& joins strings only")
    return value


def _divided(one: Any, other: Any) -> Any:
    return Decimal(one) / Decimal(other) if other else None


def _whole_quotient(one: Any, other: Any) -> Any:
    if not other:
        return None
    quotient = Decimal(one) / Decimal(other)
    return int(quotient) if abs(quotient) < LARGEST else None


def _remainder(one: Any, other: Any) -> Any:
    return Decimal(one) % Decimal(other) if other else None


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": _divided,
    "div": _whole_quotient,
    "mod": _remainder,
}


def arithmetic(operator: str, left: Compiled, right: Compiled) -> Compiled:
    """``+ - * / div mod`` of two single items; empty when a side is, when divided by zero, or on overflow."""

    def run(env: Environment, this: Item | None) -> Items:
        one, other = singleton(left.items(env, this)), singleton(right.items(env, this))
        if one is None or other is None:
            return []
        if operator == "+" and one[0] in STRINGS and other[0] in STRINGS:
            return string_item(env, _text(one) + _text(other))
        try:
            return calculated(env, one, other)
        except ArithmeticError:
            return []

    def calculated(env: Environment, one: Item, other: Item) -> Items:
        if one[0] in NUMBERS and other[0] in NUMBERS:
            return _of_numbers(operator, one, other)
        env.spend(_COST_OF_UNITS)
        if one[0] in TEMPORAL_TYPES and other[0] in MEASURES and operator in "+-":
            return _of_date(one, other, 1 if operator == "+" else -1)
        if {one[0], other[0]} <= MEASURES | NUMBERS:
            return _of_quantities(operator, quantity_of(one), quantity_of(other))
        raise FHIRPathEvaluationError(f"{operator} cannot calculate with {one[0]} and {other[0]}")

    return collection(run)


def _of_numbers(operator: str, one: Item, other: Item) -> Items:
    mine, theirs = value_of(one), value_of(other)
    if mine is None or theirs is None:
        return []
    both_whole = operator == "mod" and isinstance(mine, int) and isinstance(theirs, int)
    return number_items(_ARITHMETIC[operator](mine, theirs), whole=both_whole)


def number_items(value: int | Decimal | None, *, whole: bool = False) -> Items:
    """A number as a collection; a Decimal that came from integers (``whole``) is one again when it can be.

    Nothing when there is none, or when it is too large to be kept exactly.
    """
    if value is None or not -LARGEST < value < LARGEST:
        return []
    if isinstance(value, int):
        return [("System.Integer", value, None)]
    if whole and value == value.to_integral_value():
        return [("System.Integer", int(value), None)]
    return [("System.Decimal", value, None)]


_TEMPORAL_ITEMS = {"date": "System.Date", "dateTime": "System.DateTime", "time": "System.Time"}


def temporal_item(value: Temporal) -> Item:
    """A date or time that was calculated."""
    return (_TEMPORAL_ITEMS[value.kind], value, None)


def _of_date(date: Item, by: Item, sign: int) -> Items:
    start, step = value_of(date), quantity_of(by)
    if start is None or step is None:
        return []
    found = calendar.moved(start, step, sign)
    return [] if found is None else [temporal_item(found)]


def _of_quantities(operator: str, one: Quantity | None, other: Quantity | None) -> Items:
    if one is None or other is None:
        return []
    if operator in ("*", "/"):
        made = quantity.product(one, other, divided=operator == "/")
        return [] if made is None else quantity_items(made)
    if operator not in ("+", "-"):
        raise FHIRPathEvaluationError(f"{operator} cannot calculate with quantities")
    converted = other.in_unit_of(one) if other.unit == one.unit or other.compare(one) is not None else None
    if converted is None:
        return []
    return quantity_items(Quantity(_ARITHMETIC[operator](one.value, converted), one.unit))


def quantity_items(value: Quantity) -> Items:
    """A quantity that was calculated, as a collection; nothing when it is too large."""
    return [("System.Quantity", value, None)] if abs(value.value) < LARGEST else []


def negation(operand: Compiled) -> Compiled:
    """Unary ``-`` of a number or a quantity."""
    if operand.constant is not None and len(operand.constant) == 1:
        return constant(_negative(operand.constant[0]))

    def run(env: Environment, this: Item | None) -> Items:
        item = singleton(operand.items(env, this))
        return [] if item is None else [_negative(item)]

    return collection(run, operand.types)


def _negative(item: Item) -> Item:
    if item[0] in NUMBERS and (value := value_of(item)) is not None:
        return ("System.Integer" if isinstance(value, int) else "System.Decimal", -value, None)
    found = quantity_of(item)
    if found is None:
        raise FHIRPathEvaluationError(f"{item[0]} has no negative")
    return ("System.Quantity", Quantity(-found.value, found.unit), None)
