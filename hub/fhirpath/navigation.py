"""One step from an item to the elements below it, guided by the element tables (choice types: S-271)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.fhir.definitions import PRIMITIVES, Definitions
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import COST_LIMIT
from hub.fhirpath.items import Item, Items

Reader = Callable[[Item, Items], None]
"""Appends the children of an item to a list."""

TYPE_INFO = "System.TypeInfo"
"""What ``type()`` yields."""
TYPE_INFO_ELEMENTS = frozenset({"namespace", "name"})


def json_name(element_name: str, type_: str) -> str:
    """The JSON name of a choice element with this type: ``valueQuantity``."""
    return element_name + type_[0].upper() + type_[1:]


def resource_type(value: Any, facts: Definitions) -> str:
    """The type that a resource calls itself; ``Resource`` when it names none that this version knows."""
    named = value.get("resourceType") if isinstance(value, dict) else None
    return named if type(named) is str and named in facts.resource_types else "Resource"


class Readers(dict[str, Reader]):
    """The readers of one element name, by the type (or backbone path) of the item; made on first use."""

    def __init__(self, facts: Definitions, name: str) -> None:
        super().__init__()
        self._facts = facts
        self._name = name

    def __missing__(self, type_: str) -> Reader:
        made = self[type_] = _reader(self._facts, type_, self._name)
        return made


class AllReaders(dict[str, Reader]):
    """The readers of every element, by the type (or backbone path) of the item; made on first use."""

    def __init__(self, facts: Definitions) -> None:
        super().__init__()
        self._facts = facts

    def __missing__(self, type_: str) -> Reader:
        made = self[type_] = _all_reader(self._facts, type_)
        return made


def _all_reader(facts: Definitions, type_: str) -> Reader:
    readers: dict[str, Reader] = {}
    for name in facts.element_names(type_) if not type_.startswith("System.") else ():
        element = facts.element(type_, name)
        if element is not None and element.choice:
            readers |= _choice_readers(name, element.types)
        else:
            readers[name] = readers[f"_{name}"] = _reader(facts, type_, name)
    return _in_order(readers, 2 if type_ in PRIMITIVES else 1)


def _in_order(readers: Mapping[str, Reader], place: int) -> Reader:
    """Reads members as they come in the JSON, of the value (1) or of what stands beside a primitive (2)."""

    def read(item: Item, found: Items) -> None:
        value = item[place]
        if isinstance(value, dict):
            # An object may have any number of members that mean nothing: never look at more than could mean something.
            for key in value if len(value) <= len(readers) else [key for key in readers if key in value]:
                reader = readers.get(key)
                if reader is not None and not (key[0] == "_" and key[1:] in value):
                    reader(item, found)

    return read


def _reader(facts: Definitions, type_: str, name: str) -> Reader:
    if type_ == TYPE_INFO and name in TYPE_INFO_ELEMENTS:
        return _primitive(name, "System.String")
    element = None if type_.startswith("System.") else facts.element(type_, name)
    if element is None:
        return _read_nothing
    if type_ in PRIMITIVES:
        return _of_primitive(name, element.path)
    if element.choice:
        return _choice(name, element.types)
    if element.path == "Resource":
        return _resource(name, facts)
    if element.path in PRIMITIVES:
        return _primitive(name, element.path)
    return _complex(name, element.path)


def _read_nothing(item: Item, found: Items) -> None:
    pass


def _complex(name: str, type_: str) -> Reader:
    def read(item: Item, found: Items) -> None:
        value = item[1]
        if isinstance(value, dict):
            children = value.get(name)
            if isinstance(children, list):
                _refuse_many(children)
                found += [(type_, child, None) for child in children if child is not None]
            elif children is not None:
                found.append((type_, children, None))

    return read


def _resource(name: str, facts: Definitions) -> Reader:
    def read(item: Item, found: Items) -> None:
        value = item[1]
        if isinstance(value, dict):
            children = value.get(name)
            _refuse_many(children)
            for child in children if isinstance(children, list) else [children]:
                if child is not None:
                    found.append((resource_type(child, facts), child, None))

    return read


def _refuse_many(children: Any) -> None:
    """A list that alone would use up the budget is not even read."""
    if isinstance(children, list) and len(children) > COST_LIMIT:
        raise FHIRPathEvaluationError(f"the expression visits more than {COST_LIMIT} items")


def _primitive(name: str, type_: str) -> Reader:
    beside = f"_{name}"

    def read(item: Item, found: Items) -> None:
        value = item[1]
        if isinstance(value, dict):
            child, sibling = value.get(name), value.get(beside)
            if child.__class__ is list or sibling.__class__ is list:
                _read_list(type_, child, sibling, found)
            elif child is not None or sibling is not None:
                found.append((type_, child, sibling))

    return read


def _read_list(type_: str, values: Any, siblings: Any, found: Items) -> None:
    _refuse_many(values)
    _refuse_many(siblings)
    values = values if isinstance(values, list) else [values]
    siblings = siblings if isinstance(siblings, list) else [siblings]
    for index in range(max(len(values), len(siblings))):
        value = values[index] if index < len(values) else None
        sibling = siblings[index] if index < len(siblings) else None
        if value is not None or sibling is not None:
            found.append((type_, value, sibling))


def _of_primitive(name: str, type_: str) -> Reader:
    """``id`` and ``extension`` of a primitive stand in the object beside it."""
    read_sibling = _complex(name, type_)

    def read(item: Item, found: Items) -> None:
        read_sibling((item[0], item[2], None), found)

    return read


def _choice(name: str, types: tuple[str, ...]) -> Reader:
    return _in_order(_choice_readers(name, types), 1)


def _choice_readers(name: str, types: tuple[str, ...]) -> Mapping[str, Reader]:
    readers: dict[str, Reader] = {}
    for type_ in types:
        key = json_name(name, type_)
        if type_ in PRIMITIVES:
            readers[key] = readers[f"_{key}"] = _primitive(key, type_)
        else:
            readers[key] = _complex(key, type_)
    return readers
