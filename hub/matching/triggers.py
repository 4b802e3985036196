"""Does this trigger fire for this change? (S-024…S-042)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from hub.domain.change import EventCode, Interaction, Resource, ResourceChange
from hub.domain.topic import EVERY_TYPE, EventTrigger, QueryCriteria, ResourceTrigger
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import Definitions, definitions
from hub.fhir.nearest import did_you_mean
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.fhirpath import Expression, FHIRPathEvaluationError, compile_expression
from hub.matching.report import Fault, Refusals, Report
from hub.matching.search import Query, Surroundings, Undecided, compile_query

ANNOUNCED = frozenset({Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE})
"""A load is never an event (HOUSE ruling 34)."""


@dataclass(frozen=True, slots=True)
class CompiledQueryCriteria:
    """The truth table of S-034. A side that cannot be tested is left out: an absent result (S-035), an absent string
    (S-036), a previous state that nobody knows (HOUSE ruling 13). When no side is left, the criteria do not hold.
    """

    previous: Query | None
    current: Query | None
    result_for_create: bool | None
    result_for_delete: bool | None
    require_both: bool

    def hold(self, change: ResourceChange) -> bool:
        """Raises Undecided when a side that would settle it is undecided (ruling 23)."""
        sides, doubt = [], None
        for look in (self.previous_side, self.current_side):
            try:
                sides.append(look(change))
            except Undecided as problem:
                doubt = problem
        known = [side for side in sides if side is not None]
        if doubt and (not self.require_both) not in known:
            raise doubt
        return bool(known) and (all(known) if self.require_both else any(known))

    def previous_side(self, change: ResourceChange) -> bool | None:
        """Does the state before hold? None when this side is left out."""
        if change.interaction is Interaction.CREATE:
            return self.result_for_create
        if self.previous is None or change.previous is None or not change.previous_known:
            return None
        return self.previous.matches(change.previous, Surroundings.of(change))

    def current_side(self, change: ResourceChange) -> bool | None:
        """Does the state after hold? None when this side is left out."""
        if change.interaction is Interaction.DELETE:
            return self.result_for_delete
        if self.current is None or change.current is None:
            return None
        return self.current.matches(change.current, Surroundings.of(change))

    @property
    def text(self) -> str:
        return " -> ".join(query.text if query else "…" for query in (self.previous, self.current))


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    """One resourceTrigger for one FHIR version; ``topic`` is the canonical, for reports."""

    topic: str
    resource: str
    interactions: frozenset[Interaction]
    query: CompiledQueryCriteria | None
    fhirpath: Expression | None

    def concerns(self, change: ResourceChange) -> bool:
        """Is the change one of this type and interaction? Criteria are looked at for no other (S-028)."""
        return change.interaction in self.interactions and (
            self.resource in EVERY_TYPE or self.resource == change.key.type
        )

    def fires(self, change: ResourceChange, report: Report) -> bool:
        """Either criterion is enough (S-041); without any, every listed interaction fires (S-029).

        A criterion that fails to evaluate counts as not matched and is told to ``report`` (S-042).
        """
        if not self.concerns(change):
            return False
        query, fhirpath = self.query, self.fhirpath
        if query is None and fhirpath is None:
            return True
        if query is not None and self._told(query.text, lambda: query.hold(change), report):
            return True
        return fhirpath is not None and self._told(fhirpath.text, lambda: is_true(fhirpath, change), report)

    def _told(self, criterion: str, test: Callable[[], bool], report: Report) -> bool:
        try:
            return test()
        except FHIRPathEvaluationError as error:
            report(Fault(self.topic, criterion, str(error)))
            return False


@dataclass(frozen=True, slots=True)
class CompiledEventTrigger:
    """One eventTrigger: fires when something happened elsewhere that has one of its codes (S-043, S-044)."""

    resource: str
    codes: frozenset[EventCode]
    interactions: frozenset[Interaction] = frozenset({Interaction.EVENT})

    def fires(self, change: ResourceChange) -> bool:
        """Codings are equal when system and code are; what has no system equals only what has none."""
        if change.interaction is not Interaction.EVENT or self.resource not in {change.key.type, *EVERY_TYPE}:
            return False
        return not self.codes.isdisjoint(change.occasion.codes)


def compile_event_trigger(trigger: EventTrigger, version: FhirVersion, path: str) -> CompiledEventTrigger:
    """Make an eventTrigger ready. Raises Unprocessable for a type that ``version`` does not have."""
    refusals = Refusals()
    with refusals.at(f"{path}.resource"):
        _check_type(trigger.resource, definitions(version))
    refusals.raise_if_any()
    return CompiledEventTrigger(trigger.resource, frozenset(trigger.codes))


def compile_trigger(
    trigger: ResourceTrigger,
    version: FhirVersion,
    *,
    source_base_url: str = "",
    topic: str = "",
    path: str = "SubscriptionTopic.resourceTrigger[0]",
    facts: Definitions | None = None,
    value_sets: ValueSets = NO_VALUE_SETS,
) -> CompiledTrigger:
    """Make a trigger ready; ``path`` is where it stands. ``facts`` may know more than the standard does.

    Raises Unprocessable with an issue for every element that cannot be decided exactly in this version.
    """
    refusals, facts = Refusals(), facts or definitions(version)
    with refusals.at(f"{path}.resource"):
        _check_type(trigger.resource, facts)
    refusals.raise_if_any()
    query = _compile_criteria(trigger.query, trigger.resource, facts, source_base_url, path, refusals, value_sets)
    fhirpath = None
    with refusals.at(f"{path}.fhirPathCriteria"):
        if trigger.fhirpath is not None:
            fhirpath = compile_expression(
                trigger.fhirpath, facts, root_type=trigger.resource, now_allowed=True, value_sets=value_sets
            )
    refusals.raise_if_any()
    return CompiledTrigger(topic, trigger.resource, trigger.interactions & ANNOUNCED, query, fhirpath)


def _check_type(resource: str, facts: Definitions) -> None:
    if resource not in facts.resource_types | EVERY_TYPE:
        raise Unprocessable(
            f"'{resource}' is no resource type of FHIR {facts.version.number}; write the name of one, or Resource."
            + did_you_mean(resource, facts.resource_types),
            code="not-supported",
        )


def _compile_criteria(
    criteria: QueryCriteria | None,
    resource_type: str,
    facts: Definitions,
    source_base_url: str,
    path: str,
    refusals: Refusals,
    value_sets: ValueSets,
) -> CompiledQueryCriteria | None:
    """None when there is no string to test: then it is as if the criteria were not there (S-036)."""
    if criteria is None or (criteria.previous is None and criteria.current is None):
        return None
    sides: dict[str, Query | None] = {"previous": None, "current": None}
    for side, text in (("previous", criteria.previous), ("current", criteria.current)):
        with refusals.at(f"{path}.queryCriteria.{side}"):
            if text is not None:
                sides[side] = compile_query(
                    text, resource_type, facts, source_base_url=source_base_url, value_sets=value_sets
                )
    return CompiledQueryCriteria(
        sides["previous"],
        sides["current"],
        criteria.result_for_create,
        criteria.result_for_delete,
        criteria.require_both,
    )


class Variables(TypedDict):
    """What an expression may look at besides the focus."""

    previous: Resource | None
    current: Resource | None
    now: datetime | None


def variables_of(expression: Expression, change: ResourceChange) -> Variables:
    """``%previous`` is empty on create and when unknown, ``%current`` on delete (S-039); paths start at the focus.

    now() is when the change was accepted, so that a change is judged the same way whenever it is judged.
    """
    return Variables(
        previous=None if change.interaction is Interaction.CREATE or not change.previous_known else change.previous,
        current=None if change.interaction is Interaction.DELETE else change.current,
        now=change.id.instant if expression.needs_now else None,
    )


def is_true(expression: Expression, change: ResourceChange) -> bool:
    """Does a fhirPathCriteria hold (S-039, S-040)?"""
    return expression.is_true(change.focus, **variables_of(expression, change))
