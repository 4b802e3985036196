"""FHIRPath criteria that are no test, and ``|`` in the place of ``or``."""

from __future__ import annotations

import pytest

from hub.domain.versions import FhirVersion
from tests.unit.matching.lint.builders import query, texts, told, told_of_trigger, triggers

HERE = "resourceTrigger[0].fhirPathCriteria"


def said_of(criteria: str, version: FhirVersion = FhirVersion.R4) -> list[tuple[str, str]]:
    return [each for each in told_of_trigger({"fhirPathCriteria": criteria}, version=version) if each[1] == HERE]


@pytest.mark.parametrize(
    "criteria",
    [
        "%current.status",
        "status",
        "%current.period",
        "'finished'",
        "1",
        "%current.count()",
        "%previous",
        "period.start",
    ],
)
def test_criteria_that_give_something_else_than_true_or_false_are_an_error(criteria: str) -> None:
    """S-039."""
    assert said_of(criteria) == [("error", HERE)]


@pytest.mark.parametrize(
    "criteria",
    [
        "%current.status = 'finished'",
        "%current.period.exists()",
        "%previous.status.empty() or status in ('a' | 'b')",
        "%current.location.where(status = 'active').exists().not()",
        "status.exists() and period is Period",
        "%current.extension('http://ehr.example/urgent').value",
    ],
)
def test_criteria_that_are_or_may_be_true_or_false_are_fine(criteria: str) -> None:
    assert said_of(criteria) == []


def test_an_element_that_is_a_boolean_is_a_criterion() -> None:
    patient = [{"resource": "Patient", "fhirPathCriteria": "%current.active"}]
    assert told(resourceTrigger=patient) == []


UNIONS = [
    "(%previous.empty() | (%previous.status != 'finished')) and (%current.status = 'finished')",
    "%current.status = 'finished' | %current.status = 'cancelled'",
    "%previous.status != 'finished' | %current.status = 'finished'",
    "%previous.exists() | %current.exists()",
    "%current.location.where((status = 'active') | (status = 'planned')).exists()",
]


@pytest.mark.parametrize("criteria", UNIONS)
def test_a_union_of_tests_is_an_error_alone_and_a_warning_beside_a_query_form(criteria: str) -> None:
    """S-042: it is no ``or``."""
    assert said_of(criteria) == [("error", HERE)]
    assert told_of_trigger({"fhirPathCriteria": criteria, **query()}) == [("warning", HERE)]
    assert "Write or" in texts(resourceTrigger=triggers({"fhirPathCriteria": criteria}))


@pytest.mark.parametrize("criteria", [each.replace("|", "or") for each in UNIONS])
def test_the_same_tests_joined_by_or_are_fine(criteria: str) -> None:
    assert said_of(criteria) == []


@pytest.mark.parametrize(
    "criteria",
    [
        "%current.status in ('finished' | 'cancelled')",
        "(%current.participant.individual | %current.subject).reference.exists()",
        "(true | false).exists()",
        "(%current.status | %previous.status).count() = 2",
    ],
)
def test_a_union_of_values_is_fine(criteria: str) -> None:
    assert said_of(criteria) == []


def test_criteria_that_are_no_fhirpath_are_told_once() -> None:
    assert told_of_trigger({"fhirPathCriteria": "status ="}) == [("error", HERE)]
    assert told_of_trigger({"fhirPathCriteria": "statsu = 'x'"}) == [("error", HERE)]
    assert "Did you mean status?" in texts(resourceTrigger=triggers({"fhirPathCriteria": "statsu = 'x'"}))
