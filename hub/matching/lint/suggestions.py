"""What was probably meant by a search parameter that does not exist in this version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hub.domain.topic import EVERY_TYPE
from hub.errors import Issue, Refused
from hub.fhir.definitions import Definitions
from hub.fhir.nearest import did_you_mean
from hub.matching.lint.subject import Subject
from hub.matching.search.syntax import parse_query

MOST_SUGGESTIONS = 20
"""Looking for a near name among hundreds costs a millisecond."""


def with_suggestions(issues: Iterable[Issue], subject: Subject) -> list[Issue]:
    """``issues``, those about unknown parameters followed by the nearest name that is known."""
    unknown = dict(_unknown(subject))
    told, left = [], MOST_SUGGESTIONS
    for issue in issues:
        if left and (found := unknown.get(issue.expression)):
            said = "".join(did_you_mean(name, _codes(type_, subject.facts)) for type_, name in found)
            issue, left = replace(issue, diagnostics=issue.diagnostics + said), left - 1
        told.append(issue)
    return told


def _unknown(subject: Subject) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """For the path of an element, each (type, name) in it of which the version knows nothing."""
    for each in subject.triggers:
        query, resource_type = each.trigger.query, each.trigger.resource
        if query is None or resource_type not in subject.facts.resource_types | EVERY_TYPE:
            continue
        for side, text in (("previous", query.previous), ("current", query.current)):
            names = _unknown_in(text, resource_type, subject.facts)
            yield f"{each.path}.queryCriteria.{side}", [(resource_type, name) for name in names]
    for position, entry in enumerate(subject.topic.can_filter_by):
        if entry.resource in subject.facts.resource_types and "." not in entry.parameter:
            yield f"SubscriptionTopic.canFilterBy[{position}]", [(entry.resource, entry.parameter)]


def _unknown_in(text: str | None, resource_type: str, facts: Definitions) -> list[str]:
    try:
        conditions = parse_query(text, resource_type) if text else ()
    except Refused:
        return []
    names = dict.fromkeys(condition.parameter for condition in conditions)
    return [name for name in names if "." not in name and facts.search_parameter(resource_type, name) is None]


def _codes(resource_type: str, facts: Definitions) -> Iterator[str]:
    return (parameter.code for parameter in facts.search_parameters(resource_type))
