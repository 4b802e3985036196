"""Paths of a FHIRPath Patch: from an expression to the places in one resource that it means.

A patch needs to know where an element stands, which a FHIRPath result does not tell. So the steps of a path are
walked here, over the tree of the one parser; conditions inside of where() are evaluated by the one engine. What is
neither a step nor a choice among the elements found so far has no place, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

from hub.errors import Unprocessable
from hub.fhir.definitions import Definitions
from hub.fhir.elements import read_pairs, typed_names
from hub.fhir.patch.places import Place, child_places
from hub.fhirpath.compiler import Compiler
from hub.fhirpath.errors import FHIRPathEvaluationError, FHIRPathUnsupported
from hub.fhirpath.evaluation import Environment, Truth
from hub.fhirpath.items import Item
from hub.fhirpath.lexer import Kind, tokens
from hub.fhirpath.parser import parse
from hub.fhirpath.syntax import Call, Indexer, Literal, Member, Node, TypeOperation
from hub.fhirpath.types import TypeTest

_CHARACTERS_PER_VISIT = 8
"""Evaluating a condition once costs about as much as visiting an element for every so many of its characters."""

_FORMS = "element names, [0], first(), last(), where(…), extension('…') and ofType(…)"


class Paths:
    """Finds places in one resource, which may change between two paths. All paths together make so many ``visits``."""

    def __init__(self, root: Place, facts: Definitions, visits: int) -> None:
        self.root = root
        self.facts = facts
        item: Item = (root.type, root.value, None)
        self.environment = Environment(item, item, None, None)
        self.environment.budget = visits

    def places(self, text: str) -> Iterator[Place]:
        """The elements that the path ``text`` means, found one by one as they are asked for.

        Raises FHIRPathError (400) for what is no FHIRPath of this type, Unprocessable for what has no place.
        """
        walk = _Walk(self, text)
        return walk.checked(walk.places(walk.tree))

    def collection(self, text: str) -> tuple[Iterator[Place], str]:
        """The owners of the list that the path ``text`` means, and its name. Raises as ``places`` does."""
        walk = _Walk(self, text)
        tree = walk.tree
        if not isinstance(tree, Member) or (tree.source is None and walk.is_root(tree)):
            raise walk.unsupported(tree, "This path does not name a list", "End it so, such as Patient.name.")
        owners = iter([self.root]) if tree.source is None else walk.places(tree.source)
        return walk.checked(owners), tree.name


class _Walk:
    """One path. The compiler finds what is no FHIRPath, and names that do not exist, before any step is taken."""

    def __init__(self, paths: Paths, text: str) -> None:
        self._paths = paths
        self._facts = paths.facts
        self._environment = paths.environment
        self._text = text = _with_names_quoted(text)
        self._scope = frozenset({paths.root.type})
        self.tree = parse(text)
        self._compiler = Compiler(text, paths.facts, self._scope)
        self._compiler.compile(self.tree, self._scope)

    def unsupported(self, node: Node, problem: str, advice: str) -> FHIRPathUnsupported:
        return FHIRPathUnsupported(problem, self._text, node.start, advice)

    def checked(self, places: Iterator[Place]) -> Iterator[Place]:
        """The same places; data that gives a condition no value is a refusal here, not an empty result."""
        try:
            yield from places
        except FHIRPathEvaluationError as error:
            raise Unprocessable(
                f"The path {self._text[:200]!r} cannot be followed in this resource: {error}. "
                "Use indexes, or split the patch.",
                code="processing",
            ) from None

    def is_root(self, node: Member) -> bool:
        """Does the path begin with the type of the resource rather than with one of its elements?"""
        return self._facts.element(self._paths.root.type, node.name) is None

    def places(self, node: Node) -> Iterator[Place]:
        match node:
            case Member(source=None):
                return self._start(node)
            case Member(source=Node() as source):
                return self._children(self.places(source), node.name)
            case Indexer(index=Literal(type="System.Integer") as index):
                return islice(self.places(node.source), index.value, index.value + 1)
            case Call(source=Node() as source):
                return self._chosen(node, source)
            case TypeOperation(operator="as"):
                return self._of_type(node.operand, node.type_name)
        raise self.unsupported(node, "This has no place in the resource", f"Write a path of {_FORMS}.")

    def _start(self, node: Member) -> Iterator[Place]:
        root = self._paths.root
        if not self.is_root(node):
            return self._children(iter([root]), node.name)
        if not self._facts.is_a(root.type, node.name):
            raise self.unsupported(node, f"The resource is a {root.type}, no {node.name}", f"Begin with {root.type}.")
        return iter([root])

    def _children(self, owners: Iterator[Place], name: str) -> Iterator[Place]:
        for owner in owners:
            self._environment.spend(1 + self._count(owner, name))
            yield from child_places(owner, name, self._facts)

    def _count(self, owner: Place, name: str) -> int:
        element, members = self._facts.element(owner.type, name), owner.members
        if element is None or members is None:
            return 0
        return sum(len(read_pairs(members, typed_name)) for typed_name, _ in typed_names(name, element))

    def _chosen(self, node: Call, source: Node) -> Iterator[Place]:
        match node.name, node.arguments:
            case "first", ():
                return islice(self.places(source), 1)
            case "last", ():
                return iter(list(self.places(source))[-1:])
            case "where", (criteria,):
                return self._where(source, criteria)
            case "extension", (Literal(type="System.String") as url,):
                return self._extensions(source, url.value)
            case (("ofType" | "as"), (Member() as type_,)):
                return self._of_type(source, _written(type_))
        raise self.unsupported(node, f"{node.name}() cannot stand in a path here", f"Write a path of {_FORMS}.")

    def _where(self, source: Node, criteria: Node) -> Iterator[Place]:
        holds = self._criteria(source, criteria)
        cost = 1 + (criteria.end - criteria.start) // _CHARACTERS_PER_VISIT
        for index, place in enumerate(self.places(source)):
            self._environment.spend(cost)
            self._environment.index = index
            if holds(self._environment, (place.type, place.value, place.sibling)):
                yield place

    def _criteria(self, source: Node, criteria: Node) -> Truth:
        types = self._compiler.compile(source, self._scope).types
        return self._compiler.compile(criteria, types).truth

    def _extensions(self, source: Node, url: str) -> Iterator[Place]:
        for place in self._children(self.places(source), "extension"):
            if isinstance(place.value, dict) and place.value.get("url") == url:
                yield place

    def _of_type(self, source: Node, type_name: str) -> Iterator[Place]:
        test = TypeTest(self._facts, type_name, selecting=True)
        return (place for place in self.places(source) if test[place.type])


def _with_names_quoted(text: str) -> str:
    """``Patient.text.div`` in the form that FHIRPath wants: div is an operator there, and HL7's own patches name it."""
    found = tokens(text)
    quoted, position = [], 0
    for before, token in pairwise(found):
        if token.kind is Kind.NAME and token.text == "div" and before.kind is Kind.SYMBOL and before.text == ".":
            quoted.append(f"{text[position : token.start]}`div`")
            position = token.end
    return "".join((*quoted, text[position:]))


def _written(type_: Member) -> str:
    """The name of a type as it stands in a call: ``Quantity`` or ``FHIR.Quantity``."""
    return f"{type_.source.name}.{type_.name}" if isinstance(type_.source, Member) else type_.name
