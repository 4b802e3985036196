"""The Parameters resource of a FHIRPath Patch, read into operations (http://hl7.org/fhir/R5/fhirpatch.html)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hub.errors import Malformed, Refused
from hub.fhir.patch.rules import naming, refuse_too_many
from hub.fhir.reading import Json, require_resource_type, text, whole

_PARTS = MappingProxyType(
    {
        "add": ("path", "name", "value"),
        "insert": ("path", "index", "value"),
        "delete": ("path",),
        "replace": ("path", "value"),
        "move": ("path", "source", "destination"),
    }
)
"""Type of operation -> the parts it has, each of them exactly once."""
_TEXTS = MappingProxyType({"path": ("valueString",), "name": ("valueString", "valueCode", "valueId")})
_NUMBERS = ("valueInteger", "valueUnsignedInt", "valuePositiveInt")


@dataclass(frozen=True, slots=True)
class PatchOperation:
    """One operation. ``value`` is its ``value`` part, ``value_path`` where that stands; numbers count from 0."""

    type: str
    path: str
    name: str = ""
    value: Json = field(default_factory=dict)
    value_path: str = ""
    index: int = 0
    source: int = 0
    destination: int = 0


def read_operations(parameters: Json) -> Iterator[PatchOperation]:
    """The operations of a FHIRPath Patch, in order. Raises Malformed, naming the operation; none at all are fine."""
    require_resource_type(parameters, "Parameters")
    written = parameters.get("parameter", [])
    if not isinstance(written, list):
        raise Malformed("parameter is a list of operations.", expression="Parameters.parameter")
    refuse_too_many(len(written))
    for index, parameter in enumerate(written):
        path = f"Parameters.parameter[{index}]"
        try:
            yield _operation(parameter, path)
        except Refused as refusal:
            raise naming(f"Operation {index}", refusal, path) from None


def _operation(parameter: Any, path: str) -> PatchOperation:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise Malformed("Every parameter of a patch is called operation.", expression=f"{path}.name")
    if unknown := sorted(set(parameter) - {"name", "part", "id", "extension"}):
        raise Malformed(f"An operation has parts, leave out {', '.join(unknown)}.", expression=path)
    parts = _parts(parameter, path)
    if "type" not in parts:
        raise Malformed(f"Give the type of the operation: {', '.join(_PARTS)}.", expression=path, code="required")
    type_path, type_part = parts.pop("type")
    type_ = text(type_part, "valueCode") or text(type_part, "valueString")
    if type_ not in _PARTS:
        raise Malformed(f"The type is one of {', '.join(_PARTS)}.", expression=type_path, code="code-invalid")
    if set(parts) != set(_PARTS[type_]):
        raise Malformed(
            f"{type_} has the parts type, {', '.join(_PARTS[type_])}, this one has type, {', '.join(sorted(parts))}.",
            expression=path,
        )
    return _filled(type_, parts)


def _parts(parameter: Json, path: str) -> dict[str, tuple[str, Json]]:
    written = parameter.get("part")
    if not isinstance(written, list) or not all(isinstance(part, dict) for part in written):
        raise Malformed("An operation is a list of parts.", expression=f"{path}.part")
    parts: dict[str, tuple[str, Json]] = {}
    for index, part in enumerate(written):
        name = text(part, "name")
        if name in parts:
            raise Malformed(f"The part {name[:64]} stands twice: write it once.", expression=f"{path}.part[{index}]")
        parts[name] = (f"{path}.part[{index}]", part)
    return parts


def _filled(type_: str, parts: dict[str, tuple[str, Json]]) -> PatchOperation:
    filled: dict[str, Any] = {"type": type_}
    for name, (path, part) in parts.items():
        if name == "value":
            filled |= {"value": part, "value_path": path}
        elif name in _TEXTS:
            filled[name] = _text(name, part, path)
        else:
            filled[name] = _number(name, part, path)
    return PatchOperation(**filled)


def _text(name: str, part: Json, path: str) -> str:
    found = [text(part, key) for key in _TEXTS[name] if text(part, key)]
    if len(found) != 1:
        raise Malformed(f"Give {name} as {' or '.join(_TEXTS[name])}.", expression=path, code="value")
    return found[0]


def _number(name: str, part: Json, path: str) -> int:
    found = [number for key in _NUMBERS if (number := whole(part, key)) is not None]
    if len(found) != 1 or found[0] < 0:
        raise Malformed(f"Give {name} as valueInteger, counted from 0.", expression=path, code="value")
    return found[0]
