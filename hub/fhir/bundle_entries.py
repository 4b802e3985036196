"""Reading a Bundle that asks for something: transaction, batch, or the history of another server.

Each entry keeps the bytes in which its resource was received (HOUSE decision 2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.domain.change import Resource
from hub.errors import Malformed, TooLarge
from hub.fhir.query_strings import read_query, read_written_query
from hub.fhir.raw_parts import entry_resources

MOST_ENTRIES = 1000
"""Of one Bundle: a transaction is one step of the store, and everybody else waits for it."""
TYPES = ("transaction", "batch", "history")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
READS = ("GET", "HEAD")

ENTITY_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,14})"')
LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_KEPT = {"POST": ("ifNoneExist",), "PUT": ("ifMatch",), "PATCH": ("ifMatch",), "DELETE": ("ifMatch",)}
_CONDITIONS = ("ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist")


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One entry. ``type``, ``id`` and ``query`` (decoded pairs) come from ``request.url``; a conditional one has no id.

    ``if_none_exist`` are the pairs of that condition. ``raw`` are the bytes of the resource as received, b"" for none.
    """

    index: int
    full_url: str
    method: str
    type: str
    id: str
    query: Sequence[tuple[str, str]]
    if_match: int | None
    if_none_exist: Sequence[tuple[str, str]]
    resource: Resource
    raw: bytes

    @property
    def path(self) -> str:
        return f"Bundle.entry[{self.index}]"

    @property
    def reads(self) -> bool:
        return self.method in READS


def read_entries(raw: bytes, bundle: Mapping[str, Any]) -> list[BundleEntry]:
    """The entries of ``bundle``, which is what ``raw`` parses to. Raises Malformed naming the entry, TooLarge."""
    kind = bundle.get("type")
    if kind not in TYPES:
        raise Malformed(
            f"A Bundle is taken as one of {', '.join(TYPES)}, not {kind}.", expression="Bundle.type", code="value"
        )
    entries = listed_entries(bundle)
    if len(entries) > MOST_ENTRIES:
        raise TooLarge(f"A Bundle may have {MOST_ENTRIES} entries; send several Bundles.", expression="Bundle.entry")
    bodies = entry_resources(raw, bundle)
    return [
        _entry(index, entry, body, told=kind == "history")
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True))
    ]


def listed_entries(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """``entry`` as it is. Raises Malformed when it is no list of objects, or a resource in it is none."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise Malformed("entry is a list of objects.", expression="Bundle.entry")
    for index, entry in enumerate(entries):
        if not isinstance(entry.get("resource", {}), Mapping):
            raise Malformed("A resource is an object.", expression=f"Bundle.entry[{index}].resource")
    return entries


def _entry(index: int, entry: Mapping[str, Any], body: bytes, *, told: bool) -> BundleEntry:
    """``told``: the entry tells what was done elsewhere; under which conditions does not matter any more."""
    path = f"Bundle.entry[{index}]"
    request = entry.get("request")
    if not isinstance(request, Mapping):
        raise Malformed("Each entry says in request what is to be done.", expression=f"{path}.request", code="required")
    method = request.get("method")
    if method not in METHODS:
        raise Malformed(f"Write one of {', '.join(METHODS)}.", expression=f"{path}.request.method", code="value")
    if method in ("POST", "PUT", "PATCH") and not entry.get("resource"):
        raise Malformed(f"A {method} needs a resource.", expression=f"{path}.resource", code="required")
    resource_type, identity, query = _address(request, path)
    conditions: Mapping[str, Any] = {} if told else request
    _refuse_overlooked(method, conditions, path)
    none_exist = _text(conditions, "ifNoneExist", f"{path}.request")
    return BundleEntry(
        index=index,
        full_url=_text(entry, "fullUrl", path),
        method=method,
        type=resource_type,
        id=identity,
        query=query,
        if_match=_version(conditions, f"{path}.request"),
        if_none_exist=read_written_query(none_exist, f"{path}.request.ifNoneExist") if none_exist else (),
        resource=entry.get("resource") or {},
        raw=body,
    )


def _address(request: Mapping[str, Any], path: str) -> tuple[str, str, Sequence[tuple[str, str]]]:
    """(type, id, query) of ``request.url``."""
    where = f"{path}.request.url"
    url = request.get("url")
    if not isinstance(url, str) or not url:
        raise Malformed("Write the URL relative to the base, such as Patient/1.", expression=where)
    address, asks, query = url.removeprefix("/").partition("?")
    resource_type, slash, identity = address.partition("/")
    if slash and not LOGICAL_ID.fullmatch(identity):
        raise Malformed(f"Write Type, Type/id or Type?condition, not {url}.", expression=where, code="value")
    if asks and identity:
        raise Malformed("Write an id or a condition, not both.", expression=where, code="value")
    if not asks:
        return resource_type, identity, ()
    try:
        return resource_type, "", read_query(query.encode()) or read_written_query(query)
    except Malformed as problem:
        raise Malformed(*(issue.diagnostics for issue in problem.issues), expression=where) from None


def _refuse_overlooked(method: str, conditions: Mapping[str, Any], path: str) -> None:
    """A condition that would not be kept: overlooking it would do what the client asked not to be done."""
    for name in _CONDITIONS:
        if name in conditions and name not in _KEPT.get(method, ()):
            raise Malformed(
                f"{name} is not offered on a {method}; leave it out.",
                expression=f"{path}.request.{name}",
                code="not-supported",
            )


def _version(conditions: Mapping[str, Any], path: str) -> int | None:
    written = _text(conditions, "ifMatch", path)
    if not written:
        return None
    found = ENTITY_TAG.fullmatch(written)
    if not found:
        raise Malformed(f'Write one version, such as W/"3", not {written}.', expression=f"{path}.ifMatch")
    return int(found[1])


def _text(owner: Mapping[str, Any], name: str, path: str) -> str:
    """A string that is not empty, "" when it is absent. Raises Malformed for anything else."""
    if name not in owner:
        return ""
    value = owner[name]
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is a string, and not an empty one.", expression=f"{path}.{name}")
    return value
