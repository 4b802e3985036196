"""When a trigger fires (S-024…S-042, HOUSE ruling 13)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.domain.change import ChangeId, Interaction, ResourceChange
from hub.domain.topic import QueryCriteria, ResourceTrigger
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.matching.triggers import CompiledTrigger, compile_trigger
from tests.unit.matching.builders import Faults, change, created, deleted, encounter, unreported, updated

PREVIOUS, CURRENT = "status=in-progress", "status=finished"
PASSES, FAILS, ABSENT = True, False, None


def trigger(version: FhirVersion = FhirVersion.R4, resource: str = "Encounter", **elements: Any) -> CompiledTrigger:
    return compile_trigger(ResourceTrigger(resource, **elements), version)


def fires(compiled: CompiledTrigger, announced: ResourceChange) -> bool:
    return compiled.fires(announced, unreported)


def state(matches_previous: bool = False, matches_current: bool = False) -> dict[str, Any]:
    """An Encounter for which exactly the wanted one of the two criteria holds."""
    assert not (matches_previous and matches_current)
    return encounter("in-progress" if matches_previous else "finished" if matches_current else "planned")


# S-034, row by row: (resultForCreate, requireBoth) -> whether it fires when C(current) is false, when it is true.
CREATE_ROWS = [
    (PASSES, True, False, True),
    (PASSES, False, True, True),
    (FAILS, True, False, False),
    (FAILS, False, False, True),
    (ABSENT, True, False, True),
    (ABSENT, False, False, True),
]
DELETE_ROWS = [
    (PASSES, True, False, True),
    (PASSES, False, True, True),
    (FAILS, True, False, False),
    (FAILS, False, False, True),
    (ABSENT, True, False, True),
    (ABSENT, False, False, True),
]
# requireBoth, P(previous), C(current) -> fires
UPDATE_ROWS = [
    (True, False, False, False),
    (True, False, True, False),
    (True, True, False, False),
    (True, True, True, True),
    (False, False, False, False),
    (False, False, True, True),
    (False, True, False, True),
    (False, True, True, True),
]


@pytest.mark.parametrize(("result", "both", "when_false", "when_true"), CREATE_ROWS)
def test_truth_table_of_create(result: bool | None, both: bool, when_false: bool, when_true: bool) -> None:
    compiled = trigger(query=QueryCriteria(PREVIOUS, CURRENT, result_for_create=result, require_both=both))
    assert fires(compiled, created(state())) is when_false
    assert fires(compiled, created(state(matches_current=True))) is when_true


@pytest.mark.parametrize(("both", "previous", "current", "expected"), UPDATE_ROWS)
def test_truth_table_of_update(both: bool, previous: bool, current: bool, expected: bool) -> None:
    compiled = trigger(query=QueryCriteria(PREVIOUS, CURRENT, require_both=both))
    assert fires(compiled, updated(state(matches_previous=previous), state(matches_current=current))) is expected


@pytest.mark.parametrize(("result", "both", "when_false", "when_true"), DELETE_ROWS)
def test_truth_table_of_delete(result: bool | None, both: bool, when_false: bool, when_true: bool) -> None:
    compiled = trigger(query=QueryCriteria(PREVIOUS, CURRENT, result_for_delete=result, require_both=both))
    assert fires(compiled, deleted(state())) is when_false
    assert fires(compiled, deleted(state(matches_previous=True))) is when_true


@pytest.mark.parametrize("both", [True, False])
def test_an_absent_string_is_left_out(both: bool) -> None:
    only_current = trigger(query=QueryCriteria(current=CURRENT, require_both=both))
    assert fires(only_current, updated(state(), state(matches_current=True)))
    assert not fires(only_current, updated(state(), state()))
    only_previous = trigger(query=QueryCriteria(previous=PREVIOUS, require_both=both))
    assert fires(only_previous, updated(state(matches_previous=True), state()))
    assert not fires(only_previous, updated(state(), state()))


def test_criteria_without_any_string_are_as_if_they_were_not_there() -> None:
    assert fires(trigger(query=QueryCriteria(require_both=True)), updated(state(), state()))


@pytest.mark.parametrize("both", [True, False])
def test_when_no_side_can_be_tested_nothing_fires(both: bool) -> None:
    compiled = trigger(query=QueryCriteria(previous=PREVIOUS, require_both=both))
    assert not fires(compiled, created(state()))


@pytest.mark.parametrize("both", [True, False])
def test_an_unknown_previous_state_is_left_out(both: bool) -> None:
    compiled = trigger(query=QueryCriteria(PREVIOUS, CURRENT, require_both=both))
    unknown: dict[str, Any] = {"previous_known": False}
    assert fires(compiled, change(Interaction.UPDATE, state(matches_current=True), **unknown))
    assert not fires(compiled, change(Interaction.UPDATE, state(), **unknown))


@pytest.mark.parametrize(("accepted", "expected"), [("2026-01-09T23:59:59", False), ("2026-01-10T00:00:01", True)])
def test_now_is_when_the_change_was_accepted(accepted: str, expected: bool) -> None:
    """So that a change is judged the same way whenever it is judged."""
    compiled = trigger(fhirpath="%current.period.start + 7 days < now()")
    started = encounter(period={"start": "2026-01-03T00:00:00Z"})
    moment = datetime.fromisoformat(accepted).replace(tzinfo=UTC)
    announced = replace(created(started), id=ChangeId(int(moment.timestamp() * 1000), 0))
    assert fires(compiled, announced) is expected


def test_previous_is_empty_in_fhirpath_when_it_is_unknown() -> None:
    compiled = trigger(fhirpath="%previous.empty() and %current.status = 'planned'")
    assert fires(compiled, change(Interaction.UPDATE, state(), previous_known=False))
    assert not fires(compiled, updated(state(), state()))


@pytest.mark.parametrize("announced", [created(state()), updated(state(), state()), deleted(state())])
def test_without_criteria_every_listed_interaction_fires(announced: ResourceChange) -> None:
    assert fires(trigger(), announced)
    assert not fires(trigger(interactions=frozenset()), announced)


def test_interactions_and_types_that_are_not_listed_never_fire() -> None:
    only_create = trigger(interactions=frozenset({Interaction.CREATE}))
    assert fires(only_create, created(state()))
    assert not fires(only_create, updated(state(), state()))
    assert not fires(only_create, created({"resourceType": "Patient", "id": "1"}))


def test_a_load_never_fires() -> None:
    compiled = trigger(interactions=frozenset(Interaction))
    assert not fires(compiled, change(Interaction.LOAD, state()))


@pytest.mark.parametrize("name", ["Resource", "DomainResource"])
def test_an_abstract_type_stands_for_every_type(name: str) -> None:
    compiled = trigger(resource=name, query=QueryCriteria(current="_tag=x"))
    assert fires(compiled, created({"resourceType": "Patient", "meta": {"tag": [{"code": "x"}]}}))
    assert not fires(compiled, created(encounter()))


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        (created(encounter("finished")), True),
        (created(encounter("planned")), False),
        (updated(encounter("planned"), encounter("finished")), True),
        (updated(encounter("finished"), encounter("finished")), False),
        (deleted(encounter("finished")), False),
    ],
)
def test_fhirpath_of_the_backport_guide(announced: ResourceChange, expected: bool) -> None:
    """S-276, verified with another engine."""
    text = "(%previous.id.empty() or (%previous.status != 'finished')) and (%current.status = 'finished')"
    assert fires(trigger(fhirpath=text), announced) is expected


def test_comparing_previous_with_current_is_empty_and_thus_silent_on_create_and_delete() -> None:
    compiled = trigger(fhirpath="%previous.status != %current.status")
    assert fires(compiled, updated(encounter("planned"), encounter("finished")))
    assert not fires(compiled, created(encounter()))
    assert not fires(compiled, deleted(encounter()))


def test_paths_without_a_variable_start_at_the_new_state_and_on_delete_at_the_last() -> None:
    compiled = trigger(fhirpath="status = 'finished'")
    assert fires(compiled, updated(encounter("planned"), encounter("finished")))
    assert fires(compiled, deleted(encounter("finished")))


def test_either_criterion_is_enough() -> None:
    compiled = trigger(query=QueryCriteria(current=CURRENT), fhirpath="%current.status = 'planned'")
    assert fires(compiled, created(encounter("finished")))
    assert fires(compiled, created(encounter("planned")))
    assert not fires(compiled, created(encounter("in-progress")))


def test_a_failing_expression_counts_as_not_matched_and_is_reported() -> None:
    """S-042: the example topic of R5 joins two truths with ``|``."""
    compiled = trigger(
        fhirpath="(%previous.empty() | (%previous.status != 'finished')) and %current.status = 'finished'"
    )
    faults = Faults()
    assert compiled.fires(updated(encounter("planned"), encounter("finished")), faults) is False
    assert len(faults) == 1
    assert "%previous.empty()" in faults[0].criterion
    assert faults[0].reason


@pytest.mark.parametrize(
    ("elements", "where"),
    [
        ({"resource": "Encounters"}, "resource"),
        ({"resource": "https://profiles.example/Encounter"}, "resource"),
        ({"query": QueryCriteria(previous="nonsense=1")}, "queryCriteria.previous"),
        ({"query": QueryCriteria(current="patient.organization.name=x")}, "queryCriteria.current"),
        ({"query": QueryCriteria(current="status:in=vs")}, "queryCriteria.current"),
        ({"query": QueryCriteria(current="status=a&&")}, "queryCriteria.current"),
        ({"query": QueryCriteria(current="_text=x")}, "queryCriteria.current"),
        ({"resource": "Resource", "query": QueryCriteria(current="status=x")}, "queryCriteria.current"),
        ({"fhirpath": "%current.status ="}, "fhirPathCriteria"),
    ],
)
def test_what_cannot_be_decided_is_refused_where_it_stands(elements: dict[str, Any], where: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        compile_trigger(ResourceTrigger(**{"resource": "Encounter", **elements}), FhirVersion.R4)
    assert [issue.expression for issue in refused.value.issues] == [f"SubscriptionTopic.resourceTrigger[0].{where}"]
