"""Each condition of an expression is told with its value."""

from __future__ import annotations

from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import compile_expression
from hub.fhirpath.explanation import MOST_PARTS, Part

R4 = definitions(FhirVersion.R4)
FINISHED: dict[str, Any] = {"resourceType": "Encounter", "id": "e1", "status": "finished"}
STARTED = FINISHED | {"status": "in-progress"}


def told(text: str, previous: dict[str, Any] | None = STARTED, current: dict[str, Any] | None = FINISHED) -> list[Part]:
    return compile_expression(text, R4, root_type="Encounter").explain(current, previous=previous, current=current)


def summary(parts: list[Part]) -> list[tuple[str, list[Any]]]:
    return [(part.text, list(part.values)) for part in parts]


def test_a_transition_is_told_condition_by_condition() -> None:
    text = "%previous.status != 'finished' and %current.status = 'finished'"
    assert summary(told(text)) == [
        (text, [True]),
        ("%previous.status != 'finished'", [True]),
        ("%previous.status", ["in-progress"]),
        ("%current.status = 'finished'", [True]),
        ("%current.status", ["finished"]),
    ]


def test_empty_is_told_as_empty() -> None:
    parts = told("%previous.status != 'finished' and %current.status = 'finished'", previous=None)
    assert summary(parts)[:3] == [
        ("%previous.status != 'finished' and %current.status = 'finished'", []),
        ("%previous.status != 'finished'", []),
        ("%previous.status", []),
    ]


def test_parts_are_told_as_written_with_their_parentheses() -> None:
    text = "(%previous.id.empty() or (status = 'x')).not() implies ( (status) in ('a' | 'b') )"
    assert [(part.text, part.depth) for part in told(text)] == [
        (text, 0),
        ("(%previous.id.empty() or (status = 'x')).not()", 1),
        ("%previous.id.empty() or (status = 'x')", 2),
        ("%previous.id.empty()", 3),
        ("status = 'x'", 3),
        ("status", 4),
        ("(status) in ('a' | 'b')", 1),
        ("status", 2),
        ("'a' | 'b'", 2),
    ]


def test_parentheses_in_strings_and_names_mean_nothing() -> None:
    text = "(status = '(') or `id` = ')'"
    assert [part.text for part in told(text)] == [text, "status = '('", "status", "`id` = ')'", "`id`"]


def test_a_part_without_value_says_why_and_the_others_are_told() -> None:
    """The R5 core example: a union is no ``or`` (S-042)."""
    parts = told("(%previous.empty() | (%previous.status != 'completed')) and %current.status = 'finished'")
    assert parts[0].values == ()
    assert "one item is expected where there are 2" in parts[0].error
    assert parts[1].values == (False, True)
    assert parts[2].values == (True,)


def test_what_stands_in_a_filter_is_not_taken_apart() -> None:
    assert [part.text for part in told("location.where(status = 'active').exists()")] == [
        "location.where(status = 'active').exists()"
    ]


def test_a_long_expression_is_told_as_far_as_it_is_read() -> None:
    parts = told(" and ".join(["status = 'finished'"] * 300))
    assert len(parts) == MOST_PARTS


def test_parts_share_one_budget() -> None:
    patient = {"resourceType": "Patient", "name": [{"family": str(number)} for number in range(9000)]}
    text = " and ".join(["name.all(family.exists() or family.empty())"] * 30)
    parts = compile_expression(text, R4, root_type="Patient").explain(patient)
    assert "visits more than" in parts[0].error
    assert parts[1].values == (True,)
    assert "visits more than" in parts[-1].error
