"""JSON Pointer: the way from the root of a document to one of its values (RFC 6901)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed, Unprocessable

_ESCAPE = re.compile(r"~[01]?")
_UNESCAPED = {"~0": "~", "~1": "/"}
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Pointer:
    """``tokens`` are the unescaped names and indexes from the root on; none means the whole document."""

    text: str
    tokens: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pointer:
        """Raises Malformed for what is no JSON Pointer."""
        if text and not text.startswith("/"):
            raise Malformed(f"{text[:_SHOWN]!r} is no JSON Pointer: begin with a slash, such as /name/0/family.")
        return cls(text, tuple(_unescaped(token, text) for token in text.split("/")[1:]))

    def __str__(self) -> str:
        return repr(self.text[:_SHOWN])

    def leads_into(self, other: Pointer) -> bool:
        """Does ``other`` lie below this?"""
        return len(self.tokens) < len(other.tokens) and other.tokens[: len(self.tokens)] == self.tokens

    def value_in(self, document: Any) -> Any:
        """The value this points to. Raises Unprocessable when there is none."""
        value = document
        for token in self.tokens:
            value = self._step(value, token)
        return value

    def holder_in(self, document: Any) -> Any:
        """The object or array that the last token belongs to; there must be a last token. Raises Unprocessable."""
        holder = document
        for token in self.tokens[:-1]:
            holder = self._step(holder, token)
        if not isinstance(holder, dict | list):
            raise self.nothing_there()
        return holder

    def index_in(self, array: list[Any], *, beyond: bool = False) -> int:
        """The index that the last token means; ``beyond`` also allows the place after the end, ``-`` in short."""
        token = self.tokens[-1]
        if beyond and token == "-":
            return len(array)
        if not _INDEX.fullmatch(token) or int(token) >= len(array) + beyond:
            allowed = "0" if len(array) + beyond <= 1 else f"0 to {len(array) + beyond - 1}"
            end = " or - for the end" if beyond else ""
            has_none = not array and not beyond
            advice = "the array is empty." if has_none else f"use an index from {allowed}{end}."
            raise Unprocessable(f"{self} has no such place: {advice}")
        return int(token)

    def nothing_there(self) -> Unprocessable:
        return Unprocessable(f"The resource has nothing at {self}: read it again and correct the path.")

    def _step(self, value: Any, token: str) -> Any:
        if isinstance(value, dict) and token in value:
            return value[token]
        if isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            return value[int(token)]
        raise self.nothing_there()


def _unescaped(token: str, text: str) -> str:
    def replaced(escape: re.Match[str]) -> str:
        if escape.group() not in _UNESCAPED:
            raise Malformed(f"{text[:_SHOWN]!r} is no JSON Pointer: write ~0 for a tilde and ~1 for a slash.")
        return _UNESCAPED[escape.group()]

    return _ESCAPE.sub(replaced, token) if "~" in token else token
