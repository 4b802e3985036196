"""A resource in a few lines that a person can read: from generic elements only, whatever its type (S-171).

It says what the resource says and judges nothing. Texts of a resource are somebody's input: they lose control and
invisible formatting characters, are put on one line and cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.fhir.reading import Json, text

MAX_TEXT_LENGTH = 160
MAX_ITEMS = 3
"""Of an element that repeats; more are told by an ellipsis."""

Row = tuple[str, str]

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)", re.ASCII)

_ELEMENTS = (
    ("Status", ("status", "clinicalStatus")),
    ("Class", ("class",)),
    ("Type", ("type",)),
    ("Code", ("code", "vaccineCode", "medicationCodeableConcept", "medication")),
    ("Category", ("category",)),
    ("Name", ("name",)),
    ("Subject", ("subject", "patient", "for", "beneficiary")),
    (
        "When",
        (
            *("effectivePeriod", "effectiveDateTime", "effectiveInstant", "actualPeriod", "period"),
            *("occurrencePeriod", "occurrenceDateTime", "performedPeriod", "performedDateTime", "onsetDateTime"),
            *("executionPeriod", "start", "authoredOn", "recordedDate", "issued", "date", "created", "birthDate"),
        ),
    ),
    (
        "Value",
        (
            *("valueQuantity", "valueCodeableConcept", "valueString", "valueInteger", "valueBoolean"),
            *("valueDateTime", "valuePeriod", "valueTime"),
        ),
    ),
)


def summary(resource: Json) -> list[Row]:
    """(label, value) of the generic elements that ``resource`` has; at most nine, each of one bounded line."""
    rows = []
    for label, names in _ELEMENTS:
        shown = next(filter(None, (_shown(resource[name]) for name in names if name in resource)), "")
        if shown:
            rows.append((label, shown))
    return rows


def one_line(written: str) -> str:
    """``written`` on one line of at most 160 characters, without characters that cannot be seen or turn the others."""
    seen = "".join(" " if each.isspace() else each for each in written if each.isspace() or _is_visible(each))
    line = " ".join(seen.split())
    return line if len(line) <= MAX_TEXT_LENGTH else line[: MAX_TEXT_LENGTH - 1] + "…"


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] != "C"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        items = [item for item in (_shown(each) for each in value[: MAX_ITEMS + 1]) if item]
        return one_line(", ".join(items[:MAX_ITEMS]) + (", …" if len(items) > MAX_ITEMS else ""))
    if isinstance(value, Mapping):
        return one_line(_of_datatype(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(_moment(str(value))) if isinstance(value, str | int | Decimal) else ""


def _moment(written: str) -> str:
    """A dateTime or instant as people write it, in its own time zone; every other text as it is."""
    match = _MOMENT.fullmatch(written)
    return f"{match[1]} {match[2]} {'UTC' if match[3] == 'Z' else match[3]}" if match else written


def _period(start: str, end: str) -> str:
    if start and end:
        return f"{start} to {end}"
    return f"from {start}" if start else f"until {end}" if end else ""


def _of_datatype(value: Json) -> str:
    """CodeableReference, CodeableConcept, HumanName, Period, Quantity, Reference or Coding: told by their elements."""
    if "concept" in value:
        return _shown(value["concept"])
    if text(value, "text"):
        return text(value, "text")
    if "coding" in value:
        return _shown(value["coding"])
    if "family" in value or "given" in value:
        return f"{_shown(value.get('given', '')).replace(',', '')} {text(value, 'family')}"
    if "start" in value or "end" in value:
        return _period(_moment(text(value, "start")), _moment(text(value, "end")))
    if "value" in value:
        return f"{text(value, 'comparator')}{_shown(value['value'])} {text(value, 'unit') or text(value, 'code')}"
    return text(value, "display") or _shown(value.get("reference", "")) or text(value, "code")
