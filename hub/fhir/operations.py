"""Inputs of the operations on Subscription: from a query string, or from a Parameters resource (S-183…S-189).

The published definitions and their users do not agree on types (S-185), so a value is taken from any of the value[x]
that can hold it exactly. Anything that is not an input of the operation is refused rather than overlooked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.domain.subscription import Content, Status
from hub.errors import Malformed
from hub.fhir.json import write_instant
from hub.fhir.reading import Json, children, require_resource_type

MAX_NUMBER = 2**63 - 1  # integer64
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_OF_THE_ANSWER = frozenset({"_format", "_pretty"})  # about the answer, not about the operation
TEXT_VALUES = ("valueId", "valueCode", "valueString", "valueUri")
NUMBER_VALUES = ("valueInteger64", "valueString", "valueInteger", "valueUnsignedInt", "valuePositiveInt")


@dataclass(frozen=True, slots=True)
class StatusParameters:
    """``$status``: Subscriptions with one of ``ids`` and one of ``statuses``; empty means any."""

    ids: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()


@dataclass(frozen=True, slots=True)
class EventsParameters:
    """``$events``: numbers from ``since`` to ``until``, both included, None for open; ``content`` is a wish."""

    since: int | None = None
    until: int | None = None
    content: Content | None = None


def status_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> StatusParameters:
    """Inputs of ``$status`` from the decoded pairs of the query string and a POSTed Parameters. Raises Malformed.

    A value may be a list with commas, and a name may repeat: all are alternatives (S-185).
    """
    values = collect(query, body, {"id": TEXT_VALUES, "status": TEXT_VALUES})
    ids = [each for value in values["id"] for each in value.split(",")]
    codes = [each for value in values["status"] for each in value.split(",")]
    return StatusParameters(tuple(map(_id, ids)), tuple(map(_status, codes)))


def events_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> EventsParameters:
    """Inputs of ``$events`` from the decoded pairs of the query string and a POSTed Parameters. Raises Malformed."""
    names = {"eventsSinceNumber": NUMBER_VALUES, "eventsUntilNumber": NUMBER_VALUES, "content": TEXT_VALUES}
    values = {name: at_most_one(name, found) for name, found in collect(query, body, names).items()}
    since = read_number("eventsSinceNumber", values["eventsSinceNumber"])
    until = read_number("eventsUntilNumber", values["eventsUntilNumber"])
    if since is not None and until is not None and since > until:
        raise Malformed(f"eventsSinceNumber {since} is beyond eventsUntilNumber {until}: exchange them.", code="value")
    return EventsParameters(since, until, _content(values["content"]))


def binding_token_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> tuple[str, ...]:
    """The ids of ``$get-ws-binding-token`` (S-188), repeated or with commas; none means all. Raises Malformed."""
    values = collect(query, body, {"id": TEXT_VALUES})
    return tuple(_id(each) for value in values["id"] for each in value.split(","))


def websocket_url_of(base_url: str) -> str:
    """Where the websockets of a base are opened."""
    return f"ws{base_url.removeprefix('http')}/websocket"


def binding_token_answer(
    token: str, expiration: datetime, subscriptions: Iterable[str], websocket_url: str
) -> dict[str, Any]:
    """The output of ``$get-ws-binding-token``; ``subscriptions`` are absolute URLs (S-189)."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "token", "valueString": token},
            {"name": "expiration", "valueDateTime": write_instant(expiration)},
            *({"name": "subscription", "valueString": url} for url in subscriptions),
            {"name": "websocket-url", "valueUrl": websocket_url},
        ],
    }


def collect(
    query: Iterable[tuple[str, str]], body: Json | None, names: dict[str, tuple[str, ...]]
) -> dict[str, list[str]]:
    """The values of each of ``names``, which may be written as any of these value[x], as text. Raises Malformed."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, value in query:
        if name in found:
            found[name].append(value)
        elif name not in _OF_THE_ANSWER:
            raise _unknown(name, found)
    if body is not None:
        require_resource_type(body, "Parameters")
        for index, parameter in enumerate(children(body, "parameter")):
            name = str(parameter.get("name", ""))
            if name not in found:
                raise _unknown(name, found)
            found[name].append(_value(parameter, names[name], f"Parameters.parameter[{index}]"))
    return found


def _value(parameter: Json, kinds: tuple[str, ...], path: str) -> str:
    """The one value[x] of a parameter, as text; a JSON integer counts as its digits."""
    held = [name for name in parameter if name.startswith("value")]
    value = parameter[held[0]] if len(held) == 1 and held[0] in kinds else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Malformed(f"Give {parameter['name']} one value: {' or '.join(kinds)}.", expression=path)
    return value


def _unknown(name: str, known: Iterable[str]) -> Malformed:
    return Malformed(f"{name!r} is no parameter of this operation: use {', '.join(known)}.", code="not-supported")


def at_most_one(name: str, values: list[str]) -> str | None:
    """The value of a parameter, None without one; raises Malformed for several."""
    if len(values) > 1:
        raise Malformed(f"{name} stands more than once: give it once.", code="structure")
    return values[0] if values else None


def _id(written: str) -> str:
    if not _ID.fullmatch(written):
        raise Malformed(f"{written!r} is no id: up to 64 letters, digits, hyphens and dots.", code="value")
    return written


def _status(code: str) -> Status:
    if code not in list(Status):
        raise Malformed(f"{code!r} is no status: use {', '.join(Status)}.", code="code-invalid")
    return Status(code)


def read_number(name: str, written: str | None) -> int | None:
    """A whole number from 0 on, as the parameter ``name``. Raises Malformed."""
    if written is None:
        return None
    if not _NUMBER.fullmatch(written) or int(written) > MAX_NUMBER:
        raise Malformed(f"{name} is a whole number from 0 on, not {written!r}.", code="value")
    return int(written)


def _content(code: str | None) -> Content | None:
    if code is None:
        return None
    if code not in list(Content):
        raise Malformed(f"{code!r} is no content level: use {', '.join(Content)}.", code="code-invalid")
    return Content(code)
