"""What a received notification says: its kind, and the number and focus of each event, in any flavour. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

EVENT = "event-notification"


def read(body: bytes) -> tuple[str, list[tuple[int, str]]]:
    """(type, [(event number, focus)]) of a notification Bundle.

    Raises ValueError, LookupError, TypeError or AttributeError for anything else.
    """
    status = json.loads(body)["entry"][0]["resource"]
    if status["resourceType"] == "Parameters":
        return _from_parameters(status["parameter"])
    events = [
        (int(event.get("eventNumber", 0)), str(event.get("focus", {}).get("reference", "")))
        for event in status.get("notificationEvent", ())
    ]
    return str(status["type"]), events


def _from_parameters(parameters: list[dict[str, Any]]) -> tuple[str, list[tuple[int, str]]]:
    kind = next(str(each["valueCode"]) for each in parameters if each["name"] == "type")
    return kind, list(_parts(parameters))


def _parts(parameters: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    for parameter in parameters:
        if parameter["name"] == "notification-event":
            parts = {part["name"]: part for part in parameter["part"]}
            number = int(parts.get("event-number", {}).get("valueString", 0))
            yield number, str(parts.get("focus", {}).get("valueReference", {}).get("reference", ""))
