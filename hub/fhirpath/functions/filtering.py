"""Functions that look at each item: existence, filtering, projection and types."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import Compiled, Environment, Run, collection, condition, singleton
from hub.fhirpath.items import Item, Items
from hub.fhirpath.types import TypeTest


def each(env: Environment, items: Items, cost: int) -> Iterator[Item]:
    """The items one by one, with ``$index`` set for the criteria that look at it.

    Each is paid for with what evaluating them once costs (``FunctionCall.cost``).
    """
    env.spend(len(items) * cost)
    outer = env.index
    try:
        for index, item in enumerate(items):
            env.index = index
            yield item
    finally:
        env.index = outer


def _where(call: FunctionCall) -> Compiled:
    """Those items for which the criteria are true."""
    return collection(_filtered(call), call.source.types)


def _filtered(call: FunctionCall) -> Run:
    source, holds, cost = call.source.items, call.criteria().truth, call.cost()

    def run(env: Environment, this: Item | None) -> Items:
        return [item for item in each(env, source(env, this), cost) if holds(env, item)]

    return run


def _exists(call: FunctionCall) -> Compiled:
    source = _filtered(call) if call.count else call.source.items
    return condition(lambda env, this: bool(source(env, this)))


def _empty(call: FunctionCall) -> Compiled:
    source = call.source.items
    return condition(lambda env, this: not source(env, this))


def _not(call: FunctionCall) -> Compiled:
    source = call.source.truth

    def truth(env: Environment, this: Item | None) -> bool | None:
        value = source(env, this)
        return None if value is None else not value

    return condition(truth)


def _all(call: FunctionCall) -> Compiled:
    """True when the criteria are true for every item, also when there is none."""
    source, criteria, cost = call.source.items, call.criteria(), call.cost()

    def truth(env: Environment, this: Item | None) -> bool | None:
        return not any(not criteria.truth(env, item) for item in each(env, source(env, this), cost))

    return condition(truth)


def _select(call: FunctionCall) -> Compiled:
    source, projection, cost = call.source.items, call.criteria(), call.cost()

    def run(env: Environment, this: Item | None) -> Items:
        found = [made for item in each(env, source(env, this), cost) for made in projection.items(env, item)]
        return env.spend_on(found)

    return collection(run, projection.types)


def _iif(call: FunctionCall) -> Compiled:
    """One of two results; the other is not evaluated. With a source, that single item is ``$this``."""
    inside = call.node.source is not None
    criterion, *results = (call.criteria(i) if inside else call.argument(i) for i in range(call.count))
    literal, source = criterion.constant or (), call.source.items
    if len(literal) > 1 or any(item[0] != "System.Boolean" for item in literal):
        raise call.refused("needs a condition that is true or false", "Write a comparison, or exists().")

    def run(env: Environment, this: Item | None) -> Items:
        item = singleton(source(env, this)) if inside else this
        if criterion.truth(env, item):
            return results[0].items(env, item)
        return results[1].items(env, item) if len(results) > 1 else []

    return collection(run)


def of_type(source: Compiled, test: TypeTest) -> Compiled:
    """The items of a type. ``as`` does the same, also on several items, as R4 search parameters need (S-271)."""
    items = source.items

    def run(env: Environment, this: Item | None) -> Items:
        return [item for item in items(env, this) if test[item[0]]]

    return collection(run, test.types)


def is_of_type(source: Compiled, test: TypeTest) -> Compiled:
    """Is the single item of a type? Empty when there is none."""
    items = source.items

    def truth(env: Environment, this: Item | None) -> bool | None:
        item = singleton(items(env, this))
        return None if item is None else test[item[0]]

    return condition(truth)


def _booleans(wanted: bool, combine: Callable[[list[bool]], bool]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source = call.source.items
        return condition(lambda env, this: combine([_boolean(item) is wanted for item in source(env, this)]))

    return build


def _boolean(item: Item) -> bool:
    if not isinstance(item[1], bool):
        raise FHIRPathEvaluationError(f"a boolean is expected where there is {item[0]}")
    return item[1]


EMPTY_OF_EMPTY = frozenset({"where", "select", "ofType", "as", "extension", "getValue", "repeat"})
"""Those that yield nothing when there is nothing to look at."""

FILTERING = {
    "where": Function(1, 1, _where),
    "exists": Function(0, 1, _exists),
    "empty": Function(0, 0, _empty),
    "not": Function(0, 0, _not),
    "all": Function(1, 1, _all),
    "select": Function(1, 1, _select),
    "iif": Function(2, 3, _iif),
    "ofType": Function(1, 1, lambda call: of_type(call.source, call.type_argument())),
    "as": Function(1, 1, lambda call: of_type(call.source, call.type_argument())),
    "is": Function(1, 1, lambda call: is_of_type(call.source, call.type_argument())),
    "allTrue": Function(0, 0, _booleans(True, all)),
    "anyTrue": Function(0, 0, _booleans(True, any)),
    "allFalse": Function(0, 0, _booleans(False, all)),
    "anyFalse": Function(0, 0, _booleans(False, any)),
}
