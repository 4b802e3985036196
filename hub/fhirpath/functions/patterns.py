"""``matches``, ``matchesFull`` and ``replaceMatches``, on an engine that takes linear time whatever the pattern is.

A pattern stands in the expression and is made once; what such an engine does not have (back references, look-around)
is refused. A pattern is found anywhere in the text, and ``.`` matches the end of a line too (FHIRPath N1, "matches").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import re2

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import (
    BOOLEAN,
    STRING,
    Compiled,
    Environment,
    collection,
    condition,
    nothing,
    string_item,
)
from hub.fhirpath.functions.arguments import argument_string, source_string
from hub.fhirpath.items import Item, Items

MAX_PATTERN = 1000
"""Characters. Linear in the text still means: times the size of the pattern."""
_MEMORY = 1 << 18
"""Bytes that one pattern may take when it is made; ``(a{1000}){1000}`` does not fit."""
_STEPS_PER_ITEM = 64
"""The engine does so many steps (characters times instructions, at worst) in the time of visiting an item."""
_GROUP = re.compile(r"\$(?:(\d)|\{(\w+)\})", re.ASCII)


class Pattern(Protocol):
    """What is used of a compiled pattern; ``programsize`` is how many instructions it was made into."""

    programsize: int
    pattern: str

    def search(self, text: str) -> Any: ...
    def fullmatch(self, text: str) -> Any: ...
    def finditer(self, text: str) -> Iterator[Any]: ...


def _options() -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


_OPTIONS = _options()


def _pattern(call: FunctionCall) -> Pattern | None:
    """The pattern, None when it is ``{}``. It is refused now when it is wrong, or when the data would bring it."""
    constant = call.argument().constant
    if constant is None or len(constant) > 1 or any(item[0] != "System.String" for item in constant):
        advice = "Write the pattern in quotes; what comes from the data could be made to take long."
        raise call.refused("needs a pattern that stands in the expression", advice)
    if not constant:
        return None
    text = constant[0][1]
    if len(text) > MAX_PATTERN:
        raise call.refused("cannot use this pattern: it is too long", f"Write at most {MAX_PATTERN} characters.")
    try:
        made: Pattern = re2.compile(text, _OPTIONS)
    except re2.error as error:
        advice = "Use the syntax of RE2: no back references, no look-around, so that no text takes long."
        raise call.refused(f"cannot use this pattern: {_reason(error)}", advice) from None
    return made


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "it is no regular expression"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _spend_on_search(env: Environment, found: Pattern, length: int) -> None:
    env.spend(found.programsize * length // _STEPS_PER_ITEM)


def _matches(call: FunctionCall) -> Compiled:
    return _test(call, full=False)


def _matches_full(call: FunctionCall) -> Compiled:
    return _test(call, full=True)


def _test(call: FunctionCall, *, full: bool) -> Compiled:
    source, found = source_string(call), _pattern(call)
    if found is None:
        return nothing(BOOLEAN)
    spend, test = partial(_spend_on_search, found=found), found.fullmatch if full else found.search

    def truth(env: Environment, this: Item | None) -> bool | None:
        text = source(env, this)
        if text is None:
            return None
        spend(env, length=len(text))
        return test(text) is not None

    return condition(truth)


def _replace_matches(call: FunctionCall) -> Compiled:
    """Groups are written ``$1`` or ``${name}``. An empty pattern replaces nothing."""
    source, found, substitution = source_string(call), _pattern(call), argument_string(call, 1)
    if found is None:
        return nothing(STRING)

    def run(env: Environment, this: Item | None) -> Items:
        text, new = source(env, this), substitution(env, this)
        if text is None or new is None:
            return []
        return string_item(env, text if not found.pattern else "".join(_replaced(env, found, text, new)))

    return collection(run, STRING)


def _replaced(env: Environment, found: Pattern, text: str, substitution: str) -> Iterator[str]:
    """The pieces of the text. Each search may read the whole rest of it, so each is paid for."""
    position = 0
    _spend_on_search(env, found, len(text))
    for match in found.finditer(text):
        yield text[position : match.start()]
        yield _GROUP.sub(partial(_group, match), substitution)
        position = match.end()
        env.spend_on_text(substitution)
        _spend_on_search(env, found, len(text) - position)
    yield text[position:]


def _group(match: Any, reference: re.Match[str]) -> str:
    name: int | str = int(reference[1]) if reference[1] else reference[2]
    try:
        return match[name] or ""
    except IndexError:
        raise FHIRPathEvaluationError(f"the pattern has no group {name}") from None


PATTERNS = {
    "matches": Function(1, 1, _matches),
    "matchesFull": Function(1, 1, _matches_full),
    "replaceMatches": Function(2, 2, _replace_matches),
}
