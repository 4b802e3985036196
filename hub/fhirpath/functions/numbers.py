"""Functions of one number (FHIRPath N1, "Math"). Where there is no result, or none that can be kept, it is empty."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from hub.fhirpath.arithmetic import LARGEST, number_items, quantity_items
from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import INTEGER, Compiled, Environment, collection, singleton
from hub.fhirpath.functions.arguments import integer_of, number_of
from hub.fhirpath.items import MEASURES, NUMBERS, Item, Items, quantity_of
from hub.fhirpath.quantity import Quantity

Number = int | Decimal
_MOST_PLACES = 28
_COST_OF_SERIES = 50
"""A logarithm costs as much as visiting so many items."""
_LONGEST_POWER = 1000


def _number_source(call: FunctionCall, *, or_quantity: bool = False) -> None:
    types, taken = call.source.types, NUMBERS | MEASURES if or_quantity else NUMBERS
    if types and types.isdisjoint(taken) and call.source.constant != ():
        raise call.refused(f"needs a number, not {' or '.join(sorted(types))}", "Name the element that is one.")


def _of_number(calculate: Callable[[Number], Number | None], cost: int = 1) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        _number_source(call)
        source = call.source.items

        def run(env: Environment, this: Item | None) -> Items:
            env.spend(cost)
            number = number_of(source(env, this))
            return [] if number is None else _kept(lambda: calculate(number))

        return collection(run)

    return build


def _kept(calculate: Callable[[], Number | None]) -> Items:
    try:
        return number_items(calculate())
    except ArithmeticError:
        return []


def _whole(rounding: str) -> Callable[[FunctionCall], Compiled]:
    """To an integer in one direction."""

    def build(call: FunctionCall) -> Compiled:
        compiled = _of_number(lambda number: _rounded(number, rounding))(call)
        return collection(compiled.items, INTEGER)

    return build


def _rounded(number: Number, rounding: str) -> int | None:
    return int(Decimal(number).to_integral_value(rounding)) if -LARGEST < number < LARGEST else None


def _abs(call: FunctionCall) -> Compiled:
    _number_source(call, or_quantity=True)
    source = call.source.items

    def run(env: Environment, this: Item | None) -> Items:
        items = source(env, this)
        item = singleton(items)
        if item is not None and item[0] in MEASURES:
            found = quantity_of(item)
            return [] if found is None else quantity_items(Quantity(abs(found.value), found.unit))
        number = number_of(items)
        return [] if number is None else number_items(number if number >= 0 else -number)

    return collection(run, call.source.types)


def _round(call: FunctionCall) -> Compiled:
    """To so many places (0 when none are named), halves away from zero."""
    _number_source(call)
    source, places = call.source.items, call.argument().items if call.count else None

    def run(env: Environment, this: Item | None) -> Items:
        number = number_of(source(env, this))
        precision = 0 if places is None else integer_of(places(env, this))
        if number is None or precision is None:
            return []
        if precision < 0:
            raise FHIRPathEvaluationError("round() needs zero or more places")
        if precision >= _MOST_PLACES or isinstance(number, int):
            return number_items(number)
        return _kept(lambda: Decimal(number).quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP))

    return collection(run)


def _of_two(calculate: Callable[[Number, Number], Number | None]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        _number_source(call)
        source, argument = call.source.items, call.argument().items

        def run(env: Environment, this: Item | None) -> Items:
            env.spend(2 * _COST_OF_SERIES)
            one, other = number_of(source(env, this)), number_of(argument(env, this))
            return [] if one is None or other is None else _kept(lambda: calculate(one, other))

        return collection(run)

    return build


def _log(number: Number, base: Number) -> Number | None:
    if number <= 0 or base <= 0 or base == 1:
        return None
    with localcontext() as context:
        context.prec += 4
        quotient = Decimal(number).ln() / Decimal(base).ln()
    return +quotient


def _power(base: Number, exponent: Number) -> Number | None:
    """An integer when both are and the exponent is not negative; empty for the root of a negative number."""
    if not -_LONGEST_POWER <= exponent <= _LONGEST_POWER:
        return None
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return base**exponent if -LARGEST < Decimal(base) ** exponent < LARGEST else None
    return Decimal(base) ** Decimal(exponent)


def _ln(number: Number) -> Number | None:
    return Decimal(number).ln() if number > 0 else None


def _sqrt(number: Number) -> Number | None:
    return Decimal(number).sqrt() if number >= 0 else None


NUMBER_FUNCTIONS = {
    "abs": Function(0, 0, _abs),
    "ceiling": Function(0, 0, _whole(ROUND_CEILING)),
    "floor": Function(0, 0, _whole(ROUND_FLOOR)),
    "truncate": Function(0, 0, _whole(ROUND_DOWN)),
    "exp": Function(0, 0, _of_number(lambda number: Decimal(number).exp(), _COST_OF_SERIES)),
    "ln": Function(0, 0, _of_number(_ln, _COST_OF_SERIES)),
    "log": Function(1, 1, _of_two(_log)),
    "power": Function(1, 1, _of_two(_power)),
    "round": Function(0, 1, _round),
    "sqrt": Function(0, 0, _of_number(_sqrt, _COST_OF_SERIES)),
}
