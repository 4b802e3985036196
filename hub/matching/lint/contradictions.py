"""Queries that no resource can match, where that is certain from the query and the tables of the version alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from hub.fhir.definitions import Definitions
from hub.matching.search import Clause, Query
from hub.matching.search.syntax import split_values

_CODED = frozenset({"code", "boolean"})
_COMMON = ("Resource", "DomainResource")
_PLAIN_PATH = re.compile(r"[A-Z][A-Za-z]*(\.[a-z][A-Za-z]*)+")
MOST_CLAUSES = 20
"""Each is held against each; what is beyond them is simply not judged."""


def contradiction(query: Query, facts: Definitions) -> str:
    """Why nothing matches, in words; "" when something may."""
    return next(_contradictions(query, facts), "")


def _contradictions(query: Query, facts: Definitions) -> Iterator[str]:
    for one, other in combinations(query.clauses[:MOST_CLAUSES], 2):
        if one.parameter != other.parameter or one.chain or other.chain:  # two chains may lead to two targets (S-268)
            continue
        for first, second in ((one, other), (other, one)):
            if _asks_for_absence(first) and _asks_for_presence(second):
                yield f"'{one.parameter}' is to be absent and to have a value at once"
            if second.modifier == "not" and not first.modifier and _values(first) <= _values(second):
                yield f"'{one.parameter}' is to be and not to be {_listed(first)}"
        codes = _codes(one), _codes(other)
        if (
            _is_single_code(one, facts)
            and not (one.modifier or other.modifier)
            and all(codes)
            and not codes[0] & codes[1]
        ):
            yield f"'{one.parameter}' has one value, which cannot be {_listed(one)} and {_listed(other)}"


def _asks_for_absence(clause: Clause) -> bool:
    return clause.modifier == "missing" and clause.wanted is False


def _asks_for_presence(clause: Clause) -> bool:
    return clause.wanted


def _values(clause: Clause) -> frozenset[str]:
    return frozenset(split_values(clause.value))


def _codes(clause: Clause) -> frozenset[str]:
    """Without their systems, in one case: what could be the same is taken to be the same. None for any code."""
    codes = frozenset(value.rpartition("|")[2].casefold() for value in _values(clause))
    return frozenset() if "" in codes else codes


def _is_single_code(clause: Clause, facts: Definitions) -> bool:
    """Is the parameter one element of the resource that is a ``code`` or ``boolean`` and does not repeat?"""
    parameter = clause.extraction.parameter
    paths = [path.strip() for path in parameter.expression.split("|")]
    names = [path.split(".") for path in paths if path.partition(".")[0] in (clause.resource_type, *_COMMON)]
    is_plain = all(_PLAIN_PATH.fullmatch(path) for path in paths)
    if parameter.type != "token" or not is_plain or len(names) != 1 or len(names[0]) != 2:
        return False
    element = facts.element(clause.resource_type, names[0][1])
    return element is not None and not element.many and not element.choice and not _CODED.isdisjoint(element.types)


def _listed(clause: Clause) -> str:
    return " or ".join(split_values(clause.value))
