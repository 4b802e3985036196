"""Functions on collections as a whole: counting, taking parts, comparing as sets."""

from __future__ import annotations

from collections.abc import Callable

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.evaluation import (
    INTEGER,
    Compiled,
    Environment,
    Run,
    Types,
    collection,
    condition,
    nothing,
    singleton,
    spend_on_element,
)
from hub.fhirpath.functions.arguments import integer_of
from hub.fhirpath.items import Item, Items, item_identity
from hub.fhirpath.sets import distinct_within, joined_types, union


def _count(call: FunctionCall) -> Compiled:
    source = call.source.items
    return collection(lambda env, this: [("System.Integer", len(source(env, this)), None)], INTEGER)


def _slice(choose: Callable[[Items], Items]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source = call.source.items
        return collection(lambda env, this: choose(source(env, this)), call.source.types)

    return build


def _single(items: Items) -> Items:
    singleton(items)
    return items


def _slice_by_number(choose: Callable[[Items, int], Items]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        return numbered(call.source, call.argument(), choose)

    return build


def numbered(source: Compiled, number: Compiled, choose: Callable[[Items, int], Items]) -> Compiled:
    """A part of the source that depends on one integer; empty when there is no integer."""

    if source.constant == ():
        return nothing(source.types)

    def run(env: Environment, this: Item | None) -> Items:
        value = integer_of(number.items(env, this))
        return [] if value is None else choose(source.items(env, this), value)

    return collection(run, source.types)


def at(items: Items, index: int) -> Items:
    """``[index]``, counted from 0; empty beyond the ends."""
    return items[index : index + 1] if index >= 0 else []


def _distinct(call: FunctionCall) -> Compiled:
    source = call.source.items
    return collection(lambda env, this: distinct_within(env, source(env, this)), call.source.types)


def _is_distinct(call: FunctionCall) -> Compiled:
    source = call.source.items

    def truth(env: Environment, this: Item | None) -> bool | None:
        items = source(env, this)
        return len(distinct_within(env, items)) == len(items)

    return condition(truth)


def _combine(call: FunctionCall) -> Compiled:
    """Both collections, duplicates kept."""
    other = call.argument()

    def combined(env: Environment, this: Item | None) -> Items:
        return env.spend_on([*call.source.items(env, this), *other.items(env, this)])

    return collection(combined, _types_of_both(call, other))


def _types_of_both(call: FunctionCall, other: Compiled) -> Types:
    return joined_types([call.source, other])


def _kept_by_other(*, present: bool) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, other = call.source.items, call.argument().items

        def run(env: Environment, this: Item | None) -> Items:
            known = {item_identity(item) for item in _paid(env, other(env, this))}
            return [item for item in _paid(env, source(env, this)) if (item_identity(item) in known) is present]

        return collection(_once(run) if present else run, call.source.types)

    return build


def _once(run: Run) -> Run:
    return lambda env, this: distinct_within(env, run(env, this))


def _subset(*, of_source: bool) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, other = call.source.items, call.argument().items
        smaller, larger = (other, source) if of_source else (source, other)

        def truth(env: Environment, this: Item | None) -> bool | None:
            known = {item_identity(item) for item in _paid(env, larger(env, this))}
            return all(item_identity(item) in known for item in _paid(env, smaller(env, this)))

        return condition(truth)

    return build


def _paid(env: Environment, items: Items) -> Items:
    for item in items:
        spend_on_element(env, item)
    return env.spend_on(items)


SUBSETTING = {
    "count": Function(0, 0, _count),
    "first": Function(0, 0, _slice(lambda items: items[:1])),
    "last": Function(0, 0, _slice(lambda items: items[-1:])),
    "tail": Function(0, 0, _slice(lambda items: items[1:])),
    "single": Function(0, 0, _slice(_single)),
    "skip": Function(1, 1, _slice_by_number(lambda items, number: items[max(0, number) :])),
    "take": Function(1, 1, _slice_by_number(lambda items, number: items[: max(0, number)])),
    "distinct": Function(0, 0, _distinct),
    "isDistinct": Function(0, 0, _is_distinct),
    "union": Function(1, 1, lambda call: union([call.source, call.argument()])),
    "combine": Function(1, 1, _combine),
    "intersect": Function(1, 1, _kept_by_other(present=True)),
    "exclude": Function(1, 1, _kept_by_other(present=False)),
    "subsetOf": Function(1, 1, _subset(of_source=False)),
    "supersetOf": Function(1, 1, _subset(of_source=True)),
}
