"""The filters of a Subscription, told clause by clause."""

from __future__ import annotations

from hub.domain.change import Resource, ResourceChange
from hub.domain.explanation import Finding, Verdict
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.explain.finding import asked, shown
from hub.matching.filters import CompiledFilters
from hub.matching.search import Clause, Surroundings

SUBJECT = "filterBy"


def explain_filters(filters: CompiledFilters, change: ResourceChange) -> Finding:
    """Do the filters let the focus of ``change`` through (S-094, S-096)?"""
    focus, resource_type = change.focus, change.key.type
    if filters.by_type is None:
        return Finding(SUBJECT, "", Verdict.YES, reason="it has no filters: every event of its topic passes")
    if focus is None:
        return Finding(SUBJECT, "", Verdict.FAILED, reason="the last state is not known, so filters cannot be judged")
    clauses = filters.clauses(resource_type)
    if clauses is None:
        named = ", ".join(sorted(filters.by_type))
        return Finding(SUBJECT, "", Verdict.NO, (resource_type,), f"it is told of {named} only")
    around = Surroundings.of(change)
    parts = tuple(explain_clause(f"{SUBJECT}[{place}]", clause, focus, around) for place, clause in enumerate(clauses))
    return asked(SUBJECT, "", lambda: filters.match(resource_type, focus, around), parts=parts)


def explain_clause(subject: str, clause: Clause, resource: Resource, around: Surroundings) -> Finding:
    """One condition and the values of its parameter in ``resource``; of a chain, what it leads to."""
    return asked(subject, written(clause), lambda: clause.matches(resource, around), values=values_of(clause, resource))


def written(clause: Clause) -> str:
    """The condition as it stands in a search."""
    modifier = f":{clause.modifier}" if clause.modifier else ""
    return f"{clause.name}{modifier}={clause.value}"


def values_of(clause: Clause, resource: Resource) -> tuple[str, ...]:
    """What the resource has for the parameter of ``clause``; nothing when it cannot be read."""
    try:
        with clause.extraction.read(resource) as items:
            return shown(value for _, value in items)
    except FHIRPathEvaluationError:
        return ()
