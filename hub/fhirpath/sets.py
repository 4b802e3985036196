"""Collections as sets: union, and items that occur once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from hub.fhirpath.evaluation import Compiled, Environment, Types, collection, constant, nothing, spend_on_element
from hub.fhirpath.items import Item, Items, item_identity


def union(operands: Sequence[Compiled]) -> Compiled:
    """``|``: the items of all, each once. (It is no ``or``: true and false together are two items, S-042.)"""
    if all(operand.constant is not None for operand in operands):
        items = distinct([item for operand in operands for item in operand.constant or ()])
        return constant(*items) if items else nothing(joined_types(operands))
    types = joined_types(operands)
    runs = [operand.items for operand in operands if operand.constant != ()]

    def run(env: Environment, this: Item | None) -> Items:
        found: Items = []
        for one in runs:
            found += one(env, this)
        return distinct_within(env, found)

    return collection(run, types)


def joined_types(operands: Sequence[Compiled]) -> Types:
    """The types of the items of all operands."""
    types: frozenset[str] = frozenset()
    for operand in operands:
        if operand.types is None:
            return None
        types |= operand.types
    return types


def distinct_within(env: Environment, items: Items) -> Items:
    """Each item once, first come first, paid for."""
    if len(items) < 2:
        return items
    env.spend_on(items)
    for item in items:
        spend_on_element(env, item)
    return distinct(items)


def distinct(items: Items) -> Items:
    """Each item once, first come first."""
    first: dict[Hashable, Item] = {}
    for item in items:
        first.setdefault(item_identity(item), item)
    return list(first.values())
