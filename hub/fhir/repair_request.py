"""Inputs of the operations by which deliveries are repaired: ``$resend`` (S-190), ``$dead-letters``, ``$stop``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.errors import Malformed
from hub.fhir.json import read_instant
from hub.fhir.operations import NUMBER_VALUES, TEXT_VALUES, at_most_one, collect, read_number
from hub.fhir.reading import Json

_NUMBERS = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_INSTANT_VALUES = ("valueInstant", "valueDateTime", "valueString")
MOST_DROPPED = 1000
"""Dead letters of one request: each is a command in one script."""
MOST_RANGES = 1000
"""Of one request: every dead letter is looked for in each."""
MOST_CANONICAL_LENGTH = 2048
"""Of a topic that is stopped: every write of a Subscription reads all of them."""


@dataclass(frozen=True, slots=True)
class ResendParameters:
    """``$resend``: all bounds belong to it; None is open. At least one is given."""

    since: int | None = None
    until: int | None = None
    since_instant: datetime | None = None
    until_instant: datetime | None = None


class LetterAction(StrEnum):
    REDRIVE = "redrive"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class LetterParameters:
    """What to do with dead letters; no ``numbers``: with all of them. No ``action``: list them."""

    action: LetterAction | None = None
    numbers: tuple[range, ...] = ()


@dataclass(frozen=True, slots=True)
class StopParameters:
    """Exactly one is given: the canonical of a topic, or the name of a host in lower case."""

    topic: str = ""
    endpoint: str = ""


def resend_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> ResendParameters:
    """From the query or a POSTed Parameters. Raises Malformed."""
    names = {
        "eventsSinceNumber": NUMBER_VALUES,
        "eventsUntilNumber": NUMBER_VALUES,
        "eventsSinceInstant": _INSTANT_VALUES,
        "eventsUntilInstant": _INSTANT_VALUES,
    }
    values = {name: at_most_one(name, found) for name, found in collect(query, body, names).items()}
    if not any(values.values()):
        raise Malformed(f"say what is to be sent again: give one of {', '.join(names)}", code="required")
    since, until = (read_number(name, values[name]) for name in ("eventsSinceNumber", "eventsUntilNumber"))
    earliest, latest = (_instant(name, values[name]) for name in ("eventsSinceInstant", "eventsUntilInstant"))
    crossed = since is not None and until is not None and since > until
    if crossed or (earliest and latest and earliest > latest):
        raise Malformed("what it begins with is beyond what it ends with: exchange them.", code="value")
    return ResendParameters(since, until, earliest, latest)


def letter_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> LetterParameters:
    """``action`` and ``number`` (``5`` or ``5-7``, repeated or with commas). Raises Malformed."""
    values = collect(query, body, {"action": TEXT_VALUES, "number": NUMBER_VALUES})
    action = at_most_one("action", values["action"])
    numbers = tuple(_numbers(each.strip()) for value in values["number"] for each in value.split(","))
    if action is None:
        if numbers:
            raise Malformed("say what is to be done with them: action redrive or drop", code="required")
        return LetterParameters()
    if action not in list(LetterAction):
        raise Malformed(f"{action!r} is no action: use {', '.join(LetterAction)}.", code="code-invalid")
    if len(numbers) > MOST_RANGES:
        raise Malformed(f"at most {MOST_RANGES} numbers or ranges are named at once; join them: 5-7", code="too-costly")
    if action == LetterAction.DROP and not numbers:
        raise Malformed("say which ones are to be dropped: number, such as 5 or 5-7", code="required")
    if action == LetterAction.DROP and sum(map(len, numbers)) > MOST_DROPPED:
        raise Malformed(f"at most {MOST_DROPPED} numbers are dropped at once", code="too-costly")
    return LetterParameters(LetterAction(action), numbers)


def stop_parameters(query: Iterable[tuple[str, str]], body: Json | None = None) -> StopParameters:
    """``topic`` or ``endpoint``. Raises Malformed."""
    kinds = (*TEXT_VALUES, "valueCanonical", "valueUrl")
    values = {
        name: at_most_one(name, found)
        for name, found in collect(query, body, {"topic": kinds, "endpoint": kinds}).items()
    }
    topic, endpoint = values["topic"] or "", (values["endpoint"] or "").lower()
    if bool(topic) is bool(endpoint):
        raise Malformed("give either topic, its canonical, or endpoint, the name of a host", code="required")
    if endpoint and not _HOST.fullmatch(endpoint):
        raise Malformed(f"{endpoint!r} is no name of a host: write it without scheme, port and path", code="value")
    if len(topic) > MOST_CANONICAL_LENGTH:
        raise Malformed(f"a canonical has at most {MOST_CANONICAL_LENGTH} characters", code="too-long")
    return StopParameters(topic.partition("|")[0], endpoint)


def numbers_text(numbers: Sequence[range]) -> str:
    """``1 to 4, 7`` for people."""
    return ", ".join(f"{each[0]} to {each[-1]}" if len(each) > 1 else str(each[0]) for each in numbers)


def _numbers(written: str) -> range:
    found = _NUMBERS.fullmatch(written)
    first, last = found.groups() if found else ("", "")
    if not found or (last and int(last) < int(first)):
        raise Malformed(f"{written!r} is no event number: write 5, or 5-7.", code="value")
    return range(int(first), int(last or first) + 1)


def _instant(name: str, written: str | None) -> datetime | None:
    if written is None:
        return None
    found = read_instant(written.replace(" ", "+"))  # a plus sign of a query is a blank
    if found is None:
        raise Malformed(f"{name} is an instant such as 2026-01-02T03:04:05Z, not {written!r}.", code="value")
    return found
