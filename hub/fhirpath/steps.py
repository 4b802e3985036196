"""One step of a path, compiled: which types the element has, what is said when there is none, and how it is read."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from hub.fhir.definitions import Definitions
from hub.fhirpath.errors import FHIRPathError
from hub.fhirpath.evaluation import (
    STRING,
    Compiled,
    Environment,
    Run,
    Single,
    Types,
    collection,
    nothing,
)
from hub.fhirpath.items import Item, Items
from hub.fhirpath.navigation import TYPE_INFO, TYPE_INFO_ELEMENTS, Readers, json_name
from hub.fhirpath.syntax import Member

_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})


def concrete(types: Types) -> Types:
    """The types, None when one of them stands for many."""
    return None if types is None or types & _ABSTRACT else types


class Steps:
    """The steps of one expression, by the element tables of one FHIR version."""

    def __init__(self, text: str, facts: Definitions) -> None:
        self._text = text
        self._facts = facts

    def step(self, source: Compiled, node: Member) -> Compiled:
        """The elements ``node.name`` of what ``source`` yields; raises FHIRPathError when none of its types has it."""
        types = self._types_below(source.types, node)
        if source.constant == ():
            return nothing(types)
        readers = Readers(self._facts, node.name)
        one = source.single
        run = _step_from_each(source.items, readers) if one is None else _step_from_one(one, readers)
        return replace(collection(run, types), steps=None if source.steps is None else (*source.steps, readers))

    def _types_below(self, types: Types, node: Member) -> Types:
        """The types of the element ``node.name`` of items of these types; raises FHIRPathError when none has it."""
        types = concrete(types)
        if not types:
            return None
        below: frozenset[str] = frozenset()
        for type_ in types:
            found = self.element_types(type_, node.name)
            if found is None:
                return None
            below |= found
        if not below:
            raise self._no_element(sorted(types), node)
        return concrete(below)

    def element_types(self, type_: str, name: str) -> Types:
        """The types of one element; none when there is no such element, None when they are not known."""
        if type_ == TYPE_INFO and name in TYPE_INFO_ELEMENTS:
            return STRING
        element = None if type_.startswith("System.") else self._facts.element(type_, name)
        if element is None:
            return frozenset()
        return frozenset(element.types) if element.choice else concrete(frozenset({element.path}))

    def _no_element(self, types: list[str], node: Member) -> FHIRPathError:
        place = node.end - len(node.name)
        names = {name: type_ for type_ in types for name in self._facts.element_names(type_)}
        for name, type_ in names.items():
            element = self._facts.element(type_, name)
            for choice in element.types if element is not None and element.choice else ():
                if json_name(name, choice) == node.name:
                    advice = f"Write {name}.ofType({choice})."
                    return FHIRPathError(f"{type_} has no element {node.name}", self._text, place, advice)
        close = get_close_matches(node.name, names, n=1)
        advice = f"Did you mean {close[0]}?" if close else "See its page in the standard for the elements it has."
        owner = " or ".join(types) if len(types) <= 3 else "None of the possible types"
        return FHIRPathError(f"{owner} has no element {node.name}", self._text, place, advice)


def _step_from_one(source: Single, readers: Readers) -> Run:
    def run(env: Environment, this: Item | None) -> Items:
        found: Items = []
        item = source(env, this)
        if item is not None:
            readers[item[0]](item, found)
        return env.spend_on(found) if len(found) > 1 else found

    return run


def _step_from_each(source: Run, readers: Readers) -> Run:
    def run(env: Environment, this: Item | None) -> Items:
        found: Items = []
        for item in source(env, this):
            readers[item[0]](item, found)
            if len(found) > env.budget:
                break
        return env.spend_on(found) if len(found) > 1 else found

    return run
