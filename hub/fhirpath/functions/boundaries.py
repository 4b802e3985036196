"""``lowBoundary highBoundary precision comparable``: what a value of limited precision may be.

1.5 is anything from 1.45 to 1.55, and @2024 any day of that year. Precision counts decimal places of numbers, and the
digits of dates and times (4 a year, 8 a day, 17 a date-time with milliseconds).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from hub.fhirpath.arithmetic import number_items, quantity_items, temporal_item
from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import INTEGER, Compiled, Environment, collection, condition, singleton
from hub.fhirpath.functions.arguments import integer_of
from hub.fhirpath.items import MEASURES, Item, Items, quantity_of, value_of
from hub.fhirpath.quantity import Quantity
from hub.fhirpath.temporal import Field, Temporal

_PLACES, _MOST_PLACES = 8, 28
_DIGITS_OF_DATE = {4: 1, 6: 2, 8: 3}
_DIGITS_OF_DATE_TIME = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 7}
_DIGITS_OF_TIME = {2: 1, 4: 2, 6: 3, 9: 4}
"""Digits -> fields, where seconds and their fraction count as two."""
_EARLIEST_ZONE, _LATEST_ZONE = 14 * 60, -12 * 60
"""Minutes east of UTC: where a day begins first, and where it ends last."""


def _boundary(*, low: bool) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, wanted = call.source.items, call.argument().items if call.count else None

        def run(env: Environment, this: Item | None) -> Items:
            item = singleton(source(env, this))
            precision = None if wanted is None else integer_of(wanted(env, this))
            if item is None or (wanted is not None and precision is None):
                return []
            return _of_item(item, precision, low=low)

        return collection(run)

    return build


def _of_item(item: Item, precision: int | None, *, low: bool) -> Items:
    if item[0] in MEASURES:
        found = quantity_of(item)
        value = None if found is None else _of_number(found.value, precision, low=low)
        return [] if found is None or value is None else quantity_items(Quantity(value, found.unit))
    return _of_value(item[0], value_of(item), precision, low=low)


def _of_value(type_: str, value: Any, precision: int | None, *, low: bool) -> Items:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return number_items(_of_number(Decimal(value), precision, low=low))
    if isinstance(value, Temporal):
        if type_ in ("dateTime", "instant") and value.kind == "date":
            value = Temporal.made("dateTime", value.fields, None)
        bound = _of_temporal(value, precision, low=low)
        return [] if bound is None else [temporal_item(bound)]
    if value is None:
        return []
    raise FHIRPathEvaluationError(f"{type_} has no boundary")


def _of_number(value: Decimal, precision: int | None, *, low: bool) -> Decimal | None:
    places = _PLACES if precision is None else precision
    if not 0 <= places <= _MOST_PLACES:
        return None
    try:
        half = Decimal(5).scaleb(-_places(value) - 1)
        moved = value - half if low else value + half
        return moved.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR if low else ROUND_CEILING)
    except ArithmeticError:
        return None


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _of_temporal(value: Temporal, precision: int | None, *, low: bool) -> Temporal | None:
    table = _table(value)
    wanted = table.get(max(table) if precision is None else precision)
    if wanted is None:
        return None
    if value.kind == "time":
        return value.with_fields(_cut(_filled(value.fields, (0, 0, 0) if low else (23, 59, 59), low=low), wanted))
    fields = _filled(value.fields, _ends(value.fields, low=low), low=low)
    if wanted <= 3:
        return Temporal.made("date", fields[:wanted], None)
    offset = value.offset if value.offset is not None else _EARLIEST_ZONE if low else _LATEST_ZONE
    return Temporal.made("dateTime", _cut(fields, wanted), offset)


def _cut(fields: tuple[Field, ...], wanted: int) -> tuple[Field, ...]:
    """So many fields, the fraction of the second being one more than there are."""
    return (*fields[:-1], int(fields[-1])) if wanted == len(fields) else fields[:wanted]


def _table(value: Temporal) -> dict[int, int]:
    if value.kind == "time":
        return _DIGITS_OF_TIME
    return _DIGITS_OF_DATE if value.kind == "date" else _DIGITS_OF_DATE_TIME


def _ends(fields: tuple[Field, ...], *, low: bool) -> tuple[int, ...]:
    """The fields of the first or last moment of the year, as far as they are needed."""
    if low:
        return (1, 1, 1, 0, 0, 0)
    month = int(fields[1]) if len(fields) > 1 else 12
    return (9999, 12, monthrange(int(fields[0]), month)[1], 23, 59, 59)


def _filled(fields: tuple[Field, ...], ends: tuple[int, ...], *, low: bool) -> tuple[Field, ...]:
    """The fields that are missing, and the fraction of the second to milliseconds."""
    filled = (*fields, *ends[len(fields) :])
    written = str(filled[-1]).partition(".")[2]
    fraction = written.ljust(3, "0" if low else "9")
    return (*filled[:-1], Decimal(f"{int(filled[-1])}.{fraction}"))


def _precision(call: FunctionCall) -> Compiled:
    source = call.source.items

    def run(env: Environment, this: Item | None) -> Items:
        item = singleton(source(env, this))
        digits = None if item is None else _digits(quantity_of(item) if item[0] in MEASURES else value_of(item))
        return [] if digits is None else [("System.Integer", digits, None)]

    return collection(run, INTEGER)


def _digits(value: Any) -> int | None:
    if isinstance(value, Quantity):
        return _places(value.value)
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return _places(Decimal(value))
    if not isinstance(value, Temporal):
        return None
    digits_of = {fields: digits for digits, fields in _table(value).items()}
    return digits_of[len(value.fields) + isinstance(value.fields[-1], Decimal)]


def _comparable(call: FunctionCall) -> Compiled:
    """Do two quantities measure the same?"""
    source, argument = call.source.items, call.argument().items

    def truth(env: Environment, this: Item | None) -> bool | None:
        one, other = singleton(source(env, this)), singleton(argument(env, this))
        if one is None or other is None:
            return None
        mine, theirs = quantity_of(one), quantity_of(other)
        return mine is not None and theirs is not None and mine.compare(theirs) is not None

    return condition(truth)


BOUNDARIES = {
    "lowBoundary": Function(0, 1, _boundary(low=True)),
    "highBoundary": Function(0, 1, _boundary(low=False)),
    "precision": Function(0, 0, _precision),
    "comparable": Function(1, 1, _comparable),
}
