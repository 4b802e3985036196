"""Classic Subscriptions made ready: a search, asked of every resource that is created or updated (S-011).

They stand in the index like any other: under a topic of the hub's own for each type, with the conditions of the search
as filters. So their equalities find them, and a million of them cost a change no more than a thousand.
"""

from __future__ import annotations

from functools import lru_cache

from hub.domain.change import NEVER_CHANGES, Interaction
from hub.domain.subscription import FilterBy
from hub.domain.topic import ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import Definitions, definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.matching.filters import CompiledFilters, SearchKnowledge
from hub.matching.report import Refusals
from hub.matching.search import compile_query
from hub.matching.search.syntax import parse_query
from hub.matching.topics import CompiledTopic, compile_topic

EXPRESSION = "Subscription.criteria"


def compile_criteria(
    criteria: str,
    version: FhirVersion,
    *,
    source_base_url: str = "",
    facts: Definitions | None = None,
    value_sets: ValueSets = NO_VALUE_SETS,
) -> tuple[CompiledTopic, CompiledFilters]:
    """Make ``Observation?code=1975-2`` ready for the index. ``facts`` may know more than the standard does.

    Raises Unprocessable, at Subscription.criteria, when the type is unknown or the search cannot be decided
    exactly; Malformed refusals of the search come out the same way.
    """
    resource_type = _type_of(criteria)
    facts, refusals = facts or definitions(version), Refusals()
    if resource_type not in facts.resource_types:
        raise Unprocessable(
            f"'{resource_type}' is no resource type of FHIR {version.number}; write the name of one before the ?.",
            expression=EXPRESSION,
            code="value",
        )
    if resource_type in NEVER_CHANGES:
        raise Unprocessable(
            f"Nothing would ever be sent: a write of a {resource_type} is no change that the hub tells; search another "
            "type.",
            expression=EXPRESSION,
            code="not-supported",
        )
    with refusals.at(EXPRESSION):
        query = compile_query(criteria, resource_type, facts, source_base_url=source_base_url, value_sets=value_sets)
    refusals.raise_if_any()
    by_search = SearchKnowledge(facts, value_sets)
    filters = CompiledFilters({resource_type: query.clauses}, written=conditions_of(criteria), by_search=by_search)
    return _topic_of(resource_type, version, source_base_url), filters


def conditions_of(criteria: str) -> tuple[FilterBy, ...]:
    """The conditions of the search, as written. Raises Malformed, Unprocessable as ``parse_query`` does."""
    resource_type = _type_of(criteria)
    return tuple(
        FilterBy(each.parameter, each.value, resource_type, modifier=each.modifier)
        for each in parse_query(criteria, resource_type)
    )


def _type_of(criteria: str) -> str:
    return criteria.partition("?")[0].removeprefix("/")


@lru_cache(maxsize=4096)
def _topic_of(resource_type: str, version: FhirVersion, source_base_url: str) -> CompiledTopic:
    """Deletes do not fire (S-011). Its name is for reports only; no Subscription can refer to it."""
    trigger = ResourceTrigger(resource_type, frozenset({Interaction.CREATE, Interaction.UPDATE}))
    topic = SubscriptionTopic(f"classic criteria {resource_type}?", resource_triggers=(trigger,))
    return compile_topic(topic, version, source_base_url=source_base_url)
