"""Answers of the operations by which deliveries are looked into and repaired: Parameters, alike in every version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hub.domain.delivery import Attempt
from hub.domain.subscription import Status
from hub.domain.transition import Pause, Transition
from hub.fhir.json import write_instant

Part = dict[str, Any]
GONE = "gone"
"""What a Subscription that was deleted came to; no status of the standard."""


def parameters(parts: Sequence[Part]) -> dict[str, Any]:
    """A Parameters resource; without any part it has no such element, as FHIR has no empty lists."""
    return {"resourceType": "Parameters", **({"parameter": list(parts)} if parts else {})}


def attempts_parameters(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Each as ``attempt``: at, duty, first-number and last-number, outcome, http-status, error, milliseconds."""
    return parameters([{"name": "attempt", "part": _attempt(each)} for each in attempts])


def _attempt(attempt: Attempt) -> list[Part]:
    parts: list[Part] = [
        {"name": "at", "valueInstant": write_instant(attempt.at)},
        {"name": "duty", "valueCode": attempt.duty.value},
    ]
    if attempt.numbers:
        parts.append({"name": "first-number", "valueString": str(attempt.numbers[0])})
        parts.append({"name": "last-number", "valueString": str(attempt.numbers[-1])})
    parts.append({"name": "outcome", "valueCode": attempt.outcome.value})
    if attempt.status:
        parts.append({"name": "http-status", "valueInteger": attempt.status})
    if attempt.error:
        parts.append({"name": "error", "valueCode": attempt.error})
    parts.append({"name": "milliseconds", "valueInteger": round(attempt.duration_seconds * 1000)})
    return parts


def dead_letter_part(number: int, change: str, status: int, reason: str, *, waiting: bool) -> Part:
    """One ``dead-letter``; ``waiting`` says that it is to be sent again."""
    parts: list[Part] = [
        {"name": "number", "valueString": str(number)},
        {"name": "change", "valueString": change},
    ]
    if status:
        parts.append({"name": "http-status", "valueInteger": status})
    if reason:
        parts.append({"name": "reason", "valueString": reason})
    parts.append({"name": "being-redriven", "valueBoolean": waiting})
    return {"name": "dead-letter", "part": parts}


def transitions_parameters(status: Status, pause: Pause, transitions: Sequence[Transition]) -> dict[str, Any]:
    """``status`` and ``paused`` now, then each ``transition``, oldest first: at, from, to, cause, by, text."""
    parts: list[Part] = [
        {"name": "status", "valueCode": status.value},
        {"name": "paused", "valueBoolean": bool(pause)},
    ]
    if pause:
        parts.append({"name": "reason", "valueString": pause.in_words})
    return parameters([*parts, *({"name": "transition", "part": _transition(each)} for each in transitions)])


def _transition(transition: Transition) -> list[Part]:
    parts: list[Part] = [{"name": "at", "valueInstant": write_instant(transition.at)}]
    if transition.before is not None:
        parts.append({"name": "from", "valueCode": transition.before.value})
    parts.append({"name": "to", "valueCode": transition.after.value if transition.after else GONE})
    parts.append({"name": "cause", "valueCode": transition.cause.value})
    if transition.by:
        parts.append({"name": "by", "valueString": transition.by})
    parts.append({"name": "text", "valueString": transition.in_words})
    return parts


def pause_parameters(pause: Pause, waiting: range, kept: str) -> dict[str, Any]:
    """``paused`` and its ``reason``, how many events are ``waiting``, the oldest, and until when they are ``kept``."""
    parts: list[Part] = [{"name": "paused", "valueBoolean": bool(pause)}]
    if pause:
        parts.append({"name": "reason", "valueString": pause.in_words})
    parts.append({"name": "waiting", "valueString": str(len(waiting))})
    if waiting:
        parts.append({"name": "oldest-waiting", "valueString": str(waiting[0])})
    return parameters([*parts, {"name": "kept", "valueString": kept}])


def stops_parameters(stops: Sequence[tuple[str, str, datetime]], concerned: int) -> dict[str, Any]:
    """How many Subscriptions were ``concerned``; then every ``stop`` there is: (topic or endpoint, its name, since)."""
    told: list[Part] = [{"name": "concerned", "valueInteger": concerned}]
    for kind, name, since in stops:
        parts = [{"name": kind, "valueString": name}, {"name": "since", "valueInstant": write_instant(since)}]
        told.append({"name": "stop", "part": parts})
    return parameters(told)
