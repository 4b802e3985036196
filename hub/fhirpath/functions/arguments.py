"""What a function reads: one string, one integer, one number; and the refusal of what can never be one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from hub.fhirpath.call import FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import Environment, Run, singleton
from hub.fhirpath.items import NUMBERS, STRINGS, Item, Items, value_of

Text = Callable[[Environment, Item | None], str | None]
"""Evaluates to one string, None for empty."""


def string_of(items: Items) -> str | None:
    """The only string; raises FHIRPathEvaluationError for several items and for what is no string."""
    item = singleton(items)
    value = None if item is None else value_of(item)
    if value is not None and not isinstance(value, str):
        raise FHIRPathEvaluationError(f"a string is expected where there is {item[0] if item else 'nothing'}")
    return value


def integer_of(items: Items) -> int | None:
    """The only integer; raises FHIRPathEvaluationError for several items and for what is no integer."""
    item = singleton(items)
    value = None if item is None else value_of(item)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise FHIRPathEvaluationError("an integer is expected as index or number")
    return value


def number_of(items: Items) -> int | Decimal | None:
    """The only number; raises FHIRPathEvaluationError for several items and for what is no number."""
    item = singleton(items)
    if item is None:
        return None
    if item[0] not in NUMBERS:
        raise FHIRPathEvaluationError(f"a number is expected where there is {item[0]}")
    value: int | Decimal | None = value_of(item)
    return value


def read_string(run: Run) -> Text:
    """The string that ``run`` yields, paid for by its length."""

    def read(env: Environment, this: Item | None) -> str | None:
        text = string_of(run(env, this))
        if text is not None:
            env.spend_on_text(text)
        return text

    return read


def source_string(call: FunctionCall) -> Text:
    """The string that a function is called on; one that is called on something else is refused now."""
    types = call.source.types
    if types and types.isdisjoint(STRINGS) and call.source.constant != ():
        advice = "Name the element of it that holds the text, or write toString() before it."
        raise call.refused(f"needs a string, not {' or '.join(sorted(types))}", advice)
    return read_string(call.source.items)


def argument_string(call: FunctionCall, index: int = 0) -> Text:
    """The string that an argument yields."""
    return read_string(call.argument(index).items)
