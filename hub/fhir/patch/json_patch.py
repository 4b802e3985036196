"""JSON Patch: a list of operations on the JSON of a resource, all or nothing (RFC 6902).

It knows nothing of FHIR but the identity of a resource. Whether the result is still a good resource is judged
afterwards, as for any update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.json import read_json_array
from hub.fhir.patch.pointer import Pointer
from hub.fhir.patch.rules import Allowance, Copier, copy_of_resource, naming, refuse_new_identity, refuse_too_many

_NEEDS = MappingProxyType(
    {"add": "value", "remove": "", "replace": "value", "move": "from", "copy": "from", "test": "value"}
)
"""Operation -> the member it needs besides ``op`` and ``path`` (RFC 6902 section 4)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``source`` is where ``move`` and ``copy`` take from (``from``), for others it is the path."""

    op: str
    path: Pointer
    source: Pointer
    value: Any = None


def read_json_patch(raw: bytes) -> list[Operation]:
    """The operations in ``raw``, a body of type application/json-patch+json.

    Raises Malformed for what is no patch document, naming the operation; Unprocessable when there are too many.
    """
    patch = read_json_array(raw)
    refuse_too_many(len(patch))
    operations = []
    for index, written in enumerate(patch):
        try:
            operations.append(_operation(written))
        except Malformed as refusal:
            raise naming(f"Operation {index}", refusal) from None
    return operations


def apply_json_patch(
    resource: Mapping[str, Any], patch: Sequence[Operation], allowance: Allowance | None = None
) -> dict[str, Any]:
    """``resource`` (parsed JSON, numbers int or Decimal) after all operations; neither argument is changed.

    What it costs is taken from ``allowance``, from one of its own when none is given.
    Raises Unprocessable, naming the operation by its index from 0: nothing stands at its path, a test fails, the
    resource's type or id would change, or the result would become too large or too deep.
    """
    refuse_too_many(len(patch))
    document = _Document(resource, allowance or Allowance())
    for index, operation in enumerate(patch):
        try:
            document.apply(operation)
            refuse_new_identity(resource, document.root)
        except Refused as refusal:
            raise naming(f"Operation {index} ({operation.op})", refusal) from None
    return document.root


def _operation(written: Any) -> Operation:
    if not isinstance(written, dict):
        raise Malformed('An operation is an object: {"op": "replace", "path": "/status", "value": …}.')
    op = written.get("op")
    if not isinstance(op, str) or op not in _NEEDS:
        raise Malformed(f"op is one of {', '.join(_NEEDS)}.", code="code-invalid")
    path = _pointer(written, "path")
    needed = _NEEDS[op]
    if needed == "value" and "value" not in written:
        raise Malformed(f"{op} needs a value: give it as value, null if need be.", code="required")
    source = _pointer(written, "from") if needed == "from" else path
    if op == "move" and source.leads_into(path):
        raise Malformed("A value cannot be moved into itself: choose a path outside of from.")
    return Operation(op, path, source, written.get("value"))


def _pointer(written: dict[str, Any], name: str) -> Pointer:
    if not isinstance(written.get(name), str):
        raise Malformed(f"{name} is missing: give it as a JSON Pointer, such as /name/0/family.", code="required")
    return Pointer.parse(written[name])


class _Document:
    """The document while it is being patched."""

    def __init__(self, resource: Mapping[str, Any], allowance: Allowance) -> None:
        self.root = copy_of_resource(resource)
        self._copier = Copier(allowance)

    def apply(self, operation: Operation) -> None:
        path, source = operation.path, operation.source
        match operation.op:
            case "add":
                self._add(path, operation.value)
            case "remove":
                self._remove(path)
            case "replace":
                self._replace(path, operation.value)
            case "move":
                value = source.value_in(self.root)
                if source.tokens != path.tokens:
                    self._remove(source)
                    self._add(path, value)
            case "copy":
                self._add(path, source.value_in(self.root))
            case "test":
                self._test(path, operation.value)

    def _add(self, path: Pointer, value: Any) -> None:
        value = self._copier.copy(value, len(path.tokens))
        if not path.tokens:
            self._become(value)
            return
        holder = path.holder_in(self.root)
        if isinstance(holder, list):
            holder.insert(path.index_in(holder, beyond=True), value)
        else:
            holder[path.tokens[-1]] = value

    def _remove(self, path: Pointer) -> None:
        if not path.tokens:
            raise Unprocessable("A patch cannot remove the whole resource: delete it instead.")
        holder = path.holder_in(self.root)
        if isinstance(holder, list):
            del holder[path.index_in(holder)]
        elif path.tokens[-1] in holder:
            del holder[path.tokens[-1]]
        else:
            raise path.nothing_there()

    def _replace(self, path: Pointer, value: Any) -> None:
        path.value_in(self.root)
        if path.tokens and isinstance(holder := path.holder_in(self.root), list):
            holder[path.index_in(holder)] = self._copier.copy(value, len(path.tokens))
        else:
            self._add(path, value)

    def _test(self, path: Pointer, value: Any) -> None:
        if not equal(path.value_in(self.root), value):
            raise Unprocessable(
                f"The value at {path} is not the one tested for: read the resource again and patch what it is now."
            )

    def _become(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise Unprocessable("A resource is a JSON object: replace it by nothing else.")
        self.root = value


def equal(one: Any, other: Any) -> bool:
    """RFC 6902 section 4.6: numbers by value (6.30 is 6.3), objects without order, true never 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return one == other
    return type(one) is type(other) and bool(one == other)
