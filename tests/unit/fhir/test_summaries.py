"""A resource in a few lines: generic elements of any type, bounded, on one line each (S-171)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.fhir.json import read_json
from hub.fhir.summaries import MAX_TEXT_LENGTH, one_line, summary


@pytest.mark.parametrize(
    ("elements", "rows"),
    [
        ({"status": "final"}, [("Status", "final")]),
        ({"code": {"text": "potassium", "coding": [{"display": "K"}]}}, [("Code", "potassium")]),
        ({"code": {"coding": [{"display": "Potassium", "code": "2823-3"}]}}, [("Code", "Potassium")]),
        ({"code": {"coding": [{"code": "2823-3"}]}}, [("Code", "2823-3")]),
        ({"class": {"code": "IMP", "display": "inpatient"}}, [("Class", "inpatient")]),
        ({"class": [{"coding": [{"display": "inpatient"}]}]}, [("Class", "inpatient")]),
        ({"medication": {"concept": {"text": "aspirin"}}}, [("Code", "aspirin")]),
        ({"category": [{"text": "a"}, {"text": "b"}]}, [("Category", "a, b")]),
        ({"category": [{"text": each} for each in "abcde"]}, [("Category", "a, b, c, …")]),
        ({"name": [{"given": ["Ada", "M"], "family": "Lovelace"}]}, [("Name", "Ada M Lovelace")]),
        ({"name": [{"text": "Ada Lovelace", "family": "Lovelace"}]}, [("Name", "Ada Lovelace")]),
        ({"subject": {"reference": "Patient/1"}}, [("Subject", "Patient/1")]),
        ({"patient": {"reference": "Patient/1", "display": "Ada"}}, [("Subject", "Ada")]),
        ({"period": {"start": "2026-01-01", "end": "2026-01-02"}}, [("When", "2026-01-01 to 2026-01-02")]),
        ({"period": {"end": "2026-01-02"}}, [("When", "until 2026-01-02")]),
        ({"period": {"start": "2026-01-01"}}, [("When", "from 2026-01-01")]),
        ({"effectiveDateTime": "2026-01-01"}, [("When", "2026-01-01")]),
        ({"effectiveDateTime": "2026-01-01T06:00:00.25+01:00"}, [("When", "2026-01-01 06:00:00.25 +01:00")]),
        ({"issued": "2026-01-01T06:00:00Z"}, [("When", "2026-01-01 06:00:00 UTC")]),
        ({"period": {"end": "2026-01-01T06:00:00Z"}}, [("When", "until 2026-01-01 06:00:00 UTC")]),
        ({"birthDate": "1970-01-01"}, [("When", "1970-01-01")]),
        ({"valueQuantity": {"comparator": "<", "value": 5, "unit": "mg"}}, [("Value", "<5 mg")]),
        ({"valueBoolean": False}, [("Value", "no")]),
        ({"valueInteger": 0}, [("Value", "0")]),
        ({"valueString": "positive"}, [("Value", "positive")]),
        ({"unknown": "x", "id": "1", "text": {"div": "<b>"}}, []),
    ],
)
def test_each_kind_of_element_is_told(elements: dict[str, Any], rows: list[tuple[str, str]]) -> None:
    assert summary({"resourceType": "Basic", **elements}) == rows


def test_decimals_keep_their_digits() -> None:
    resource = read_json(b'{"valueQuantity":{"value":6.30,"unit":"mmol/L"}}')
    assert summary(resource) == [("Value", "6.30 mmol/L")]


@pytest.mark.parametrize("value", [None, 7.5, [], {}, [[]], [{}], [None], {"coding": []}, {"start": {}}, {"value": {}}])
def test_an_element_of_another_shape_breaks_nothing(value: Any) -> None:
    for _, shown in summary(dict.fromkeys(("status", "code", "period", "subject", "valueQuantity", "name"), value)):
        assert isinstance(shown, str)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("a\r\nb\tc  d", "a b c d"),
        ("a\u202eb\u200bc\x00d\x1be", "abcde"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("x" * 400, "x" * (MAX_TEXT_LENGTH - 1) + "…"),
    ],
)
def test_texts_go_on_one_visible_line(written: str, line: str) -> None:
    assert one_line(written) == line


def test_a_summary_is_bounded_whatever_comes() -> None:
    huge = {"text": "x" * 10_000}
    names = ("status", "class", "type", "code", "category", "name", "subject", "period", "valueQuantity")
    rows = summary({name: [huge] * 50 for name in names})
    assert len(rows) == 9 and all(len(value) <= MAX_TEXT_LENGTH for _, value in rows)


def test_deep_nesting_ends() -> None:
    value: Any = "x"
    for _ in range(60):
        value = {"coding": [{"concept": value}]}
    assert summary({"code": value}) == [("Code", "x")]
