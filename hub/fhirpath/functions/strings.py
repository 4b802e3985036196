"""Functions of one string (FHIRPath N1, "String Manipulation"). Each string read or made is paid for by its length."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import INTEGER, STRING, Compiled, Environment, collection, condition, string_item
from hub.fhirpath.functions.arguments import argument_string, integer_of, source_string, string_of
from hub.fhirpath.items import Item, Items


def _test(holds: Callable[[str, str], bool]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, argument = source_string(call), argument_string(call)

        def truth(env: Environment, this: Item | None) -> bool | None:
            text, part = source(env, this), argument(env, this)
            return None if text is None or part is None else holds(text, part)

        return condition(truth)

    return build


def _place(find: Callable[[str, str], int]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source, argument = source_string(call), argument_string(call)

        def run(env: Environment, this: Item | None) -> Items:
            text, part = source(env, this), argument(env, this)
            return [] if text is None or part is None else [("System.Integer", find(text, part), None)]

        return collection(run, INTEGER)

    return build


def _changed(change: Callable[[str], str]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source = source_string(call)

        def run(env: Environment, this: Item | None) -> Items:
            text = source(env, this)
            return [] if text is None else string_item(env, change(text))

        return collection(run, STRING)

    return build


def _length(call: FunctionCall) -> Compiled:
    source = source_string(call)

    def run(env: Environment, this: Item | None) -> Items:
        text = source(env, this)
        return [] if text is None else [("System.Integer", len(text), None)]

    return collection(run, INTEGER)


def _substring(call: FunctionCall) -> Compiled:
    """Empty when it starts outside of the string."""
    source, start = source_string(call), call.argument().items
    length = call.argument(1).items if call.count > 1 else None

    def run(env: Environment, this: Item | None) -> Items:
        text, first = source(env, this), integer_of(start(env, this))
        if text is None or first is None or not 0 <= first < len(text):
            return []
        size = None if length is None else integer_of(length(env, this))
        return string_item(env, text[first:] if size is None else text[first : first + max(0, size)])

    return collection(run, STRING)


def _replace(call: FunctionCall) -> Compiled:
    source, pattern, substitution = source_string(call), argument_string(call), argument_string(call, 1)

    def run(env: Environment, this: Item | None) -> Items:
        text, old, new = source(env, this), pattern(env, this), substitution(env, this)
        if text is None or old is None or new is None:
            return []
        # Paid for before it is made: a short text can hold very many places.
        env.spend((text.count(old) * len(new)) // 64)
        return string_item(env, text.replace(old, new))

    return collection(run, STRING)


def _parts(split: Callable[[str, str], list[str]]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        source = source_string(call)
        separator = argument_string(call) if call.count else lambda _env, _this: ""

        def run(env: Environment, this: Item | None) -> Items:
            text, by = source(env, this), separator(env, this)
            if text is None or by is None:
                return []
            env.spend(text.count(by))
            return env.spend_on([("System.String", part, None) for part in split(text, by)])

        return collection(run, STRING)

    return build


def _join(call: FunctionCall) -> Compiled:
    """The strings of a collection put together; nothing when there is none."""
    source, separator = call.source.items, argument_string(call) if call.count else lambda _env, _this: ""

    def run(env: Environment, this: Item | None) -> Items:
        items, between = source(env, this), separator(env, this)
        if not items or between is None:
            return []
        texts = [text for item in env.spend_on(items) if (text := string_of([item])) is not None]
        env.spend(sum(map(len, texts)) // 64)
        return string_item(env, between.join(texts))

    return collection(run, STRING)


Coder = Callable[[str], str]


def _coded(coders: dict[str, Coder]) -> Callable[[FunctionCall], Compiled]:
    """Encoding, decoding and escaping: empty for a format that is not known and for text that is not of it."""

    def build(call: FunctionCall) -> Compiled:
        source, format_ = source_string(call), argument_string(call)

        def run(env: Environment, this: Item | None) -> Items:
            text, name = source(env, this), format_(env, this)
            coder = coders.get(name or "")
            if text is None or name is None:
                return []
            if coder is None:
                raise FHIRPathEvaluationError(f"{name!r:.20} is none of {', '.join(coders)}")
            # Each of these is looked up on its own.
            env.spend(4 * (text.count("&") + text.count("\\")))
            try:
                return string_item(env, _whole(coder(text)))
            except (ValueError, binascii.Error):
                return []

        return collection(run, STRING)

    return build


_URL_SAFE = str.maketrans("-_", "+/")
_ENCODERS: dict[str, Coder] = {
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "urlbase64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}
_DECODERS: dict[str, Coder] = {
    "hex": lambda text: bytes.fromhex(text).decode(),
    "base64": lambda text: base64.b64decode(text, validate=True).decode(),
    "urlbase64": lambda text: base64.b64decode(text.translate(_URL_SAFE), validate=True).decode(),
}
_ESCAPERS: dict[str, Coder] = {"html": html.escape, "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1]}
_JSON_ESCAPE = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+|\\.", re.DOTALL)
"""Several escapes may make one character."""
_UNESCAPERS: dict[str, Coder] = {
    "html": html.unescape,
    "json": lambda text: _JSON_ESCAPE.sub(lambda escape: str(json.loads(f'"{escape[0]}"')), text),
}


def _whole(text: str) -> str:
    """Text without half a surrogate pair, which no store and no answer could hold; ValueError with one."""
    text.encode()
    return text


def _split(text: str, by: str) -> list[str]:
    return text.split(by) if by else list(text)


STRING_FUNCTIONS = {
    "startsWith": Function(1, 1, _test(str.startswith)),
    "endsWith": Function(1, 1, _test(str.endswith)),
    "contains": Function(1, 1, _test(str.__contains__)),
    "indexOf": Function(1, 1, _place(str.find)),
    "lastIndexOf": Function(1, 1, _place(str.rfind)),
    "upper": Function(0, 0, _changed(str.upper)),
    "lower": Function(0, 0, _changed(str.lower)),
    "trim": Function(0, 0, _changed(str.strip)),
    "length": Function(0, 0, _length),
    "substring": Function(1, 2, _substring),
    "replace": Function(2, 2, _replace),
    "toChars": Function(0, 0, _parts(_split)),
    "split": Function(1, 1, _parts(_split)),
    "join": Function(0, 1, _join),
    "encode": Function(1, 1, _coded(_ENCODERS)),
    "decode": Function(1, 1, _coded(_DECODERS)),
    "escape": Function(1, 1, _coded(_ESCAPERS)),
    "unescape": Function(1, 1, _coded(_UNESCAPERS)),
}
