"""References between the entries of a transaction, replaced inside the received bytes; nothing else is touched.

FHIR replaces them in elements of type Reference, uri, url, oid and uuid, and in links of the narrative. An identifier
that happens to be written like the fullUrl of an entry stays what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_TOKEN = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")(\s*+:)?', re.DOTALL)
_POINTING = re.compile(r"reference|.*(?:uri|url|oid|uuid)", re.IGNORECASE)
_LINK = re.compile(r'((?:href|src)=")([^"]*)(")')


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


def pointers_in(value: Any, name: str = "") -> Iterator[str]:
    """Every string that ``with_references`` would look at; ``name`` is the member that holds ``value``."""
    if isinstance(value, Mapping):
        for member, item in value.items():
            yield from pointers_in(item, member)
    elif isinstance(value, list):
        for item in value:
            yield from pointers_in(item, name)
    elif isinstance(value, str) and name == "div":
        yield from (found[2] for found in _LINK.finditer(value))
    elif isinstance(value, str) and _POINTING.fullmatch(name):
        yield value


def with_references(raw: bytes, replacements: Mapping[str, str]) -> bytes:
    """``raw`` with every pointing string that is a key of ``replacements`` replaced; every other byte as it was."""
    if not replacements:
        return raw
    name = ""

    def replaced(found: re.Match[bytes]) -> bytes:
        nonlocal name
        token, is_name = found[1], found[2] is not None
        if is_name:
            name = _text(token)
            return found[0]
        if name != "div" and not _POINTING.fullmatch(name):
            return token
        old = _text(token)
        new = _relinked(old, replacements) if name == "div" else replacements.get(old, old)
        return token if new == old else json.dumps(new, ensure_ascii=False).encode()

    return _TOKEN.sub(replaced, raw)


def _relinked(narrative: str, replacements: Mapping[str, str]) -> str:
    return _LINK.sub(lambda found: found[1] + replacements.get(found[2], found[2]) + found[3], narrative)


def _text(token: bytes) -> str:
    return str(json.loads(token)) if b"\\" in token else token[1:-1].decode()
