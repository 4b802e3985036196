"""One decision, and the decisions that it rests on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from hub.fhirpath import FHIRPathEvaluationError

MOST_VALUES = 10
LONGEST_VALUE = 120


class Verdict(StrEnum):
    YES = "yes"
    NO = "no"
    LEFT_OUT = "left-out"
    """It was not asked: the criterion has no such side, or the state is not known."""
    FAILED = "failed"
    """It could not be evaluated, which counts as no (S-042)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject`` names the element (``resourceTrigger[0].queryCriteria.current``), ``text`` is as written there.

    ``values`` are what was looked at, as JSON, at most ten; ``reason`` says in words what the verdict alone does not.
    """

    subject: str
    text: str
    verdict: Verdict
    values: tuple[str, ...] = ()
    reason: str = ""
    parts: tuple[Finding, ...] = ()


def asked(subject: str, text: str, test: Callable[[], bool], **more: Any) -> Finding:
    """The finding of a test that the matching code makes; one that fails says why."""
    try:
        return Finding(subject, text, Verdict.YES if test() else Verdict.NO, **more)
    except FHIRPathEvaluationError as error:
        return Finding(subject, text, Verdict.FAILED, **{**more, "reason": str(error)})


def decisive(finding: Finding) -> Finding | None:
    """The first part that said no, as deep as it goes; None when ``finding`` says yes or was left out.

    Where alternatives all said no, the one that came furthest is named: the others fell at what it passed.
    """
    if finding.verdict in (Verdict.YES, Verdict.LEFT_OUT):
        return None
    refusing = [(part, found) for part in finding.parts if (found := decisive(part)) is not None]
    if not refusing:
        return finding
    _, found = max(refusing, key=lambda pair: _passed(pair[0]))
    return found


def shown(values: Iterable[Any]) -> tuple[str, ...]:
    """Values as short JSON."""
    listed = list(values)
    told = [_short(json.dumps(value, ensure_ascii=False, default=_plain)) for value in listed[:MOST_VALUES]]
    return (*told, f"… {len(listed) - MOST_VALUES} more") if len(listed) > MOST_VALUES else tuple(told)


def _passed(finding: Finding) -> int:
    """How many of its parts said yes before the first that did not; the first of equals is taken."""
    count = 0
    for part in finding.parts:
        if part.verdict is not Verdict.YES:
            break
        count += 1
    return count


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value) if value != value.to_integral_value() else int(value)
    return str(value)
