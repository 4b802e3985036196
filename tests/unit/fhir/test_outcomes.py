"""OperationOutcome."""

import pytest

from hub.errors import Issue
from hub.fhir.outcomes import operation_outcome


def test_issues_are_told_with_their_expression() -> None:
    issues = [Issue("value", "wrong", "Patient.id"), Issue("informational", "by the way", severity="information")]
    assert operation_outcome(issues) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "value", "diagnostics": "wrong", "expression": ["Patient.id"]},
            {"severity": "information", "code": "informational", "diagnostics": "by the way"},
        ],
    }


def test_an_outcome_without_issues_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one"):
        operation_outcome([])
