"""The bytes in which the resources inside a Bundle or a Parameters were received.

All functions expect the text of a JSON object that ``hub.fhir.json`` has read and taken for good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hub.fhir.json import without_byte_order_mark

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def entry_resources(raw: bytes, bundle: Mapping[str, Any]) -> list[bytes]:
    """``entry[n].resource`` for each n, b"" where there is none. ``raw`` parses to ``bundle``."""
    return [parts.get("resource", "").encode() for parts in _parts(raw, "entry")] if bundle.get("entry") else []


def parameter_resources(raw: bytes, parameters: Mapping[str, Any]) -> list[bytes]:
    """``parameter[n].resource`` for each n, in the same way."""
    return [parts.get("resource", "").encode() for parts in _parts(raw, "parameter")] if parameters["parameter"] else []


def _parts(raw: bytes, list_name: str) -> Iterator[dict[str, str]]:
    """Member -> text, of each object in a list of objects."""
    text = without_byte_order_mark(raw).decode()
    for name, start, _ in _members(text, _skip(text, 0)):
        if name == list_name:
            for place in _items(text, start):
                yield {member: text[first:last] for member, first, last in _members(text, place)}


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of each member of the object at ``start``."""
    place = _skip(text, start + 1)
    while text[place] != "}":
        name, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _skip(text, place) + 1)
        end = _DECODER.raw_decode(text, place)[1]
        yield name, place, end
        place = _after(text, end)


def _items(text: str, start: int) -> Iterator[int]:
    place = _skip(text, start + 1)
    while text[place] != "]":
        yield place
        place = _after(text, _DECODER.raw_decode(text, place)[1])


def _after(text: str, end: int) -> int:
    """Where the next member or item begins, or its brackets close."""
    place = _skip(text, end)
    return _skip(text, place + 1) if text[place] == "," else place


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
