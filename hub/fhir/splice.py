"""Completing received bytes without writing them anew (HOUSE decision 2).

What the client sent goes out as it came: ``6.30`` stays ``6.30``, spaces, escapes and order stay. An id is spliced in
when the hub named the resource; meta.versionId and meta.lastUpdated are spliced in when they are absent. The place is
found once, when the resource is accepted, and kept beside the bytes as a short hint; filling it in is then a join.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hub.errors import Malformed
from hub.fhir.json import read_instant, without_byte_order_mark, write_instant, write_json

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A string followed by a colon is a key; other strings are matched only to skip the brackets inside them.
_TOKEN = re.compile(rb"(" + _STRING + rb")(\s*+:\s*+)?|([{\[])|[}\]]", re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[^\s,{}\[\]]++", re.DOTALL)
_COLON = re.compile(rb"\s*+:\s*+")
_HINT = re.compile(r"(\d+)(m?)(v?)(l?)(,?)")
_VERSION_ID, _LAST_UPDATED = "versionId", "lastUpdated"
_VERSION = re.compile(r"[A-Za-z0-9.-]{1,64}")


def with_id(raw: bytes, resource: Mapping[str, Any], identity: str) -> bytes:
    """``raw`` with the top-level id ``identity``, put in or in place of another; every other byte as it was.

    ``resource`` is what ``raw`` parses to. Raises Malformed when there is an id that is no string.
    """
    raw = without_byte_order_mark(raw)
    if resource.get("id") == identity:
        return raw
    value = write_json(identity)
    if "id" not in resource:
        start = raw.index(b"{") + 1
        return b"".join((raw[:start], b'"id":', value, b"," if resource else b"", raw[start:]))
    start = _value_offset(raw, "id")
    scalar = _SCALAR.match(raw, start)
    if scalar is None:
        raise Malformed("An id is a string.", expression=f"{resource.get('resourceType', 'Resource')}.id")
    return raw[:start] + value + raw[scalar.end() :]


def meta_hint(raw: bytes, resource: Mapping[str, Any]) -> str:
    """Where ``with_meta`` shall add what: "" for nothing to add, else offset, members and what surrounds them.

    ``resource`` is what ``raw`` parses to. Computed once, when ``raw`` is accepted, and valid for these bytes only.
    Raises Malformed when there is a meta that is no object.
    """
    meta = resource.get("meta", {})
    if not isinstance(meta, Mapping):
        raise Malformed("meta is an object.", expression=f"{resource.get('resourceType', 'Resource')}.meta")
    missing = "".join(name[0] for name in (_VERSION_ID, _LAST_UPDATED) if name not in meta)
    if not missing:
        return ""
    whole = "meta" not in resource
    offset = raw.index(b"{") + 1 if whole else _value_offset(raw, "meta") + 1
    comma = "," if (resource if whole else meta) else ""
    return f"{offset}{'m' if whole else ''}{missing}{comma}"


def check_meta(resource: Mapping[str, Any]) -> None:
    """What stands in meta goes on to receivers as it is: it must at least be of its type. Raises Malformed."""
    path, meta = f"{resource.get('resourceType', 'Resource')}.meta", resource.get("meta", {})
    if not isinstance(meta, Mapping):
        raise Malformed("meta is an object.", expression=path)
    version, updated = meta.get(_VERSION_ID, "1"), meta.get(_LAST_UPDATED)
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise Malformed("versionId is a string: 1 to 64 letters, digits, '-', '.'.", expression=f"{path}.versionId")
    if updated is not None and (not isinstance(updated, str) or read_instant(updated) is None):
        raise Malformed("lastUpdated is an instant, such as 2026-01-02T03:04:05Z.", expression=f"{path}.lastUpdated")


def with_meta(raw: bytes, hint: str, version_id: str, last_updated: datetime) -> bytes:
    """``raw`` completed with meta.versionId and meta.lastUpdated where its ``meta_hint`` says that they are absent."""
    if not hint:
        return without_byte_order_mark(raw)
    parts = _HINT.fullmatch(hint)
    if parts is None:
        raise ValueError(f"not a hint of meta_hint(): {hint!r}")
    offset, whole, version, updated, comma = parts.groups()
    members = b",".join(
        b'"%s":%s' % (name.encode(), write_json(value))
        for name, value, wanted in (
            (_VERSION_ID, version_id, version),
            (_LAST_UPDATED, write_instant(last_updated), updated),
        )
        if wanted
    )
    added = b'"meta":{%s}' % members if whole else members
    place = int(offset)
    return without_byte_order_mark(b"".join((raw[:place], added, comma.encode(), raw[place:])))


def _value_offset(raw: bytes, name: str) -> int:
    """Where the value of the top-level member ``name`` begins. ``raw`` is known to be an object that has it."""
    written = b'"%s"' % name.encode()
    if raw.count(written) == 1 and b"\\u" not in raw:  # nothing else is called so, and nothing is spelled in escapes
        colon = _COLON.match(raw, raw.index(written) + len(written))
        assert colon is not None
        return colon.end()
    depth = 0
    for token in _TOKEN.finditer(raw):
        key, is_key, opening = token.groups()
        if is_key is not None:
            if depth == 1 and json.loads(key) == name:
                return token.end()
        elif key is None:
            depth += 1 if opening else -1
    raise ValueError(f"no top-level member {name!r}")
