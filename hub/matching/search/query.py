"""A query string made ready: clauses joined by AND (S-237)."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.change import Resource
from hub.fhir.definitions import Definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.matching.search.clause import Clause, all_match, compile_parameter
from hub.matching.search.surroundings import NOTHING_AROUND, Surroundings
from hub.matching.search.syntax import parse_query


@dataclass(frozen=True, slots=True)
class Query:
    """``text`` as written; no clauses (``Type?``) match every resource of the type."""

    text: str
    resource_type: str
    clauses: tuple[Clause, ...]

    def matches(self, resource: Resource, around: Surroundings = NOTHING_AROUND) -> bool:
        """Do all clauses match? Resources whose type is another never do. May raise FHIRPathEvaluationError."""
        if self.resource_type not in ("Resource", "DomainResource", resource.get("resourceType")):
            return False
        return all_match(self.clauses, resource, around)

    def references(self, resource: Resource) -> frozenset[str]:
        """What must be looked up before ``resource`` can be judged. Raises as ``matches`` does."""
        return frozenset().union(*(clause.references(resource) for clause in self.clauses))


def compile_query(
    query: str,
    resource_type: str,
    facts: Definitions,
    *,
    source_base_url: str = "",
    value_sets: ValueSets = NO_VALUE_SETS,
) -> Query:
    """Make ``status=finished&class=IMP`` ready for resources of ``resource_type``.

    ``resource_type`` may be Resource: then only parameters that every resource has are known.
    ``_lastUpdated`` looks at meta.lastUpdated in the resource; a caller that completes meta later must do so before.
    Raises Malformed or Unprocessable as ``compile_parameter`` and ``parse_query`` do.
    """
    clauses = (
        compile_parameter(
            resource_type,
            condition.parameter,
            condition.modifier,
            "",
            condition.value,
            facts,
            source_base_url=source_base_url,
            value_sets=value_sets,
        )
        for condition in parse_query(query, resource_type)
    )
    return Query(query, resource_type, tuple(clauses))
