"""Reading an R4 notification as any receiver would, and telling it in one line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered event; ``focus`` is an absolute URL, ``resource`` None unless it travelled along."""

    number: int
    timestamp: str
    focus: str
    resource: Json | None

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return "/".join(self.focus.split("/")[-2:])


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification Bundle, or an answer of ``$status``, says. ``errors`` in words."""

    type: str
    status: str
    events_since_start: int
    events: tuple[Event, ...]
    errors: tuple[str, ...]


def read_notification(bundle: Json) -> Notification:
    """The first entry is the status, in R4 a Parameters (S-107). Raises KeyError, IndexError, ValueError otherwise."""
    status = bundle["entry"][0]["resource"]["parameter"]
    carried = {entry["fullUrl"]: entry.get("resource") for entry in bundle["entry"][1:]}
    return Notification(
        type=_one(status, "type")["valueCode"],
        status=_one(status, "status")["valueCode"],
        events_since_start=int(_one(status, "events-since-subscription-start")["valueString"]),
        events=tuple(_event(each["part"], carried) for each in _all(status, "notification-event")),
        errors=tuple(each["valueCodeableConcept"].get("text", "") for each in _all(status, "error")),
    )


def _event(parts: Iterable[Json], carried: dict[str, Json | None]) -> Event:
    parts = list(parts)
    focus = _one(parts, "focus")["valueReference"]["reference"]
    return Event(
        number=int(_one(parts, "event-number")["valueString"]),
        timestamp=_one(parts, "timestamp")["valueInstant"],
        focus=focus,
        resource=carried.get(focus),
    )


def _all(parameters: Iterable[Json], name: str) -> list[Json]:
    return [each for each in parameters if each["name"] == name]


def _one(parameters: Iterable[Json], name: str) -> Json:
    return _all(parameters, name)[0]


def narrate(event: Event) -> str:
    """``#4  Ada Berger: in-progress in Surgery (Encounter/encounter-5)``; what is not there is left out."""
    encounter = event.resource or {}
    who = encounter.get("subject", {}).get("display", "")
    places = [each["location"].get("display", "") for each in encounter.get("location", [])]
    state = " in ".join(part for part in (encounter.get("status", ""), places[-1] if places else "") if part)
    told = ": ".join(part for part in (who, state) if part)
    return f"#{event.number}  " + (f"{told} ({event.reference})" if told else event.reference)
