"""Run one test of the suite and say what is wrong with the answer, "" when nothing is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hub.fhir.definitions import Definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, FHIRPathUnsupported, compile_expression
from hub.fhirpath.temporal import Temporal
from tests.unit.fhirpath.suite.cases import Case

NOW = datetime(2026, 6, 1, 12, 30, 15, 250_000, tzinfo=UTC)
"""The suite asks for a moment after 1974; any will do."""
_TEMPORAL = {"date", "dateTime", "instant", "time"}


def problem_with(case: Case, resource: dict[str, Any] | None, facts: Definitions) -> str:
    """What is wrong with the answer to ``case``. An expected error may be found when compiling or when evaluating,
    but what is expected to be no FHIRPath at all must be refused as such."""
    root_type = None if resource is None else resource["resourceType"]
    try:
        expression = compile_expression(case.expression, facts, root_type=root_type, now_allowed=True)
        items = expression.typed_items(resource, now=NOW)
    except (FHIRPathError, FHIRPathUnsupported, FHIRPathEvaluationError) as error:
        if case.invalid and (case.invalid != "syntax" or isinstance(error, FHIRPathError)):
            return ""
        return f"{type(error).__name__}: {error}"
    if case.invalid:
        return f"no error ({case.invalid} expected) but {items}"
    if case.as_predicate:
        items = [("System.Boolean", bool(items))]
    return _difference(case, items)


def _difference(case: Case, items: list[tuple[str, Any]]) -> str:
    found = [(_type(type_), _text(type_, value)) for type_, value in items]
    expected = [(type_, text.strip() if type_ != "string" else text) for type_, text in case.outputs]
    if not case.in_order:
        found, expected = sorted(found), sorted(expected)
    same = len(found) == len(expected) and all(map(_alike, expected, found))
    return "" if same else f"{found} instead of {expected}"


def _alike(expected: tuple[str, str], found: tuple[str, str]) -> bool:
    if expected[0] and expected[0] != found[0]:
        return False
    if expected[0] == found[0] == "decimal":
        return Decimal(expected[1]) == Decimal(found[1])
    return expected[1] == found[1]


def _type(type_: str) -> str:
    plain = type_.removeprefix("System.")
    return plain if plain == type_ or plain == "Quantity" else plain[0].lower() + plain[1:]


def _text(type_: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Temporal):
        return f"@T{value}" if value.kind == "time" else f"@{value}"
    return f"@{value}" if type_ in _TEMPORAL else str(value)
