"""The resources that the suite looks at, as JSON. The suite names XML; a JSON form beside it may hold less."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from decimal import Decimal
from pathlib import Path
from typing import Any

from hub.fhir.definitions import PRIMITIVES, Definitions
from hub.fhirpath.navigation import json_name

FHIR = "{http://hl7.org/fhir}"
_NUMBERS = {"integer": int, "positiveInt": int, "unsignedInt": int, "decimal": Decimal}


def read_input(folder: Path, name: str, facts: Definitions) -> dict[str, Any]:
    """The resource in the file ``name``, XML or JSON."""
    if name.endswith(".json"):
        found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"), parse_float=Decimal)
        return found
    root = ElementTree.parse(folder / name).getroot()
    return _resource(root, facts)


def _resource(node: ElementTree.Element, facts: Definitions) -> dict[str, Any]:
    type_ = node.tag.removeprefix(FHIR)
    return {"resourceType": type_} | _members(node, type_, facts)


def _members(node: ElementTree.Element, type_: str, facts: Definitions) -> dict[str, Any]:
    """The members of an element: attributes (``id``, ``url``), then its children, each by what its type says."""
    members: dict[str, Any] = {name: text for name, text in node.attrib.items() if name in ("id", "url")}
    for child in node:
        name = child.tag.rsplit("}", 1)[-1]
        child_type, many = _element(type_, name, facts)
        if name == "div":
            members[name] = ElementTree.tostring(child, encoding="unicode")
        elif child_type in PRIMITIVES:
            _add_primitive(members, name, child, child_type, many=many, facts=facts)
        elif child_type == "Resource":
            members.setdefault(name, []).append(_resource(child[0], facts))
        else:
            _add(members, name, _members(child, child_type, facts), many=many)
    return {name: value for name, value in members.items() if not isinstance(value, list) or any(map(_is_there, value))}


def _is_there(value: Any) -> bool:
    return value is not None


def _element(type_: str, name: str, facts: Definitions) -> tuple[str, bool]:
    element = facts.element(type_, name)
    if element is not None:
        return element.path, element.many
    for choice in facts.element_names(type_):
        element = facts.element(type_, choice)
        if element is not None and element.choice:
            for chosen in element.types:
                if json_name(choice, chosen) == name:
                    return chosen, False
    raise AssertionError(f"{type_} has no element {name}")


def _add(members: dict[str, Any], name: str, value: Any, *, many: bool) -> None:
    if many:
        members.setdefault(name, []).append(value)
    else:
        members[name] = value


def _add_primitive(
    members: dict[str, Any], name: str, node: ElementTree.Element, type_: str, *, many: bool, facts: Definitions
) -> None:
    text = node.get("value")
    value = None if text is None else text == "true" if type_ == "boolean" else _NUMBERS.get(type_, str)(text)
    sibling = _members(node, type_, facts) or None
    if many or value is not None:
        _add(members, name, value, many=many)
    if many or sibling is not None:
        _add(members, f"_{name}", sibling, many=many)
