"""Why an expression is true or not: the value of each condition that it is made of, and of what they compare.

Told for the conditions that ``and or xor implies not()`` join, and for the two sides of a comparison among them; what
stands inside of where() and other functions has no single value. The parts are run by the same kind of closures as
the expression itself, one by one, so that each is told even where the expression did not need to look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hub.fhirpath.compiler import Compiler
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import COST_LIMIT, Compiled, Environment, Types
from hub.fhirpath.lexer import Kind, tokens
from hub.fhirpath.syntax import Binary, Call, Chain, Empty, Literal, Node, Sign

_JOINING = frozenset({"xor", "implies"})
_COMPARING = frozenset({"=", "!=", "~", "!~", "<", "<=", ">", ">=", "in", "contains"})
MOST_PARTS = 100
"""Parts that are told; the first ones, from the outside in."""


@dataclass(frozen=True, slots=True)
class Part:
    """``text`` as it is written; ``values`` as ``Expression.items`` gives them; ``depth`` is 0 for the whole.

    ``error`` says why the data gives this part no value, "" when it does.
    """

    text: str
    values: tuple[Any, ...]
    depth: int
    error: str = ""
    compared: bool = False
    """A side of a comparison, whose value is no condition."""


class Explanation:
    """The parts of one expression, compiled."""

    def __init__(self, tree: Node, compiler: Compiler, scope: Types) -> None:
        written, parts = _Written(compiler.text), list(islice(_parts(tree, 0), MOST_PARTS))
        compiled = compiler.compile_parts(tree, [node for node, _, _ in parts], scope)
        self._parts = [
            (Part(written.of(node), (), depth, compared=compared), run)
            for (node, depth, compared), run in zip(parts, compiled, strict=True)
        ]

    def told(self, env: Environment) -> list[Part]:
        """The value of each part, the whole first. It has the budget of an evaluation, the others share as much."""
        whole, *parts = self._parts
        told = [_told(*whole, env)]
        env.budget = COST_LIMIT
        return told + [_told(*part, env) for part in parts]


def _told(part: Part, run: Compiled, env: Environment) -> Part:
    try:
        items = run.items(env, env.root)
    except FHIRPathEvaluationError as error:
        return replace(part, error=str(error))
    return replace(part, values=tuple(value for _, value, _ in items if value is not None))


def _parts(node: Node, depth: int, compared: bool = False) -> Iterator[tuple[Node, int, bool]]:
    yield node, depth, compared
    compares = isinstance(node, Binary) and node.operator in _COMPARING
    for part in _inside(node):
        if not isinstance(part, Literal | Empty | Sign):
            yield from _parts(part, depth + 1, compares)


def _inside(node: Node) -> tuple[Node, ...]:
    """The conditions that this one joins, or the sides that it compares."""
    match node:
        case Chain(operator="and" | "or"):
            return node.operands
        case Binary() if node.operator in _JOINING | _COMPARING:
            return (node.left, node.right)
        case Call(name="not", source=Node() as source):
            return (source,)
    return ()


class _Written:
    """The text of a node with the parentheses that belong to it, which the tree does not keep."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pairs: list[tuple[int, int]] = []
        opened: list[int] = []
        for token in tokens(text):
            if token.kind is Kind.SYMBOL and token.text == "(":
                opened.append(token.start)
            elif token.kind is Kind.SYMBOL and token.text == ")":
                self._pairs.append((opened.pop(), token.end))

    def of(self, node: Node) -> str:
        start, end = node.start, node.end
        for opening, closing in self._pairs:  # inner pairs come first
            if (opening < start < closing <= end) or (start <= opening < end < closing):
                start, end = min(start, opening), max(end, closing)
        return self._text[start:end]
