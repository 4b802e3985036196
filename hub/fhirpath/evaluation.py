"""What compiled expressions are made of, and what they share while one of them runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.items import Item, Items, boolean_items

COST_LIMIT = 100_000
"""Items visited in one evaluation; some 50 ms (S-277). The costliest search parameter needs a few hundred."""
OUTPUT_LIMIT = 10_000
"""Items that one evaluation may yield."""
CHARACTERS_PER_ITEM = 64
"""Reading or writing so many characters costs as much as visiting an item."""

_CHEAP = 16
T = TypeVar("T")


class Environment:
    """The variables of one evaluation, and what it may still cost."""

    __slots__ = ("budget", "current", "index", "now", "previous", "resource", "root", "total", "variables")

    total: Items
    """``$total``, set while an aggregate() runs; nothing else can name it."""
    variables: dict[str, Items]
    """What defineVariable() has defined, by the key that the compiler gave it; there once one has run."""

    def __init__(
        self,
        root: Item | None,
        resource: Item | None,
        previous: Item | None,
        current: Item | None,
        now: datetime | None = None,
    ) -> None:
        self.root = root
        self.resource = resource
        self.previous = previous
        self.current = current
        self.now = now
        self.index = 0
        self.budget = COST_LIMIT

    def define(self, key: str, items: Items) -> None:
        """Keep what a variable stands for."""
        try:
            self.variables[key] = items
        except AttributeError:
            self.variables = {key: items}

    def spend(self, cost: int) -> None:
        """Raise FHIRPathEvaluationError when the evaluation has become too costly."""
        self.budget -= cost
        if self.budget < 0:
            raise FHIRPathEvaluationError(f"the expression visits more than {COST_LIMIT} items")

    def spend_on_text(self, text: str) -> None:
        """Raise FHIRPathEvaluationError when the texts read and written have become too long."""
        if len(text) > CHARACTERS_PER_ITEM:
            self.spend(len(text) // CHARACTERS_PER_ITEM)

    def spend_on(self, items: list[T]) -> list[T]:
        """The items, paid for when they are many."""
        if len(items) > _CHEAP:
            self.spend(len(items))
        return items


Run = Callable[[Environment, Item | None], Items]
"""Evaluates to a collection; the item is ``$this``, None when there is nothing to look at."""
Truth = Callable[[Environment, Item | None], bool | None]
"""Evaluates where a Boolean is expected: True, False, or None for empty."""
Types = frozenset[str] | None
"""The types that items can have (FHIR codes, backbone paths, System types); None when anything is possible."""

BOOLEAN: Types = frozenset({"System.Boolean"})
INTEGER: Types = frozenset({"System.Integer"})
STRING: Types = frozenset({"System.String"})


Single = Callable[[Environment, Item | None], Item | None]
"""Evaluates to at most one item."""

Step = Mapping[str, Callable[[Item, Items], None]]
"""By the type of an item: what appends its elements of one name to a list."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One expression, ready to run.

    ``constant`` are its items when they do not depend on data; ``single`` is a shorter way when there is never more
    than one; ``steps`` when they are only steps down from ``$this``, one after the other.
    """

    items: Run
    truth: Truth
    types: Types = None
    constant: tuple[Item, ...] | None = None
    single: Single | None = None
    steps: tuple[Step, ...] | None = None


def collection(items: Run, types: Types = None) -> Compiled:
    """An expression that yields items; where a Boolean is expected it is evaluated as a singleton."""

    def truth(env: Environment, this: Item | None) -> bool | None:
        return singleton_truth(items(env, this))

    return Compiled(items, truth, types)


def condition(truth: Truth) -> Compiled:
    """An expression that yields true, false or empty."""

    def items(env: Environment, this: Item | None) -> Items:
        return boolean_items(truth(env, this))

    return Compiled(items, truth, BOOLEAN)


def constant(*items: Item) -> Compiled:
    """An expression that always yields the same items."""
    always = list(items)
    types = frozenset(item[0] for item in items)
    made = collection(lambda _env, _this: always, types or None)
    return Compiled(made.items, made.truth, made.types, items)


def nothing(types: Types) -> Compiled:
    """An expression that never yields an item, though its items would be of these types."""
    return Compiled(lambda _env, _this: [], lambda _env, _this: None, types, ())


def one_item(single: Single, types: Types) -> Compiled:
    """An expression that yields at most one item."""

    def items(env: Environment, this: Item | None) -> Items:
        item = single(env, this)
        return [] if item is None else [item]

    made = collection(items, types)
    return Compiled(made.items, made.truth, types, None, single)


def this_item(types: Types) -> Compiled:
    """``$this``."""
    return replace(one_item(lambda _env, this: this, types), steps=())


def singleton_truth(items: Items) -> bool | None:
    """Singleton evaluation: one item that is no Boolean counts as true; several are an error (S-042)."""
    item = singleton(items)
    if item is None:
        return None
    type_, value, _ = item
    if isinstance(value, bool):
        return value
    if type_ != "boolean":
        return True
    if value is None:
        return None
    raise FHIRPathEvaluationError(f"{type(value).__name__} is no boolean")


def singleton(items: Items) -> Item | None:
    """The only item, None when there is none; raises FHIRPathEvaluationError when there are several."""
    if not items:
        return None
    if len(items) > 1:
        raise FHIRPathEvaluationError(f"one item is expected where there are {len(items)}")
    return items[0]


def string_item(env: Environment, text: str) -> Items:
    """A string that was made, paid for."""
    env.spend_on_text(text)
    return [("System.String", text, None)]


def spend_on_element(env: Environment, item: Item) -> None:
    """Comparing an element costs twice what it holds, for it is read whole; a text as much as it is long."""
    value = item[1]
    if isinstance(value, str):
        env.spend_on_text(value)
    elif isinstance(value, dict):
        env.spend(2 * weight(value, env.budget))


def weight(value: Any, enough: int) -> int:
    """How many JSON values stand in this one; what it costs to compare it. Not counted further than ``enough``."""
    count, level = 0, [value]
    while level and count <= enough:
        count += len(level)
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            if len(below) > enough:
                return len(below)
        level = below
    return count
