"""``toInteger() … toQuantity()`` and ``convertsTo…()`` (FHIRPath N1, "Conversion"): one item into one of another type,
empty when it is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.fhirpath import temporal
from hub.fhirpath.arithmetic import LARGEST
from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.evaluation import Compiled, Environment, collection, condition, singleton
from hub.fhirpath.functions.arguments import argument_string
from hub.fhirpath.items import MEASURES, Item, Items, quantity_of, value_of
from hub.fhirpath.quantity import CALENDAR_UNITS, Quantity
from hub.fhirpath.temporal import Temporal

Converter = Callable[[Item], Any]
"""The value in the new type, None when the item has none there."""

_INTEGER = re.compile(r"[+-]?\d{1,28}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,28}(\.\d{1,28})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d{1,28}(\.\d{1,28})?)(\s*('(?P<unit>[^']{1,64})'|(?P<word>[a-z]+)))?", re.ASCII
)
_LONGEST_TEXT = 100
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _scalar(item: Item) -> Any:
    """The value, short enough to be looked at; what is longer is no number, date or quantity."""
    value = value_of(item)
    return None if isinstance(value, str) and len(value) > _LONGEST_TEXT else value


def to_boolean(item: Item) -> bool | None:
    value = _scalar(item)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return bool(value) if value in (0, 1) else None
    text = value.lower() if isinstance(value, str) else ""
    return True if text in _TRUE else False if text in _FALSE else None


def to_integer(item: Item) -> int | None:
    value = _scalar(item)
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def to_decimal(item: Item) -> Decimal | None:
    value = _scalar(item)
    if isinstance(value, int | Decimal):
        return Decimal(value) if -LARGEST < value < LARGEST else None
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def to_string(item: Item) -> str | None:
    value = value_of(item)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, str | int | Temporal):
        return str(value)
    found = quantity_of(item) if item[0] in MEASURES else None
    return None if found is None or decimal_text(found.value) is None else str(found)


def decimal_text(value: Decimal) -> str | None:
    """The digits without an exponent; None when there would be too many."""
    exponent = value.as_tuple().exponent
    written = isinstance(exponent, int) and abs(exponent) <= _LONGEST_TEXT and -LARGEST < value < LARGEST
    return format(value, "f") if written else None


def _to_date(item: Item) -> Temporal | None:
    value = _scalar(item)
    if isinstance(value, str):
        value = None if "T" in value else temporal.parse(value)
    if not isinstance(value, Temporal) or value.kind == "time":
        return None
    return value if value.kind == "date" else Temporal.made("date", value.fields[:3], None)


def _to_date_time(item: Item) -> Temporal | None:
    value = _scalar(item)
    if isinstance(value, str):
        value = None if value.startswith("T") else temporal.parse(value)
    if not isinstance(value, Temporal) or value.kind == "time":
        return None
    return value if value.kind == "dateTime" else Temporal.made("dateTime", value.fields, None)


def _to_time(item: Item) -> Temporal | None:
    value = _scalar(item)
    if isinstance(value, str):
        value = temporal.parse_time(value.removeprefix("T"))
    return value if isinstance(value, Temporal) and value.kind == "time" else None


def to_quantity(item: Item) -> Quantity | None:
    if item[0] in MEASURES:
        return quantity_of(item)
    value = _scalar(item)
    if isinstance(value, int | Decimal):
        return Quantity(Decimal(int(value) if isinstance(value, bool) else value), "1")
    written = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if written is None or (written["word"] and written["word"] not in CALENDAR_UNITS):
        return None
    return Quantity.written(Decimal(written["value"]), written["word"] or written["unit"] or "1")


def _in_unit(found: Quantity, unit: str) -> Quantity | None:
    wanted = Quantity.written(Decimal(0), unit)
    value = found.in_unit_of(wanted) if found.compare(wanted) is not None else None
    return None if value is None else Quantity(value, wanted.unit)


def _converted(system_type: str, convert: Converter) -> Callable[[FunctionCall], Compiled]:
    type_ = f"System.{system_type}"

    def build(call: FunctionCall) -> Compiled:
        source, unit = call.source.items, argument_string(call) if call.count else None

        def run(env: Environment, this: Item | None) -> Items:
            item = singleton(source(env, this))
            value = None if item is None else convert(item)
            if unit is not None and value is not None:
                wanted = unit(env, this)
                value = value if wanted is None else _in_unit(value, wanted)
            if isinstance(value, str):
                env.spend_on_text(value)
            return [] if value is None else [(type_, value, None)]

        return collection(run, frozenset({type_}))

    return build


def _converts(convert: Callable[[FunctionCall], Compiled]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, made = call.source.items, convert(call).items

        def truth(env: Environment, this: Item | None) -> bool | None:
            return None if singleton(source(env, this)) is None else bool(made(env, this))

        return condition(truth)

    return build


_CONVERTERS: dict[str, Converter] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": to_string,
    "Date": _to_date,
    "DateTime": _to_date_time,
    "Time": _to_time,
    "Quantity": to_quantity,
}


def _functions() -> dict[str, Function]:
    functions = {}
    for name, convert in _CONVERTERS.items():
        most, build = int(name == "Quantity"), _converted(name, convert)
        functions[f"to{name}"] = Function(0, most, build)
        functions[f"convertsTo{name}"] = Function(0, most, _converts(build))
    return functions


CONVERSIONS = _functions()
