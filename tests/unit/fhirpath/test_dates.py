"""Dates and times: precision, arithmetic, boundaries, and the moment that is given with the evaluation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathEvaluationError, FHIRPathUnsupported, compile_expression

R4 = definitions(FhirVersion.R4)
PATIENT = {"resourceType": "Patient", "birthDate": "1974-12", "deceasedDateTime": "2020-02-29T10:00:00+01:00"}


def values(expression: str, resource: dict[str, Any] | None = None) -> list[Any]:
    return compile_expression(expression, R4, root_type="Patient").items(resource)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2024-01-31 + 1 month", "2024-02-29"),
        ("@2024-02-29 + 1 year", "2025-02-28"),
        ("@2024-03-31 - 1 month", "2024-02-29"),
        ("@2024-12-31 + 1 day", "2025-01-01"),
        ("@2024-01-01 - 1 week", "2023-12-25"),
        ("@2024-01-01 + 36 hours", "2024-01-02"),
        ("@2024-01-01 + 1.9 days", "2024-01-02"),
        ("@2024-01 + 40 days", "2024-02"),
        ("@2024 + 23 months", "2025"),
        ("@2024 + 800 days", "2026"),
        ("@2024T + 1 year", "2025T"),
        ("@2024-01-01T10:30:00Z + 90 minutes", "2024-01-01T12:00:00Z"),
        ("@2024-01-01T10:30Z + 59 seconds", "2024-01-01T10:30Z"),
        ("@2024-01-01T10+02:00 + 90 minutes", "2024-01-01T11+02:00"),
        ("@2024-01-01T10:30:00 + 1.5 seconds", "2024-01-01T10:30:01.500"),
        ("@2024-12-31T23:59:59.999-05:00 + 1 millisecond", "2025-01-01T00:00:00.000-05:00"),
        ("@T23:30 + 1 hour", "00:30"),
        ("@T00:00:00 - 1 's'", "23:59:59"),
        ("@2024-01-01 + 1 'd'", "2024-01-02"),
    ],
)
def test_a_date_moves_by_a_quantity_and_keeps_its_precision(expression: str, result: str) -> None:
    assert [str(value) for value in values(expression)] == [result]


@pytest.mark.parametrize("expression", ["@9999 + 1 year", "@0001-01-01 - 1 day", "@2024 + 9999999999999999999 years"])
def test_beyond_the_calendar_there_is_nothing(expression: str) -> None:
    assert values(expression) == []


@pytest.mark.parametrize("expression", ["@2024 + 1 'a'", "@2024 + 1 'mo'", "@2024 + 1 'cm'", "@T10 + 1 month"])
def test_a_length_that_no_calendar_has_moves_no_date(expression: str) -> None:
    with pytest.raises(FHIRPathEvaluationError, match="cannot be added"):
        values(expression)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("birthDate < @1974-12-25", []),
        ("birthDate < @1975-01-01", [True]),
        ("birthDate = @1974-12", [True]),
        ("birthDate ~ @1974-12-25", [False]),
        ("deceased.ofType(dateTime) = @2020-02-29T09:00:00Z", [True]),
        ("deceased.ofType(dateTime) > @2020-02-29T09:00:00", []),
        ("deceased.ofType(dateTime) - 1 day < @2020-02-28T09:00:01Z", [True]),
        ("birthDate + 18 years <= @1993-01", [True]),
        ("birthDate.lowBoundary() = @1974-12-01", [True]),
        ("birthDate.highBoundary() = @1974-12-31", [True]),
        ("birthDate.highBoundary(4) = @1974", [True]),
        ("deceased.ofType(dateTime).lowBoundary().toString()", ["2020-02-29T10:00:00.000+01:00"]),
        ("@2023-02.highBoundary().toString()", ["2023-02-28"]),
        ("@2024T.lowBoundary(14).toString()", ["2024-01-01T00:00:00+14:00"]),
        ("@T10.highBoundary().toString()", ["10:59:59.999"]),
        ("@T10.highBoundary(6).toString()", ["10:59:59"]),
        ("@2024.lowBoundary(5)", []),
        ("birthDate.precision()", [6]),
        ("@2024-01-01T10:00:00.precision()", [14]),
    ],
)
def test_what_precision_leaves_open_has_no_answer(expression: str, result: list[Any]) -> None:
    assert values(expression, PATIENT) == result


NOW = datetime(2026, 6, 1, 23, 30, 15, 250_999, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("now().toString()", "2026-06-01T23:30:15.250+02:00"),
        ("today().toString()", "2026-06-01"),
        ("timeOfDay().toString()", "23:30:15.250"),
        ("now() = now()", "True"),
        ("now() - 1 hour < @2026-06-01T20:30:16Z", "True"),
        ("birthDate < today() - 18 years", "True"),
    ],
)
def test_now_is_the_moment_that_is_given(expression: str, result: str) -> None:
    compiled = compile_expression(expression, R4, root_type="Patient", now_allowed=True)
    assert compiled.needs_now
    assert [str(value) for value in compiled.items(PATIENT, now=NOW)] == [result]


def test_without_a_moment_now_has_no_value() -> None:
    compiled = compile_expression("birthDate < now()", R4, now_allowed=True)
    with pytest.raises(FHIRPathEvaluationError, match="no moment was given"):
        compiled.is_true(PATIENT)


@pytest.mark.parametrize("function", ["now", "today", "timeOfDay"])
def test_where_there_is_no_moment_now_is_refused(function: str) -> None:
    with pytest.raises(FHIRPathUnsupported, match=rf"{function}\(\) is not supported at position 0"):
        compile_expression(f"{function}().exists()", R4)


def test_an_expression_without_now_needs_no_moment() -> None:
    assert not compile_expression("birthDate < @2024", R4, now_allowed=True).needs_now


def test_utc_is_written_z() -> None:
    compiled = compile_expression("now().toString()", R4, now_allowed=True)
    assert compiled.items(None, now=datetime(2026, 1, 2, tzinfo=UTC)) == ["2026-01-02T00:00:00.000Z"]
