"""Can a FHIRPath criterion be true at all when there is no previous, or no current, state?

Abstract evaluation: instead of a value, every node gives the set of truths that it may have (true, false, empty). What
is empty for want of a state makes paths, comparisons and functions on it empty, by the rules of FHIRPath; what is
not known may be anything. So "cannot be true" is certain, "may be true" is not (S-039, S-275, S-276).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

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
    TypeOperation,
    Variable,
)

Truths = frozenset[bool | None]
"""Any of True, False and None (empty)."""
ANY: Truths = frozenset({True, False, None})
NOTHING: Truths = frozenset({None})
CERTAIN: Truths = frozenset({True})
IMPOSSIBLE: Truths = frozenset({False})
IN_NOTHING: Truths = frozenset({False, None})

_OF_NOTHING: dict[str, Truths] = {
    **dict.fromkeys(("exists", "hasValue", "anyTrue", "anyFalse"), IMPOSSIBLE),
    **dict.fromkeys(("empty", "all", "allTrue", "allFalse", "isDistinct", "subsetOf"), CERTAIN),
    **dict.fromkeys(("where", "select", "ofType", "as", "extension", "first", "last", "tail", "single"), NOTHING),
    **dict.fromkeys(("skip", "take", "distinct", "not", "is", "getValue", "intersect", "exclude"), NOTHING),
    **dict.fromkeys(("startsWith", "endsWith", "contains", "memberOf"), NOTHING),
}
"""What functions give on an empty collection; one that is not named here may give anything."""


def truths_of(node: Node, absent: frozenset[str]) -> Truths:
    """The truths that ``node`` may have when the variables ``absent`` (``previous``, ``current``) are empty.

    NOTHING is also: this collection is empty for certain. Every node is looked at once.
    """
    match node:
        case Literal():
            return frozenset({node.value}) if isinstance(node.value, bool) else CERTAIN
        case Empty():
            return NOTHING
        case Variable():
            return NOTHING if node.name in absent else ANY
        case Member() | Indexer():
            return ANY if node.source is None else _nothing_of(node.source, absent)
        case Sign() | TypeOperation():
            return _nothing_of(node.operand, absent)
        case Chain():
            return _chain(node, absent)
        case Binary():
            return _binary(node, absent)
        case Call():
            return _call(node, absent)
    return ANY


def _nothing_of(node: Node, absent: frozenset[str]) -> Truths:
    """What is done to nothing gives nothing."""
    return NOTHING if truths_of(node, absent) == NOTHING else ANY


def _chain(node: Chain, absent: frozenset[str]) -> Truths:
    operands = [truths_of(operand, absent) for operand in node.operands]
    match node.operator:
        case "and":
            return _joined(operands, lambda one, other: _and(one, other))
        case "or":
            return _joined(operands, lambda one, other: _negated(_and(_negated(one), _negated(other))))
    filled = [truths for truths in operands if truths != NOTHING]
    return filled[0] if len(filled) == 1 else ANY if filled else NOTHING


def _binary(node: Binary, absent: frozenset[str]) -> Truths:
    left, right = truths_of(node.left, absent), truths_of(node.right, absent)
    match node.operator:
        case "implies":
            return _joined([left, right], lambda one, other: _negated(_and(one, _negated(other))))
        case "xor":
            return _joined([left, right], lambda one, other: None if None in (one, other) else one is not other)
        case "~" | "!~" | "&":
            return ANY
    if node.operator in ("in", "contains"):
        item, collection = (left, right) if node.operator == "in" else (right, left)
        return NOTHING if item == NOTHING else IN_NOTHING if collection == NOTHING else ANY
    return NOTHING if NOTHING in (left, right) else ANY


def _call(node: Call, absent: frozenset[str]) -> Truths:
    if node.source is None:
        return ANY
    source = truths_of(node.source, absent)
    if node.name == "not" and not node.arguments:
        return frozenset(_negated(truth) for truth in source)
    return _OF_NOTHING.get(node.name, ANY) if source == NOTHING else ANY


def _joined(operands: Iterable[Truths], join: Callable[[bool | None, bool | None], bool | None]) -> Truths:
    joined: Truths | None = None
    for truths in operands:
        joined = truths if joined is None else frozenset(join(one, other) for one, other in product(joined, truths))
    return ANY if joined is None else joined


def _and(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth
