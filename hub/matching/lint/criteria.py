"""fhirPathCriteria that are FHIRPath, but no test (S-039, S-042)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.errors import Issue
from hub.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Indexer,
    Literal,
    Member,
    Node,
    Sign,
    TypeOperation,
)
from hub.matching.lint.subject import ERROR, WARNING, Subject, TriggerSubject

_BOOLEAN = frozenset({"boolean", "System.Boolean"})
_COMPARISONS = frozenset({"=", "!=", "~", "!~", "<", "<=", ">", ">="})
_TESTS = _COMPARISONS | {"in", "contains", "xor", "implies"}
_TEST_FUNCTIONS = frozenset(
    {
        *("exists", "empty", "not", "all", "allTrue", "anyTrue", "allFalse", "anyFalse", "hasValue", "is"),
        *("subsetOf", "supersetOf", "isDistinct", "startsWith", "endsWith", "contains", "matches", "memberOf"),
    }
)


def criteria_are_boolean(subject: Subject) -> Iterator[Issue]:
    """Error: the outermost operator, function or path gives something else than true or false."""
    for each in subject.triggers:
        if each.types and each.types.isdisjoint(_BOOLEAN):
            found = " or ".join(sorted(type_.removeprefix("System.") for type_ in each.types))
            said = (
                f"This gives {found}, where true or false is asked (S-039): compare it, as in … = 'finished', or ask "
                "whether it is there with .exists()."
            )
            yield each.issue(ERROR, "fhirPathCriteria", said, "value")


def union_is_no_or(subject: Subject) -> Iterator[Issue]:
    """``|`` between tests makes two results of two tests, which is neither true nor false (S-042).

    An error where nothing else can decide, a warning beside a query form, which then decides alone.
    """
    for each in subject.triggers:
        if each.tree is not None and (said := _union_of_tests(each.tree)):
            has_query = each.previous is not None or each.current is not None
            beside = " The queryCriteria decide alone wherever it does." if has_query else ""
            yield each.issue(_level(each, has_query), "fhirPathCriteria", said + beside, "value")


def _level(each: TriggerSubject, has_query: bool) -> str:
    return WARNING if has_query else ERROR


def _union_of_tests(tree: Node) -> str:
    """What is wrong, "" when nothing is."""
    for node in _nodes(tree):
        if isinstance(node, Chain) and node.operator == "|" and any(_is_test(one) for one in node.operands):
            return "| joins collections: two tests joined by it are two results and decide nothing. Write or (S-042)."
        if isinstance(node, Binary) and node.operator in _COMPARISONS and _swallows_a_union(node):
            return "| binds closer than a comparison, so this compares a comparison. Write or (S-042)."
    return ""


def _is_test(node: Node) -> bool:
    match node:
        case Binary():
            return node.operator in _TESTS
        case Chain():
            return node.operator in ("and", "or")
        case TypeOperation():
            return node.operator == "is"
        case Call():
            return node.name in _TEST_FUNCTIONS
    return False


def _swallows_a_union(node: Binary) -> bool:
    """``a = 'x' | b = 'y'`` is ``(a = ('x' | b)) = 'y'``."""
    left = node.left
    if not isinstance(left, Binary) or left.operator not in _COMPARISONS:
        return False
    union = left.right
    return (
        isinstance(union, Chain) and union.operator == "|" and not all(isinstance(o, Literal) for o in union.operands)
    )


def _nodes(tree: Node) -> Iterator[Node]:
    """Every node, the outermost first."""
    waiting: list[Node | None] = [tree]
    while waiting:
        node = waiting.pop()
        if node is not None:
            yield node
            waiting += reversed(_children(node))


def _children(node: Node) -> list[Node | None]:
    match node:
        case Member():
            return [node.source]
        case Call():
            return [node.source, *node.arguments]
        case Indexer():
            return [node.source, node.index]
        case Sign() | TypeOperation():
            return [node.operand]
        case Binary():
            return [node.left, node.right]
        case Chain():
            return list(node.operands)
    return []


CRITERIA_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (criteria_are_boolean, union_is_no_or)
