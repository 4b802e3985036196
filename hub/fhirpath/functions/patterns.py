"""``matches``, ``matchesFull`` and ``replaceMatches``, on an engine that takes linear time whatever the pattern is.

Patterns that such an engine does not have (back references, look-around) are refused when the expression is compiled,
or are an error of the evaluation when the pattern comes from the data. A pattern is found anywhere in the text, and
``.`` matches the end of a line too (FHIRPath N1, "matches").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, Protocol

import re2

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import STRING, Compiled, Environment, collection, condition, string_item
from hub.fhirpath.functions.arguments import Text, argument_string, source_string
from hub.fhirpath.items import Item, Items

MAX_PATTERN = 1000
"""Characters. Linear in the text still means: times the size of the pattern."""
_MEMORY = 1 << 20
"""Bytes that one pattern may take when it is made; ``(a{1000}){1000}`` does not fit."""
_STEPS_PER_ITEM = 64
"""The engine does so many steps (characters times instructions, at worst) in the time of visiting an item."""
_GROUP = re.compile(r"\$(?:(\d)|\{(\w+)\})", re.ASCII)


class Pattern(Protocol):
    """What is used of a compiled pattern; ``programsize`` is how many instructions it was made into."""

    programsize: int

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


@lru_cache(maxsize=512)
def pattern(text: str) -> Pattern:
    """The compiled pattern; raises ValueError with the reason when there is none."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"it is longer than {MAX_PATTERN} characters")
    try:
        made: Pattern = re2.compile(text, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "no regular expression"
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    return made


def _checked(call: FunctionCall) -> Text:
    """The argument that is a pattern; a wrong one that stands in the expression is refused now."""
    for item in call.argument().constant or ():
        try:
            pattern(str(item[1]))
        except ValueError as error:
            advice = "Use the syntax of RE2: no back references, no look-around, so that no text takes long."
            raise call.refused(f"cannot use this pattern: {error}", advice) from None
    return argument_string(call)


def _made(env: Environment, expression: str) -> Pattern:
    try:
        return pattern(expression)
    except ValueError as error:
        raise FHIRPathEvaluationError(f"{expression!r:.40} is no pattern: {error}") from None


def _spend_on_search(env: Environment, found: Pattern, length: int) -> None:
    env.spend(found.programsize * length // _STEPS_PER_ITEM)


def _matches(call: FunctionCall) -> Compiled:
    return _test(call, full=False)


def _matches_full(call: FunctionCall) -> Compiled:
    return _test(call, full=True)


def _test(call: FunctionCall, *, full: bool) -> Compiled:
    source, expression = source_string(call), _checked(call)

    def truth(env: Environment, this: Item | None) -> bool | None:
        text, written = source(env, this), expression(env, this)
        if text is None or written is None:
            return None
        found = _made(env, written)
        _spend_on_search(env, found, len(text))
        return (found.fullmatch(text) if full else found.search(text)) is not None

    return condition(truth)


def _replace_matches(call: FunctionCall) -> Compiled:
    """Groups are written ``$1`` or ``${name}``. An empty pattern replaces nothing."""
    source, expression, substitution = source_string(call), _checked(call), argument_string(call, 1)

    def run(env: Environment, this: Item | None) -> Items:
        text, written, new = source(env, this), expression(env, this), substitution(env, this)
        if text is None or written is None or new is None:
            return []
        if not written:
            return string_item(env, text)
        return string_item(env, "".join(_replaced(env, _made(env, written), text, new)))

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
