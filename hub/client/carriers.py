"""What a receiver reads in a status: SubscriptionStatus, or the R4 Parameters that say the same (S-117)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]
_COUNT = "events-since-subscription-start"


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """One event as it is told; ``focus`` "" when the content is empty."""

    number: int
    timestamp: str
    focus: str


@dataclass(frozen=True, slots=True)
class ToldStatus:
    """One status carrier; ``errors`` are their texts."""

    subscription: str
    status: str
    count: int
    events: tuple[ToldEvent, ...] = ()
    errors: tuple[str, ...] = field(default=())


def statuses_in(bundle: Resource) -> list[ToldStatus]:
    """Every carrier of a Bundle, in its order."""
    resources = [entry.get("resource", {}) for entry in bundle.get("entry", ())]
    return [found for resource in resources if (found := read_status(resource)) is not None]


def read_status(resource: Resource) -> ToldStatus | None:
    """The carrier in ``resource``; None when it is none."""
    match resource.get("resourceType"):
        case "SubscriptionStatus":
            return _native(resource)
        case "Parameters":
            return _backport(resource)
        case _:
            return None


def parts_of(parameter: Resource) -> dict[str, Any]:
    """The parts of a parameter: name to value; of several with one name the last."""
    return {part["name"]: value_of(part) for part in parameter.get("part", ())}


def value_of(parameter: Resource) -> Any:
    """The one value[x], None without one."""
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _native(resource: Resource) -> ToldStatus:
    events = tuple(
        ToldEvent(int(each["eventNumber"]), each.get("timestamp", ""), _reference(each.get("focus")))
        for each in resource.get("notificationEvent", ())
    )
    return ToldStatus(
        _reference(resource.get("subscription")),
        resource.get("status", ""),
        int(resource.get("eventsSinceSubscriptionStart", 0)),
        events,
        tuple(_texts(resource.get("error", ()))),
    )


def _backport(resource: Resource) -> ToldStatus:
    parameters = resource.get("parameter", ())
    values = {each["name"]: value_of(each) for each in parameters}
    events = [parts_of(each) for each in parameters if each["name"] == "notification-event"]
    return ToldStatus(
        _reference(values.get("subscription")),
        values.get("status", ""),
        int(values.get(_COUNT, 0)),
        tuple(ToldEvent(int(e["event-number"]), e.get("timestamp", ""), _reference(e.get("focus"))) for e in events),
        tuple(_texts(value_of(each) for each in parameters if each["name"] == "error")),
    )


def _reference(written: Any) -> str:
    return str(written.get("reference", "")) if isinstance(written, Mapping) else ""


def _texts(errors: Iterable[Any]) -> Iterable[str]:
    for error in errors:
        codes = ", ".join(coding.get("code", "") for coding in error.get("coding", ()))
        yield error.get("text") or codes
