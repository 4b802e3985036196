"""Triggers and interactions that never fire, triggers that add nothing, and queries that contradict themselves."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.unit.matching.lint.builders import query, texts, told, told_of_trigger, triggers

HERE = "resourceTrigger[0]"
SIDE = f"{HERE}.queryCriteria"
BEFORE = {"fhirPathCriteria": "%previous.status != 'finished' and %current.status = 'finished'"}
Case = dict[str, Any]


def on(*interactions: str, **rest: Any) -> Case:
    return {"supportedInteraction": list(interactions), **rest}


UNREACHABLE: list[Case] = [
    on("create", **query(current=None, resultForCreate=None, requireBoth=None)),
    on("create", **query(current=None, resultForCreate="test-fails", requireBoth=None)),
    on("create", **query(resultForCreate="test-fails")),
    on("delete", **query(previous=None, resultForDelete=None, requireBoth=None)),
    on("delete", **query(resultForDelete="test-fails")),
    on("create", **BEFORE),
    on("delete", fhirPathCriteria="%current.status = 'finished'"),
    on("create", "delete", **BEFORE),
    {"fhirPathCriteria": "false"},
]


@pytest.mark.parametrize("trigger", UNREACHABLE)
def test_a_trigger_that_can_never_fire_is_an_error(trigger: Case) -> None:
    assert ("error", HERE) in told_of_trigger(trigger)


REACHABLE: list[Case] = [
    {},
    on("create"),
    on("create", **query()),
    on("create", **query(resultForCreate=None)),
    on("create", **query(previous=None, resultForCreate=None, requireBoth=None)),
    on("create", **query(current=None, requireBoth=None)),
    on("delete", **query(resultForDelete="test-passes")),
    on("delete", **query(current=None, resultForDelete=None, requireBoth=None)),
    on("update", **BEFORE),
    on("create", fhirPathCriteria="%previous.empty() or %previous.status != 'finished'"),
    on("create", **BEFORE, **query()),
]


@pytest.mark.parametrize("trigger", REACHABLE)
def test_a_trigger_that_can_fire_is_no_error(trigger: Case) -> None:
    assert [level for level, _ in told_of_trigger(trigger) if level == "error"] == []


@pytest.mark.parametrize(
    "trigger",
    [
        on("create", "update", **BEFORE),
        on("update", "delete", fhirPathCriteria="%current.status = 'finished'"),
        on("update", "delete", **query()),
        on("create", "update", **query(resultForCreate="test-fails")),
    ],
)
def test_a_listed_interaction_that_never_fires_is_a_warning(trigger: Case) -> None:
    """S-276: ``{} != 'x'`` is not true."""
    assert told_of_trigger(trigger) == [("warning", f"{HERE}.supportedInteraction")]


@pytest.mark.parametrize(
    "trigger",
    [
        BEFORE,  # none is listed: the author did not promise all of them
        query(),
        on("update", **BEFORE),
        on("create", "update", **BEFORE, **query()),  # the query form fires on create (S-041)
        on("create", "update", fhirPathCriteria=f"%previous.empty() or ({BEFORE['fhirPathCriteria']})"),
    ],
)
def test_interactions_that_fire_or_are_not_listed_are_fine(trigger: Case) -> None:
    assert told_of_trigger(trigger) == []


DEAD = ["status=finished&status:not=finished", "status:missing=true&status=finished", "status=a,b&status=c",
        "status:missing=true&status:missing=false", "status=a&status:not=b,a"]  # fmt: skip


@pytest.mark.parametrize("side", DEAD)
def test_a_side_that_no_resource_matches_is_an_error_where_both_are_required(side: str) -> None:
    found = told_of_trigger(query(current=side))
    assert found[:1] == [("error", f"{SIDE}.current")] and ("error", HERE) in found
    before = told_of_trigger(on("update", **query(previous=side)))
    assert before == [("error", f"{SIDE}.previous")], "it may fire while nobody knows what was before (ruling 13)"


@pytest.mark.parametrize("side", DEAD)
def test_a_side_that_no_resource_matches_is_a_warning_where_the_other_is_enough(side: str) -> None:
    both = query(previous="status=planned", current=side, requireBoth=None, resultForCreate=None, resultForDelete=None)
    assert ("warning", f"{SIDE}.current") in told_of_trigger(both)
    assert ("error", HERE) not in told_of_trigger(both)


@pytest.mark.parametrize(
    "side",
    [
        "status=finished&status:not=planned",
        "status=a,b&status=b,c",
        "status=a,b&status:not=b",
        "class=IMP&class=EMER",  # no code, and two codings can be there in R5
        "type=a&type=b",  # repeats
        "status:missing=false&status=finished",
        "status=http://hl7.org/fhir/encounter-status|&status=finished",
        "status=http://hl7.org/fhir/encounter-status|finished&status=finished",
        "status=finished&class:missing=true",
        "date=ge2020&date=lt2021",
    ],
)
@pytest.mark.parametrize("version", FhirVersion)
def test_a_side_that_some_resource_may_match_is_fine(side: str, version: FhirVersion) -> None:
    assert told_of_trigger(query(current=side), version=version) == []


def test_a_query_of_many_conditions_is_judged_by_the_first_of_them() -> None:
    """Each is held against each, so there is an end to it."""
    same = "&".join(["status=finished"] * 1000)
    assert told_of_trigger(query(current=same)) == []
    assert told_of_trigger(query(current=f"{same}&status=planned")) == []
    assert told_of_trigger(query(current=f"status=planned&{same}")) != []


def test_two_sides_that_are_not_both_required_are_a_hint() -> None:
    """S-034."""
    results = {"resultForCreate": None, "resultForDelete": None}
    assert told_of_trigger(query(requireBoth=None, **results)) == [("information", SIDE)]
    assert told_of_trigger(query(requireBoth=False, **results)) == [("information", SIDE)]
    assert told_of_trigger(query(**results)) == []


def test_a_result_that_passes_where_one_side_is_enough_fires_on_everything_and_is_a_warning() -> None:
    """S-034: "always true"."""
    one_side = {"previous": None, "requireBoth": None, "resultForDelete": None}
    assert told_of_trigger(query(**one_side)) == [("warning", f"{SIDE}.resultForCreate")]
    assert told_of_trigger(on("update", **query(**one_side))) == []
    assert told_of_trigger(query(**one_side | {"resultForCreate": "test-fails"})) == []
    last = {"current": None, "requireBoth": None, "resultForCreate": None, "resultForDelete": "test-passes"}
    assert told_of_trigger(query(**last)) == [("warning", f"{SIDE}.resultForDelete")]


def test_the_same_on_both_sides_of_an_update_is_a_hint() -> None:
    same = query(previous="status=finished")
    assert told_of_trigger(on("update", **same)) == [("information", SIDE)]
    assert told_of_trigger(on("update", **query())) == []


def test_the_same_on_both_sides_of_every_interaction_means_resources_of_that_kind() -> None:
    every = query(previous="code=a", current="code=a", resultForDelete="test-passes")
    assert told_of_trigger(every | {"resource": "Basic"}) == []


def test_criteria_that_test_nothing_are_a_warning() -> None:
    """S-036: it is as if they were not there, so everything fires."""
    assert told_of_trigger(query(previous=None, current=None)) == [("warning", SIDE)]


def test_a_trigger_that_another_swallows_is_a_warning_at_the_swallowed_one() -> None:
    """S-024: triggers are alternatives."""
    narrow = on("update", **query())
    duplicate = ("warning", "resourceTrigger[1]")
    assert told_of_trigger({}, narrow) == [duplicate]
    assert told_of_trigger(narrow, {}) == [("warning", HERE)]
    assert told_of_trigger(narrow, narrow) == [duplicate]
    assert told_of_trigger(narrow, narrow, narrow) == [duplicate, ("warning", "resourceTrigger[2]")]
    assert told_of_trigger({"resource": "Resource"}, narrow) == [duplicate]
    assert told_of_trigger(query(), narrow) == [duplicate]
    assert "resourceTrigger[0] fires on all" in texts(resourceTrigger=triggers({}, narrow))


@pytest.mark.parametrize(
    "other",
    [
        on("create"),
        {"resource": "Patient"},
        query(current="status=cancelled"),
        on("update", fhirPathCriteria="%current.status = 'cancelled'"),
    ],
)
def test_triggers_that_each_add_something_are_fine(other: Case) -> None:
    assert told_of_trigger(on("update", **query()), other) == []


def event(*codes: str, resource: str = "Encounter") -> Case:
    coding = [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": code} for code in codes]
    return {"resource": resource, "event": {"coding": coding} if coding else {"text": "something"}}


def test_an_event_trigger_that_another_swallows_is_a_warning() -> None:
    assert told(eventTrigger=[event("A01", "A04"), event("A01")]) == [("warning", "eventTrigger[1]")]
    assert told(eventTrigger=[event("A01"), event("A01")]) == [("warning", "eventTrigger[1]")]
    assert told(eventTrigger=[event("A01"), event("A02"), event("A01", resource="Patient")]) == []
    assert told(eventTrigger=[event("A01"), event("A01", "A02")]) == []


def test_an_event_without_coding_is_a_warning() -> None:
    assert told(eventTrigger=[event()]) == [("warning", "eventTrigger[0].event")]


def test_unknown_parameters_are_an_error_with_the_nearest_name() -> None:
    assert told_of_trigger(query(current="statsu=finished")) == [("error", f"{SIDE}.current")]
    said = texts(resourceTrigger=triggers(query(current="statsu=finished", previous="clas=IMP")))
    assert "no search parameter 'statsu' in FHIR 4.0.1" in said
    assert "Did you mean 'status'?" in said and "Did you mean 'class'?" in said


def test_a_parameter_of_another_version_is_an_error_in_this_one_only() -> None:
    """``end-date`` of Encounter came with R5."""
    trigger = query(previous=None, current="end-date=ge2020", requireBoth=None, resultForCreate=None)
    assert told_of_trigger(trigger, version=FhirVersion.R5) == []
    assert told_of_trigger(trigger, version=FhirVersion.R4) == [("error", f"{SIDE}.current")]


def test_unknown_types_are_an_error_with_the_nearest_name() -> None:
    assert told_of_trigger({"resource": "Encouter"}) == [("error", f"{HERE}.resource")]
    assert "Did you mean 'Encounter'?" in texts(resourceTrigger=[{"resource": "Encouter"}])
