"""``= != ~ !~ < <= > >= in contains``, each made into closures over its operands. Empty propagates."""

from __future__ import annotations

from collections.abc import Callable

from hub.fhirpath.evaluation import Compiled, Environment, Truth, condition, singleton, spend_on_element
from hub.fhirpath.items import STRINGS, Item, Items, equal, equivalent, item_identity, order


def equality(left: Compiled, right: Compiled, *, negated: bool) -> Compiled:
    """``=`` and ``!=``: item by item in order; empty when a side is empty or precision leaves it open."""
    if (text := _constant_string(right)) is not None:
        return condition(_equals_string(left, right, text, negated=negated))

    def truth(env: Environment, this: Item | None) -> bool | None:
        answer = equal_collections(env, left.items(env, this), right.items(env, this))
        return None if answer is None else answer is not negated

    return condition(truth)


def _constant_string(operand: Compiled) -> str | None:
    if operand.constant is None or len(operand.constant) != 1 or operand.constant[0][0] != "System.String":
        return None
    return str(operand.constant[0][1])


def _equals_string(left: Compiled, right: Compiled, text: str, *, negated: bool) -> Truth:
    """The comparison that topics are made of, ``status = 'finished'``, without a detour."""
    run, literal = left.items, list(right.constant or ())

    def truth(env: Environment, this: Item | None) -> bool | None:
        items = run(env, this)
        if len(items) == 1:
            type_, value, _ = items[0]
            if type_ in STRINGS and isinstance(value, str):
                return (value == text) is not negated
        answer = equal_collections(env, items, literal)
        return None if answer is None else answer is not negated

    return truth


def equal_collections(env: Environment, left: Items, right: Items) -> bool | None:
    """Equality of two collections as ``=`` has it."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    if len(left) == 1 and left[0][1].__class__ is not dict is not right[0][1].__class__:
        return equal(left[0], right[0])
    env.spend_on(left)
    answer: bool | None = True
    for one, other in zip(left, right, strict=True):
        spend_on_element(env, one)
        spend_on_element(env, other)
        same = equal(one, other)
        if same is False:
            return False
        if same is None:
            answer = None
    return answer


def equivalence(left: Compiled, right: Compiled, *, negated: bool) -> Compiled:
    """``~`` and ``!~``: in any order, two empty collections are equivalent, never empty."""

    def truth(env: Environment, this: Item | None) -> bool | None:
        one, other = left.items(env, this), right.items(env, this)
        same = len(one) == len(other) and _same_in_any_order(env, one, other)
        return same is not negated

    return condition(truth)


def _same_in_any_order(env: Environment, left: Items, right: Items) -> bool:
    remaining = list(right)
    for item in left:
        spend_on_element(env, item)
        for other in remaining:
            env.spend(1)
            spend_on_element(env, other)
        place = next((index for index, other in enumerate(remaining) if equivalent(item, other)), None)
        if place is None:
            return False
        del remaining[place]
    return True


_HOLDS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def comparison(operator: str, left: Compiled, right: Compiled) -> Compiled:
    """``<``, ``<=``, ``>``, ``>=`` of two single items."""
    holds = _HOLDS[operator]

    def truth(env: Environment, this: Item | None) -> bool | None:
        one, other = singleton(left.items(env, this)), singleton(right.items(env, this))
        if one is None or other is None:
            return None
        found = order(one, other)
        return None if found is None else holds(found)

    return condition(truth)


def membership(element: Compiled, container: Compiled) -> Compiled:
    """``in`` (and ``contains`` with its sides exchanged): is the single item among those?"""
    known = None if container.constant is None else frozenset(map(item_identity, container.constant))

    def truth(env: Environment, this: Item | None) -> bool | None:
        item = singleton(element.items(env, this))
        if item is None:
            return None
        if known is not None and isinstance(item[1], str) and item[0] in STRINGS:
            return item[1] in known
        others = env.spend_on(container.items(env, this))
        return any(_paid_equal(env, item, other) for other in others)

    return condition(truth)


def _paid_equal(env: Environment, one: Item, other: Item) -> bool:
    spend_on_element(env, one)
    spend_on_element(env, other)
    return equal(one, other) is True
