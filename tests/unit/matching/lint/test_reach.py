"""What the lint says of reach, against what the engine does: every queryCriteria of a small world, on every change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product

import pytest

from hub.domain.change import Interaction, ResourceChange
from hub.domain.topic import QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.lint import check_topic
from hub.matching.triggers import ANNOUNCED, compile_trigger
from tests.unit.matching.builders import created, deleted, encounter, unreported, updated

DEAD = "status=a&status:not=a"
SIDES = (None, "status=a", DEAD)
RESULTS = (None, True, False)
STATES = (encounter("a"), encounter("b"), {"resourceType": "Encounter", "id": "1"})
FHIRPATHS = (None, "%previous.status = 'b'", "%previous.empty() and %current.status = 'a'", "%current.status = 'a'")
HERE = "SubscriptionTopic.resourceTrigger[0]"


def changes() -> Iterator[ResourceChange]:
    for state in STATES:
        yield created(state)
        yield deleted(state)
        yield updated({}, state, previous_known=False)
    for before, after in product(STATES, STATES):
        yield updated(before, after)


CHANGES = tuple(changes())
CHOICES = tuple(
    frozenset(chosen) for chosen in chain.from_iterable(combinations(sorted(ANNOUNCED), size) for size in (1, 2, 3))
)


def fired(trigger: ResourceTrigger) -> set[Interaction]:
    compiled = compile_trigger(trigger, FhirVersion.R4)
    return {change.interaction for change in CHANGES if compiled.fires(change, unreported)}


def said(trigger: ResourceTrigger) -> tuple[bool, set[str]]:
    """(can it never fire, the listed interactions that it is warned of)"""
    topic = SubscriptionTopic("http://ehr.example/a", "1", resource_triggers=(trigger,))
    issues = check_topic(topic, FhirVersion.R4).issues
    never = any(issue.expression == HERE and "can never fire" in issue.diagnostics for issue in issues)
    warned = {issue.diagnostics.split()[0] for issue in issues if issue.expression == f"{HERE}.supportedInteraction"}
    return never, warned


def holds(trigger: ResourceTrigger) -> None:
    never, warned = said(trigger)
    reached = fired(trigger)
    assert never is (not reached), trigger
    if reached and not trigger.interactions >= ANNOUNCED:
        assert warned == {one.value for one in trigger.interactions - reached}, trigger
    else:
        assert warned == set()


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("interactions", CHOICES, ids=lambda chosen: "+".join(sorted(chosen)))
def test_a_trigger_is_said_to_be_unreachable_exactly_when_no_change_fires_it(
    interactions: frozenset[Interaction], both: bool
) -> None:
    """S-033…S-036."""
    for previous, current, on_create, on_delete in product(SIDES, SIDES, RESULTS, RESULTS):
        query = QueryCriteria(previous, current, on_create, on_delete, both)
        holds(ResourceTrigger("Encounter", interactions, query))


@pytest.mark.parametrize("fhirpath", FHIRPATHS)
@pytest.mark.parametrize("interactions", CHOICES, ids=lambda chosen: "+".join(sorted(chosen)))
def test_the_same_is_so_of_fhirpath_and_of_both_forms_together(
    interactions: frozenset[Interaction], fhirpath: str | None
) -> None:
    """S-039…S-041."""
    for query in (None, QueryCriteria(current="status=a"), QueryCriteria(previous=DEAD), QueryCriteria(current=DEAD)):
        holds(ResourceTrigger("Encounter", interactions, query, fhirpath))
