"""What a hub says in an answer that is no success."""

from __future__ import annotations

import httpx


def diagnostics(answer: httpx.Response) -> str:
    """The issues of its OperationOutcome, each with its element."""
    try:
        return "; ".join(_one(issue) for issue in answer.json()["issue"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "no OperationOutcome"


def _one(issue: dict[str, object]) -> str:
    where = issue.get("expression")
    return f"{where[0]}: {issue['diagnostics']}" if isinstance(where, list) and where else str(issue["diagnostics"])
