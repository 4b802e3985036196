"""Functions that walk: ``children descendants repeat``; that fold: ``aggregate``; and that order: ``sort``."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cmp_to_key

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.evaluation import Compiled, Environment, Run, collection, singleton, spend_on_element
from hub.fhirpath.functions.filtering import each
from hub.fhirpath.items import Item, Items, item_identity, order
from hub.fhirpath.navigation import AllReaders
from hub.fhirpath.syntax import Node, Sign


def _children(call: FunctionCall) -> Compiled:
    """The elements directly below each item, in the order of the JSON."""
    source, readers = call.source.items, AllReaders(call.compiler.facts)

    def run(env: Environment, this: Item | None) -> Items:
        found: Items = []
        for item in source(env, this):
            before = len(found)
            readers[item[0]](item, found)
            env.spend(1 + len(found) - before)
        return found

    return collection(run)


def _descendants(call: FunctionCall) -> Compiled:
    """The children, their children, and so on; without the items themselves."""
    source, readers = call.source.items, AllReaders(call.compiler.facts)

    def run(env: Environment, this: Item | None) -> Items:
        found: Items = []
        level = source(env, this)
        while level:
            below: Items = []
            for item in level:
                before = len(below)
                readers[item[0]](item, below)
                env.spend(1 + len(below) - before)
            found += below
            level = below
        return found

    return collection(run)


def _repeat(call: FunctionCall) -> Compiled:
    """What the projection finds, and what it finds from there, each item once, until there is nothing new."""
    return _repeated(call, once=True)


def _repeat_all(call: FunctionCall) -> Compiled:
    """The same without looking for items that were found before; only the budget ends what goes round in circles."""
    return _repeated(call, once=False)


def _repeated(call: FunctionCall, *, once: bool) -> Compiled:
    source, projection, cost = call.source.items, _projection(call), call.cost()

    def run(env: Environment, this: Item | None) -> Items:
        known: set[Hashable] = set()
        found: Items = []
        level = source(env, this)
        while level:
            below: Items = []
            for item in each(env, level, cost):
                for made in projection.items(env, item):
                    env.spend(1)
                    if once:
                        spend_on_element(env, made)
                        key = item_identity(made)
                        if key in known:
                            continue
                        known.add(key)
                    below.append(made)
            found += below
            level = below
        return found

    return collection(run, projection.types)


def _projection(call: FunctionCall) -> Compiled:
    """The argument, for the types of the source and for those that it leads to, as it is applied to both."""
    types = call.source.types
    projection = call.criteria()
    while types is not None and projection.types is not None and not projection.types <= types:
        types |= projection.types
        projection = call.compiler.compile_criteria(call.node.arguments[0], types)
    return call.compiler.compile_criteria(call.node.arguments[0], None) if projection.types is None else projection


def _aggregate(call: FunctionCall) -> Compiled:
    """``$total`` after the aggregator has run for each item, with ``$this`` and ``$index``."""
    source, aggregator, cost = call.source.items, call.criteria(), call.cost()
    start: Run = call.argument(1).items if call.count > 1 else lambda _env, _this: []

    def run(env: Environment, this: Item | None) -> Items:
        total = start(env, this)
        items = source(env, this)
        outer = getattr(env, "total", None)
        try:
            for item in each(env, items, cost):
                env.total = total
                total = env.spend_on(aggregator.items(env, item))
        finally:
            if outer is not None:
                env.total = outer
        return total

    return collection(run)


Key = tuple[Run, bool]
"""What to order by, and whether downwards."""
Keyed = tuple[list[Item | None], Item]
"""The keys of an item, and the item."""


def _sort(call: FunctionCall) -> Compiled:
    """By each key in turn, upwards, or downwards when a minus stands before it; without a key an item comes first."""
    keys: list[Key] = [_key(call, node) for node in call.node.arguments] or [(_itself, False)]
    source, cost = call.source.items, sum(map(call.cost, range(call.count))) + 1

    def compare(one: Keyed, other: Keyed) -> int:
        return _compare(one[0], other[0], keys)

    def run(env: Environment, this: Item | None) -> Items:
        items = source(env, this)
        keyed: list[Keyed] = [([singleton(key(env, item)) for key, _ in keys], item) for item in each(env, items, cost)]
        env.spend(len(items) * max(1, len(items).bit_length()))
        keyed.sort(key=cmp_to_key(compare))
        return [item for _, item in keyed]

    return collection(run, call.source.types)


def _itself(_env: Environment, this: Item | None) -> Items:
    return [] if this is None else [this]


def _key(call: FunctionCall, node: Node) -> Key:
    downwards = isinstance(node, Sign) and node.operator == "-"
    inner = node.operand if isinstance(node, Sign) else node
    return call.compiler.compile_criteria(inner, call.source.types).items, downwards


def _compare(one: list[Item | None], other: list[Item | None], keys: list[Key]) -> int:
    for mine, theirs, (_, downwards) in zip(one, other, keys, strict=True):
        if (mine is None) is not (theirs is None):
            return -1 if mine is None else 1
        found = 0 if mine is None or theirs is None else order(mine, theirs)
        if found:
            return -found if downwards else found
    return 0


def _trace(call: FunctionCall) -> Compiled:
    """The items as they are. Nothing is written anywhere: resources are none of a log's business."""
    call.argument()
    if call.count > 1:
        call.criteria(1)
    return call.source


TREES = {
    "children": Function(0, 0, _children),
    "descendants": Function(0, 0, _descendants),
    "repeat": Function(1, 1, _repeat),
    "repeatAll": Function(1, 1, _repeat_all),
    "aggregate": Function(1, 2, _aggregate),
    "sort": Function(0, 8, _sort),
    "trace": Function(1, 2, _trace),
}
