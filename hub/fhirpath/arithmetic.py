"""``+ - * / div mod &`` and the sign, for numbers and strings. Dates and quantities do not calculate here."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import STRING, Compiled, Environment, collection, constant, singleton
from hub.fhirpath.items import NUMBERS, STRINGS, Item, Items, quantity_of, value_of
from hub.fhirpath.quantity import Quantity


def concatenation(left: Compiled, right: Compiled) -> Compiled:
    """``&``: strings put together, an empty one counts as ''."""

    def run(env: Environment, this: Item | None) -> Items:
        one, other = singleton(left.items(env, this)), singleton(right.items(env, this))
        return [("System.String", _text(one) + _text(other), None)]

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
    return int(Decimal(one) / Decimal(other)) if other else None


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
    """``+ - * / div mod`` of single numbers, and ``+`` of strings; empty when divided by zero."""
    calculate = _ARITHMETIC[operator]

    def run(env: Environment, this: Item | None) -> Items:
        one, other = singleton(left.items(env, this)), singleton(right.items(env, this))
        if one is None or other is None:
            return []
        if operator == "+" and one[0] in STRINGS and other[0] in STRINGS:
            return [("System.String", _text(one) + _text(other), None)]
        return _calculated(operator, calculate, one, other)

    return collection(run)


def _calculated(operator: str, calculate: Callable[[Any, Any], Any], one: Item, other: Item) -> Items:
    if one[0] not in NUMBERS or other[0] not in NUMBERS:
        raise FHIRPathEvaluationError(f"{operator} cannot calculate with {one[0]} and {other[0]}")
    mine, theirs = value_of(one), value_of(other)
    if mine is None or theirs is None:
        return []
    both_whole = operator == "mod" and isinstance(mine, int) and isinstance(theirs, int)
    try:
        result = calculate(mine, theirs)
    except (ArithmeticError, ValueError) as error:
        raise FHIRPathEvaluationError(f"{operator} leads out of the range of numbers") from error
    return [] if result is None else [number_item(result, whole=both_whole)]


def number_item(value: int | Decimal, *, whole: bool) -> Item:
    """A number as an item; a Decimal that came from two integers by ``mod`` is an integer again."""
    if isinstance(value, int):
        return ("System.Integer", value, None)
    if whole and value == value.to_integral_value():
        return ("System.Integer", int(value), None)
    return ("System.Decimal", value, None)


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
        return number_item(-value, whole=False)
    quantity = quantity_of(item)
    if quantity is None:
        raise FHIRPathEvaluationError(f"{item[0]} has no negative")
    return ("System.Quantity", Quantity(-quantity.value, quantity.unit), None)
