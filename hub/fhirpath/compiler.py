"""From syntax tree to closures. What the text alone can tell is decided here, so that running it has little left to do.

The compiler follows the types that items can have through the element tables. Where they are known, an element that
does not exist is an error now, not an empty collection later.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from hub.fhir.definitions import PRIMITIVES, Definitions
from hub.fhirpath import arithmetic, comparisons, logic, sets
from hub.fhirpath.call import FunctionCall, Settings
from hub.fhirpath.errors import FHIRPathError
from hub.fhirpath.evaluation import (
    INTEGER,
    Compiled,
    Environment,
    Types,
    collection,
    condition,
    constant,
    nothing,
    one_item,
    singleton,
    this_item,
)
from hub.fhirpath.functions import FUNCTIONS, UNSUPPORTED
from hub.fhirpath.functions.filtering import EMPTY_OF_EMPTY, is_of_type, of_type
from hub.fhirpath.functions.subsetting import at, numbered
from hub.fhirpath.items import Item
from hub.fhirpath.references import target_type
from hub.fhirpath.steps import Steps, concrete
from hub.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Empty,
    Indexer,
    Literal,
    Member,
    Node,
    Sign,
    Special,
    TypeOperation,
    Variable,
)
from hub.fhirpath.types import TypeTest
from hub.fhirpath.variables import variable

NOTHING_BUT_THE_DATA = Settings()
MAX_WORK = 10_000
"""Nodes that are compiled for one expression. The longest one in the standard has 301."""


class Compiler:
    """Compiles the nodes of one expression. ``root_types`` are those of the resource, None when it may be any."""

    def __init__(
        self, text: str, facts: Definitions, root_types: Types, settings: Settings = NOTHING_BUT_THE_DATA
    ) -> None:
        self.text = text
        self.facts = facts
        self.settings = settings
        self.uses_now = False
        self._steps = Steps(text, facts)
        self._root_types = concrete(root_types)
        self._variables: dict[str, tuple[str, Types]] = {}
        self._work = 0
        self._wanted: dict[int, Compiled | None] = {}
        self._aggregating = 0

    def compile(self, node: Node, scope: Types) -> Compiled:
        """Compile ``node`` where ``$this`` is of the types ``scope``."""
        self._work += 1
        if self._work > MAX_WORK:
            advice = "Make it shorter, or nest repeat() less: its argument is compiled for all types that it leads to."
            raise FHIRPathError("The expression is too involved", self.text, node.start, advice)
        compiled = self._compiled(node, scope)
        if id(node) in self._wanted:
            self._wanted[id(node)] = compiled
        return compiled

    def compile_parts(self, tree: Node, parts: Sequence[Node], scope: Types) -> list[Compiled]:
        """Compile ``tree`` once, and give back what these nodes of it were made into."""
        self._wanted, self._work = dict.fromkeys(map(id, parts)), 0
        self.compile_apart(tree, scope)
        compiled, self._wanted = self._wanted, {}
        return [found for part in parts if (found := compiled[id(part)]) is not None]

    def _compiled(self, node: Node, scope: Types) -> Compiled:
        match node:
            case Literal():
                return constant((node.type, node.value, None))
            case Empty():
                return constant()
            case Variable():
                return self._variable(node)
            case Special():
                return self._special(node, scope)
            case Member():
                return self._member(node, scope)
            case Call():
                return self._call(node, scope)
            case Indexer():
                return numbered(self.compile(node.source, scope), self.compile_apart(node.index, scope), at)
            case Sign():
                return self._sign(node, scope)
            case Chain():
                return self._chain(node, scope)
            case Binary():
                return self._binary(node, scope)
            case TypeOperation():
                return self._type_operation(node.operator, node.operand, node.type_name, node, scope)
        raise AssertionError(f"no such node: {node}")

    def compile_apart(self, node: Node, scope: Types) -> Compiled:
        """Compile ``node``; a variable that it defines is known in it only."""
        outer = self._variables
        compiled = self.compile(node, scope)
        self._variables = outer
        return compiled

    def compile_criteria(self, node: Node, types: Types) -> Compiled:
        """Compile what is evaluated for each of several items, which have these types."""
        return self.compile_apart(node, types)

    def define(self, name: str, types: Types) -> str | None:
        """Make ``%name`` known to what is compiled after this; its key, None when the name is taken."""
        if name in self._variables or variable(name, None) is not None:
            return None
        key = f"{name}#{len(self._variables)}"
        self._variables = {**self._variables, name: (key, types)}
        return key

    def _variable(self, node: Variable) -> Compiled:
        if node.name in self._variables:
            return _defined(*self._variables[node.name])
        found = variable(node.name, self._root_types)
        if found is None:
            advice = "Known are %current, %previous, %resource, %context, %rootResource, %ucum, %sct and %loinc."
            raise FHIRPathError(f"Unknown variable %{node.name}", self.text, node.start, advice)
        return found

    def _special(self, node: Special, scope: Types) -> Compiled:
        if node.name == "this":
            return this_item(concrete(scope))
        if node.name == "index":
            return collection(lambda env, _this: [("System.Integer", env.index, None)], INTEGER)
        if node.name == "total" and self._aggregating:
            return collection(lambda env, _this: getattr(env, "total", []))
        advice = "Write $this, $index, or inside of aggregate() $total."
        raise FHIRPathError(f"${node.name} is not known here", self.text, node.start, advice)

    def _member(self, node: Member, scope: Types) -> Compiled:
        if node.source is not None:
            return self._steps.step(self.compile(node.source, scope), node)
        scope = concrete(scope)
        is_element = scope is not None and any(
            self._steps.element_types(type_, node.name) != frozenset() for type_ in scope
        )
        if not is_element and node.name[:1].isupper():
            return self._type_prefix(node, scope)
        return self._steps.step(this_item(scope), node)

    def _type_prefix(self, node: Member, scope: Types) -> Compiled:
        """``Patient`` at the start of a path: the item, if it is a Patient (S-240)."""
        test = self.type_test(node.name, node, selecting=False)
        types = concrete(test.types)
        if scope and scope <= self.facts.resource_types:
            matching = frozenset(type_ for type_ in scope if test[type_])
            if not matching:
                return nothing(types)
            if matching == scope:
                return this_item(scope)
        return one_item(lambda _env, this: this if this is not None and test[this[0]] else None, types)

    def _call(self, node: Call, scope: Types) -> Compiled:
        if node.name in ("is", "ofType") and node.source is not None and _is_resolve(node.source):
            return self._resolved(node.source, self._type_name_of(node, scope), scope, keep=node.name == "ofType")
        source = self._source(node, scope)
        call = FunctionCall(self, node, source, scope)
        function = FUNCTIONS.get(node.name)
        if function is None:
            if node.name in UNSUPPORTED:
                raise call.unsupported(UNSUPPORTED[node.name])
            close = get_close_matches(node.name, FUNCTIONS, n=1, cutoff=0.7)
            advice = f"Did you mean {close[0]}()?" if close else f"Functions: {', '.join(sorted(FUNCTIONS))}."
            raise call.refused("is no function of FHIRPath", advice)
        if not function.fewest <= call.count <= function.most:
            counts = f"{function.fewest}" if function.fewest == function.most else f"{function.fewest}-{function.most}"
            raise call.refused(f"has {call.count} arguments", f"Give it {counts}.")
        self._refuse_order_of_tree(node, call)
        self._aggregating += node.name == "aggregate"
        compiled = function.build(call)
        self._aggregating -= node.name == "aggregate"
        return nothing(compiled.types) if source.constant == () and node.name in EMPTY_OF_EMPTY else compiled

    def _refuse_order_of_tree(self, node: Call, call: FunctionCall) -> None:
        if node.name in _ORDERED and isinstance(node.source, Call) and node.source.name in _UNORDERED:
            raise call.refused(f"needs an order, {node.source.name}() has none", "Name the element that you mean.")

    def _source(self, node: Call, scope: Types) -> Compiled:
        if node.source is not None:
            return self.compile(node.source, scope)
        return this_item(concrete(scope))

    def _type_name_of(self, node: Call, scope: Types) -> TypeTest:
        call = FunctionCall(self, node, constant(), scope)
        if call.count != 1:
            raise call.refused(f"has {call.count} arguments", "Give it the name of one type.")
        return call.type_argument()

    def type_test(self, name: str, node: Node, *, selecting: bool) -> TypeTest:
        """The test for a type written at ``node``; raises FHIRPathError when there is no such type."""
        test = TypeTest(self.facts, name, selecting=selecting)
        if not test.exists:
            known = [*self.facts.resource_types, *PRIMITIVES, "Quantity", "CodeableConcept", "Coding", "Reference"]
            close = get_close_matches(name, known, n=1)
            advice = f"Did you mean {close[0]}?" if close else "Name a type of this version of FHIR."
            raise FHIRPathError(f"Unknown type {name}", self.text, node.start, advice)
        return test

    def _type_operation(self, operator: str, operand: Node, name: str, node: Node, scope: Types) -> Compiled:
        test = self.type_test(name, node, selecting=operator == "as")
        if operator == "is" and _is_resolve(operand):
            return self._resolved(operand, test, scope, keep=False)
        source = self.compile(operand, scope)
        if operator == "is":
            return is_of_type(source, test)
        return nothing(test.types) if source.constant == () else of_type(source, test)

    def _resolved(self, node: Node, test: TypeTest, scope: Types, *, keep: bool) -> Compiled:
        """``resolve() is Type``, decided without fetching (S-255)."""
        assert isinstance(node, Call)
        if keep:
            raise FunctionCall(self, node, constant(), scope).unsupported(UNSUPPORTED["resolve"])
        references, facts = self._source(node, scope).items, self.facts

        def truth(env: Environment, this: Item | None) -> bool | None:
            item = singleton(references(env, this))
            if item is None:
                return None
            type_ = target_type(item, env, facts)
            return type_ is not None and test[type_]

        return condition(truth)

    def _sign(self, node: Sign, scope: Types) -> Compiled:
        operand = self.compile_apart(node.operand, scope)
        if any(item[0] not in _SIGNED for item in operand.constant or ()):
            advice = "Only numbers and quantities have a sign."
            raise FHIRPathError(f"Unexpected {node.operator!r}", self.text, node.start, advice)
        return arithmetic.negation(operand) if node.operator == "-" else operand

    def _chain(self, node: Chain, scope: Types) -> Compiled:
        operands = [self.compile_apart(operand, scope) for operand in node.operands]
        if node.operator == "|":
            return sets.union(operands)
        return logic.conjunction(operands) if node.operator == "and" else logic.disjunction(operands)

    def _binary(self, node: Binary, scope: Types) -> Compiled:
        left, right = self.compile_apart(node.left, scope), self.compile_apart(node.right, scope)
        match node.operator:
            case "=" | "!=":
                return comparisons.equality(left, right, negated=node.operator == "!=")
            case "~" | "!~":
                return comparisons.equivalence(left, right, negated=node.operator == "!~")
            case "<" | "<=" | ">" | ">=":
                return comparisons.comparison(node.operator, left, right)
            case "in":
                return comparisons.membership(left, right)
            case "contains":
                return comparisons.membership(right, left)
            case "xor":
                return logic.exclusive_or(left, right)
            case "implies":
                return logic.implication(left, right)
            case "&":
                return arithmetic.concatenation(left, right)
        return arithmetic.arithmetic(node.operator, left, right)


_SIGNED = frozenset({"System.Integer", "System.Decimal", "System.Quantity"})


_ORDERED = frozenset({"skip", "take", "first", "last", "tail"})
_UNORDERED = frozenset({"children", "descendants"})


def _defined(key: str, types: Types) -> Compiled:
    return collection(lambda env, _this: env.variables[key], types)


def _is_resolve(node: Node) -> bool:
    return isinstance(node, Call) and node.name == "resolve" and not node.arguments
