"""Every rule on one topic in one version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Unprocessable
from hub.fhir.definitions import Definitions, definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.matching.includes import compile_includes
from hub.matching.lint.canonicals import CANONICAL_RULES
from hub.matching.lint.criteria import CRITERIA_RULES
from hub.matching.lint.filters import FILTER_RULES
from hub.matching.lint.queries import QUERY_RULES
from hub.matching.lint.reach import REACH_RULES
from hub.matching.lint.shapes import SHAPE_RULES
from hub.matching.lint.subject import ERROR, HINT, WARNING, Subject, subject_of
from hub.matching.lint.suggestions import with_suggestions
from hub.matching.rev_includes import compile_rev_includes
from hub.matching.topics import CompiledTopic, compile_topic, too_costly

__all__ = ["ERROR", "HINT", "WARNING", "CheckedTopic", "check_topic"]

Rule = Callable[[Subject], Iterator[Issue]]
RULES: tuple[Rule, ...] = (
    *CANONICAL_RULES,
    *QUERY_RULES,
    *CRITERIA_RULES,
    *REACH_RULES,
    *FILTER_RULES,
    *SHAPE_RULES,
)
_ORDER = {ERROR: 0, WARNING: 1, HINT: 2}
MOST_ISSUES = 200
"""Enough to work on; a topic of five hundred wrong filters has an answer that can be read all the same."""


@dataclass(frozen=True, slots=True)
class CheckedTopic:
    """``compiled`` is None when the topic does not compile; ``issues`` are all that was found, errors first."""

    compiled: CompiledTopic | None
    issues: tuple[Issue, ...]

    @property
    def errors(self) -> tuple[Issue, ...]:
        return tuple(issue for issue in self.issues if issue.severity == ERROR)

    @property
    def notes(self) -> tuple[Issue, ...]:
        """Warnings and hints, which stop nothing."""
        return tuple(issue for issue in self.issues if issue.severity != ERROR)

    def accepted(self) -> CompiledTopic:
        """The compiled topic; raises Unprocessable with every error when there is any (HOUSE decision 9)."""
        if self.compiled is None or self.errors:
            raise Unprocessable(*self.errors)
        return self.compiled


def check_topic(
    topic: SubscriptionTopic,
    version: FhirVersion,
    *,
    source_base_url: str = "",
    facts: Definitions | None = None,
    value_sets: ValueSets = NO_VALUE_SETS,
) -> CheckedTopic:
    """What is to be said about ``topic`` in one version (HOUSE ruling 22); ``facts`` and ``value_sets`` as a hub has
    them beside the standard."""
    if costly := too_costly(topic):
        return CheckedTopic(None, costly)
    facts = facts or definitions(version)
    compiled: CompiledTopic | None = None
    found: list[Issue] = []
    try:
        compiled = compile_topic(topic, version, source_base_url=source_base_url, facts=facts, value_sets=value_sets)
        found += compiled.warnings
    except Unprocessable as refusal:
        found += (*refusal.issues, *compile_includes(topic, facts).warnings, *compile_rev_includes(topic, facts)[1])
    subject = subject_of(topic, facts, compiled, value_sets)
    found = with_suggestions(found, subject)
    found += [issue for rule in RULES for issue in rule(subject)]
    return CheckedTopic(compiled, _told(found))


def _told(found: Iterable[Issue]) -> tuple[Issue, ...]:
    """Each once, errors first, else in the order found."""
    ordered = sorted(dict.fromkeys(found), key=lambda issue: _ORDER.get(issue.severity, 0))
    return tuple(ordered[:MOST_ISSUES])
