"""FHIR search evaluated on one resource in memory (S-237…S-270).

    syntax.py        query strings, values, escapes
    parameters.py    which parameters, modifiers and comparators are decided; all others are refused
    clause.py        one parameter with its modifier, comparator and values
    query.py         several clauses joined by AND
    chain.py         a condition on what a reference leads to
    token · reference · string · date · number · quantity · uri · composite      one file per type of value
    membership.py · media_type.py      ``:in`` a ValueSet · ``:below`` a media type

Refused, because the answer would need terminology or resources that nobody looks up: ``_has``, ``_in``, ``_text``,
``_filter``, ``:text``, ``:above`` and ``:below`` of codes, chains of more than one step. What lacks a resource or a
system at the moment of judging is ``Undecided``: not matched, and told.
"""

from hub.matching.search.clause import Clause, compile_parameter
from hub.matching.search.query import Query, compile_query
from hub.matching.search.surroundings import NOTHING_AROUND, Surroundings, Undecided

__all__ = [
    "NOTHING_AROUND",
    "Clause",
    "Query",
    "Surroundings",
    "Undecided",
    "compile_parameter",
    "compile_query",
]
