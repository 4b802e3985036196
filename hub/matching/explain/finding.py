"""How a test of the matching code becomes a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from hub.domain.explanation import Finding, Verdict
from hub.fhir.json import write_json
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.search import Undecided

MOST_VALUES = 10
LONGEST_VALUE = 120


def asked(subject: str, text: str, test: Callable[[], bool], **more: Any) -> Finding:
    """The finding of a test that the matching code makes; one that fails says why."""
    try:
        return Finding(subject, text, Verdict.YES if test() else Verdict.NO, **more)
    except Undecided as doubt:
        return Finding(subject, text, Verdict.UNDECIDED, **{**more, "reason": str(doubt)})
    except FHIRPathEvaluationError as error:
        return Finding(subject, text, Verdict.FAILED, **{**more, "reason": str(error)})


def shown(values: Iterable[Any]) -> tuple[str, ...]:
    """Values as short JSON."""
    listed = list(values)
    told = [_short(write_json(_plain(value)).decode()) for value in listed[:MOST_VALUES]]
    return (*told, f"… {len(listed) - MOST_VALUES} more") if len(listed) > MOST_VALUES else tuple(told)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _plain(value: Any) -> Any:
    """What an expression made itself, such as a date of its own, is told as it prints."""
    return value if isinstance(value, dict | list | str | int | Decimal) else str(value)
