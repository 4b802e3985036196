"""A compiled expression: compile once, evaluate often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.fhir.definitions import Definitions
from hub.fhirpath.compiler import Compiler
from hub.fhirpath.evaluation import Compiled, Environment
from hub.fhirpath.items import Item, Items
from hub.fhirpath.navigation import resource_type
from hub.fhirpath.parser import parse
from hub.fhirpath.syntax import Node

Resource = Mapping[str, Any]


def compile_expression(text: str, facts: Definitions, *, root_type: str | None = None) -> Expression:
    """Compile ``text`` for one FHIR version.

    ``root_type`` is the type of what it will look at (a resource type, a data type, or the path of a backbone element
    such as ``Observation.component``) and lets unknown elements be found now; None when it may be anything.
    Raises FHIRPathError (400) for text that is no FHIRPath or names what does not exist, FHIRPathUnsupported (422) for
    what the hub cannot evaluate exactly; both say where and what to write instead.
    """
    tree = parse(text)
    types = None if root_type is None else frozenset({root_type})
    compiled = Compiler(text, facts, types).compile(tree, types)
    return Expression(text, tree, compiled, facts)


class Expression:
    """Evaluates one expression on resources as parsed JSON (``dict``; numbers int or Decimal). Never changes them.

    ``resource`` is the root of paths without a variable, and ``%resource``; ``previous`` and ``current`` are the
    variables of a trigger (S-039, S-040), None is empty. Every method raises FHIRPathEvaluationError for data that
    gives the expression no value.
    """

    __slots__ = ("_facts", "_items", "_truth", "text", "tree")

    def __init__(self, text: str, tree: Node, compiled: Compiled, facts: Definitions) -> None:
        self.text = text
        self.tree = tree
        """The syntax tree; each node has its place in ``text``."""
        self._items = compiled.items
        self._truth = compiled.truth
        self._facts = facts

    def items(
        self, resource: Resource | None, *, previous: Resource | None = None, current: Resource | None = None
    ) -> list[Any]:
        """The values: JSON as it stands in the resource, Python values for what the expression itself made."""
        env = self._environment(resource, previous, current)
        return [value for _, value, _ in self._items(env, env.root) if value is not None]

    def typed_items(
        self, resource: Resource | None, *, previous: Resource | None = None, current: Resource | None = None
    ) -> list[tuple[str, Any]]:
        """(type, value) of each item that has a value; elements with only extensions are left out (S-241).

        The type is a FHIR type code (``Coding``), the path of a backbone element (``Observation.component``), or a
        System type (``System.String``).
        """
        env = self._environment(resource, previous, current)
        return _with_values(self._items(env, env.root))

    def typed_items_of(self, type_: str, value: Any, *, resource: Resource | None = None) -> list[tuple[str, Any]]:
        """The same, relative to an element: ``type_`` as ``typed_items`` gives it, ``resource`` is ``%resource``."""
        root: Item = (type_, value, None)
        env = Environment(root, self._item(resource), None, None)
        return _with_values(self._items(env, root))

    def is_true(
        self, resource: Resource | None, *, previous: Resource | None = None, current: Resource | None = None
    ) -> bool:
        """Is the result a single true? False and empty are not (S-039)."""
        env = self._environment(resource, previous, current)
        return self._truth(env, env.root) is True

    def _environment(
        self, resource: Resource | None, previous: Resource | None, current: Resource | None
    ) -> Environment:
        root = self._item(resource)
        before = None if previous is None else root if previous is resource else self._item(previous)
        after = None if current is None else root if current is resource else self._item(current)
        return Environment(root, root, before, after)

    def _item(self, resource: Resource | None) -> Item | None:
        if resource is None:
            return None
        if not isinstance(resource, dict):
            resource = dict(resource)
        return (resource_type(resource, self._facts), resource, None)


def _with_values(items: Items) -> list[tuple[str, Any]]:
    return [(type_, value) for type_, value, _ in items if value is not None]
