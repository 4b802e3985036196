"""Reading a Bundle that asks for something: transaction, batch, or the history of another server.

Each entry keeps the bytes in which its resource was received; references to other entries are replaced inside those
bytes, string by string, and nothing else is touched (HOUSE decision 2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any
from urllib.parse import parse_qsl

from hub.errors import Malformed, TooLarge
from hub.fhir.json import without_byte_order_mark

MOST_ENTRIES = 1000
"""Of one Bundle: a transaction is one step of the store, and everybody else waits for it."""
TYPES = ("transaction", "batch", "history")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")

ENTITY_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,14})"')
ENTITY_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,14})"')
_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One entry. ``type``, ``id`` and ``query`` (decoded pairs) come from ``request.url``; a conditional one has no id.

    ``raw`` are the bytes of the resource as received, b"" when there is none.
    """

    index: int
    full_url: str
    method: str
    type: str
    id: str
    query: tuple[tuple[str, str], ...]
    if_match: int | None
    if_none_exist: str
    resource: Mapping[str, Any] | None
    raw: bytes

    @property
    def path(self) -> str:
        return f"Bundle.entry[{self.index}]"


def read_entries(raw: bytes, bundle: Mapping[str, Any]) -> list[BundleEntry]:
    """The entries of ``bundle``, which is what ``raw`` parses to. Raises Malformed naming the entry, TooLarge."""
    kind = bundle.get("type")
    if kind not in TYPES:
        raise Malformed(
            f"A Bundle is taken as one of {', '.join(TYPES)}, not {kind}.", expression="Bundle.type", code="value"
        )
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise Malformed("entry is a list of objects.", expression="Bundle.entry")
    if len(entries) > MOST_ENTRIES:
        raise TooLarge(f"A Bundle may have {MOST_ENTRIES} entries; send several Bundles.", expression="Bundle.entry")
    bodies = list(resource_texts(raw)) if entries else []
    return [_entry(index, entry, body) for index, (entry, body) in enumerate(zip(entries, bodies, strict=True))]


def with_references(raw: bytes, replacements: Mapping[str, str]) -> bytes:
    """``raw`` with every string that is a key of ``replacements`` replaced as a whole; every other byte as it was."""
    if not replacements:
        return raw

    def replaced(found: re.Match[bytes]) -> bytes:
        token = found[0]
        text = json.loads(token) if b"\\" in token else token[1:-1].decode()
        new = replacements.get(text)
        return token if new is None else json.dumps(new, ensure_ascii=False).encode()

    return _STRING.sub(replaced, raw)


def references_in(value: Any) -> Iterator[str]:
    """Every ``reference`` string within a resource."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "reference" and isinstance(item, str):
                yield item
            else:
                yield from references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item)


def _entry(index: int, entry: Mapping[str, Any], body: str) -> BundleEntry:
    path = f"Bundle.entry[{index}]"
    request = entry.get("request")
    if not isinstance(request, Mapping):
        raise Malformed("Each entry says in request what is to be done.", expression=f"{path}.request", code="required")
    method, url = request.get("method"), request.get("url")
    if method not in METHODS:
        raise Malformed(f"Write one of {', '.join(METHODS)}.", expression=f"{path}.request.method", code="value")
    if not isinstance(url, str) or not url:
        raise Malformed("Write the URL relative to the base, such as Patient/1.", expression=f"{path}.request.url")
    address, _, query = url.lstrip("/").partition("?")
    resource_type, _, identity = address.partition("/")
    resource = entry.get("resource")
    if method in ("POST", "PUT", "PATCH") and not isinstance(resource, Mapping):
        raise Malformed(f"A {method} needs a resource.", expression=f"{path}.resource", code="required")
    return BundleEntry(
        index=index,
        full_url=_text(entry.get("fullUrl")),
        method=method,
        type=resource_type,
        id=identity,
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        if_match=_version(_text(request.get("ifMatch")), path),
        if_none_exist=_text(request.get("ifNoneExist")),
        resource=resource if isinstance(resource, Mapping) else None,
        raw=body.encode(),
    )


def _version(written: str, path: str) -> int | None:
    if not written:
        return None
    found = ENTITY_TAG.fullmatch(written)
    if not found:
        raise Malformed(f'Write one version, such as W/"3", not {written}.', expression=f"{path}.request.ifMatch")
    return int(found[1])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parameter_resources(raw: bytes) -> dict[str, str]:
    """Name -> text of the resource of each parameter of a Parameters resource, in which ``raw`` is known to be."""
    text = without_byte_order_mark(raw).decode()
    found: dict[str, str] = {}
    for name, start, _ in _members(text, _skip(text, 0)):
        if name == "parameter":
            for place in _items(text, start):
                spans = {member: text[first:last] for member, first, last in _members(text, place)}
                if "resource" in spans and "name" in spans:
                    found[json.loads(spans["name"])] = spans["resource"]
    return found


def resource_texts(raw: bytes) -> Iterator[str]:
    """The text of ``entry[n].resource`` for each n, "" where there is none. ``raw`` is known to be a Bundle."""
    text = without_byte_order_mark(raw).decode()
    for name, start, _ in _members(text, _skip(text, 0)):
        if name == "entry":
            for place in _items(text, start):
                spans = {member: text[first:last] for member, first, last in _members(text, place)}
                yield spans.get("resource", "")


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of each member of the object at ``start``."""
    place = _skip(text, start + 1)
    while text[place] != "}":
        name, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _skip(text, place) + 1)
        end = _end(text, place)
        yield name, place, end
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)


def _items(text: str, start: int) -> Iterator[int]:
    place = _skip(text, start + 1)
    while text[place] != "]":
        yield place
        place = _skip(text, _end(text, place))
        if text[place] == ",":
            place = _skip(text, place + 1)


def _end(text: str, start: int) -> int:
    try:
        return _DECODER.raw_decode(text, start)[1]
    except JSONDecodeError as problem:
        raise Malformed(f"The body is not JSON: {problem.msg}.") from None


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
