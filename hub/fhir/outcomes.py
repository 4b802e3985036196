"""OperationOutcome: what went wrong, in FHIR's words; alike in every version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.errors import Issue


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The OperationOutcome that tells ``issues`` (S-193); at least one is needed (issue is 1..*)."""
    written = [_issue(issue) for issue in issues]
    if not written:
        raise ValueError("an OperationOutcome has at least one issue")
    return {"resourceType": "OperationOutcome", "issue": written}


def _issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.expression:
        written["expression"] = [issue.expression]
    return written
