"""FHIR search evaluated on one resource in memory (S-237…S-270).

    syntax.py    query strings, values, escapes
    clause.py    one parameter with its modifier, comparator and values
    query.py     several clauses joined by AND
    token · reference · string · date · number · quantity · uri      one file per type of value

Refused, because the answer would need other resources, terminology or the present moment: chains, ``_has``, ``:in``,
``:above``, ``:below``, ``:text``, composite and special parameters, and ``ap`` on dates (its width depends on "now";
a change must be judged the same way whenever it is judged).
"""

from hub.matching.search.clause import Clause, compile_parameter
from hub.matching.search.query import Query, compile_query

__all__ = ["Clause", "Query", "compile_parameter", "compile_query"]
