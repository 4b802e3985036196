"""A compiled expression: compile once, evaluate often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.fhir.definitions import Definitions
from hub.fhirpath.call import Settings
from hub.fhirpath.compiler import Compiler
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import OUTPUT_LIMIT, Environment, Step, Types
from hub.fhirpath.explanation import Explanation, Part
from hub.fhirpath.items import Item, Items
from hub.fhirpath.parser import parse
from hub.fhirpath.syntax import Node
from hub.fhirpath.value_sets import ValueSets

Resource = Mapping[str, Any]


def compile_expression(
    text: str,
    facts: Definitions,
    *,
    root_type: str | None = None,
    now_allowed: bool = False,
    value_sets: ValueSets | None = None,
) -> Expression:
    """Compile ``text`` for one FHIR version.

    ``root_type`` is the type of what it will look at (a resource type, a data type, or the path of a backbone element
    such as ``Observation.component``) and lets unknown elements be found now; None when it may be anything.
    With ``now_allowed`` it may ask for now(), today() and timeOfDay(), and is then evaluated with ``now``;
    ``value_sets`` are those that memberOf() may name.
    Raises FHIRPathError (400) for text that is no FHIRPath or names what does not exist, FHIRPathUnsupported (422) for
    what the hub cannot evaluate exactly; both say where and what to write instead.
    """
    tree = parse(text)
    types = None if root_type is None else frozenset({root_type})
    compiler = Compiler(text, facts, types, Settings(now_allowed, value_sets))
    return Expression(tree, compiler, types)


class Expression:
    """Evaluates one expression on resources as parsed JSON (``dict``; numbers int or Decimal). Never changes them.

    ``resource`` is the root of paths without a variable, and ``%resource``; ``previous`` and ``current`` are the
    variables of a trigger (S-039, S-040), None is empty. Every method raises FHIRPathEvaluationError for data that
    gives the expression no value.
    """

    __slots__ = (
        *("_compiler", "_explanation", "_items", "_resource_types", "_scope", "_truth", "_walk"),
        *("needs_now", "text", "tree"),
    )

    def __init__(self, tree: Node, compiler: Compiler, scope: Types) -> None:
        compiled = compiler.compile_apart(tree, scope)
        self.text = compiler.text
        self.tree = tree
        """The syntax tree; each node has its place in ``text``."""
        self.needs_now = compiler.uses_now
        """Does it ask for now(), today() or timeOfDay()? Then every evaluation needs ``now``, an aware moment."""
        self._items = compiled.items
        self._truth = compiled.truth
        self._walk = _walk(compiled.steps) if compiled.steps else None
        self._resource_types = compiler.facts.resource_types
        self._compiler = compiler
        self._scope = scope
        self._explanation: Explanation | None = None

    def items(
        self,
        resource: Resource | None,
        *,
        previous: Resource | None = None,
        current: Resource | None = None,
        now: datetime | None = None,
    ) -> list[Any]:
        """The values: JSON as it stands in the resource, Python values for what the expression itself made."""
        walk = self._walk
        if walk is None or resource.__class__ is not dict:
            return [value for _, value, _ in self._found(resource, previous, current, now) if value is not None]
        # The most frequent case by far, without a call that can be spared; the same as in ``_found``.
        named: Any = resource.get("resourceType")
        known = named.__class__ is str and named in self._resource_types
        found = walk((named if known else "Resource", resource, None))
        if len(found) > OUTPUT_LIMIT:
            raise _too_many()
        return [value for _, value, _ in found if value is not None]

    def typed_items(
        self,
        resource: Resource | None,
        *,
        previous: Resource | None = None,
        current: Resource | None = None,
        now: datetime | None = None,
    ) -> list[tuple[str, Any]]:
        """(type, value) of each item that has a value; elements with only extensions are left out (S-241).

        The type is a FHIR type code (``Coding``), the path of a backbone element (``Observation.component``), or a
        System type (``System.String``).
        """
        return _with_values(self._found(resource, previous, current, now))

    def typed_items_of(self, type_: str, value: Any, *, resource: Resource | None = None) -> list[tuple[str, Any]]:
        """The same, relative to an element: ``type_`` as ``typed_items`` gives it, ``resource`` is ``%resource``."""
        root: Item = (type_, value, None)
        env = Environment(root, None if resource is None else self._item(resource), None, None)
        found = self._items(env, root)
        if len(found) > OUTPUT_LIMIT:
            raise _too_many()
        return _with_values(found)

    def is_true(
        self,
        resource: Resource | None,
        *,
        previous: Resource | None = None,
        current: Resource | None = None,
        now: datetime | None = None,
    ) -> bool:
        """Is the result a single true? False and empty are not (S-039)."""
        env = self._environment(resource, previous, current, now)
        return self._truth(env, env.root) is True

    def explain(
        self,
        resource: Resource | None,
        *,
        previous: Resource | None = None,
        current: Resource | None = None,
        now: datetime | None = None,
    ) -> list[Part]:
        """The value of the whole and of each condition in it. A part that has no value says why; nothing is raised."""
        if self._explanation is None:
            self._explanation = Explanation(self.tree, self._compiler, self._scope)
        return self._explanation.told(self._environment(resource, previous, current, now))

    def _found(
        self, resource: Resource | None, previous: Resource | None, current: Resource | None, now: datetime | None
    ) -> Items:
        if self._walk is not None and resource is not None:
            # A plain path visits what there is once and needs no environment.
            found = self._walk(self._item(resource))
        else:
            env = self._environment(resource, previous, current, now)
            found = self._items(env, env.root)
        if len(found) > OUTPUT_LIMIT:
            raise _too_many()
        return found

    def _environment(
        self, resource: Resource | None, previous: Resource | None, current: Resource | None, now: datetime | None
    ) -> Environment:
        root = None if resource is None else self._item(resource)
        before = None if previous is None else root if previous is resource else self._item(previous)
        after = None if current is None else root if current is resource else self._item(current)
        return Environment(root, root, before, after, now)

    def _item(self, resource: Resource) -> Item:
        value = resource if resource.__class__ is dict else dict(resource)
        named: Any = value.get("resourceType")
        known = named.__class__ is str and named in self._resource_types
        return (named if known else "Resource", value, None)


def _walk(steps: Sequence[Step]) -> Callable[[Item], Items]:
    """The way down through all steps."""
    first, rest = steps[0], steps[1:]

    def step_down(item: Item) -> Items:
        found: Items = []
        first[item[0]](item, found)
        return found

    def walk(item: Item) -> Items:
        found = step_down(item)
        for step in rest:
            below: Items = []
            for one in found:
                step[one[0]](one, below)
                if len(below) > OUTPUT_LIMIT:
                    return below
            found = below
        return found

    return walk if rest else step_down


def _too_many() -> FHIRPathEvaluationError:
    return FHIRPathEvaluationError(f"the expression yields more than {OUTPUT_LIMIT} items")


def _with_values(items: Items) -> list[tuple[str, Any]]:
    return [(type_, value) for type_, value, _ in items if value is not None]
