"""Inputs of $status and $events (S-183…S-187)."""

from typing import Any

import pytest

from hub.domain.subscription import Content, Status
from hub.errors import Malformed
from hub.fhir.operations import EventsParameters, StatusParameters, events_parameters, status_parameters


def parameters(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(items)}


def test_no_inputs_mean_any_and_open_s183_s186() -> None:
    assert status_parameters([]) == StatusParameters()
    assert events_parameters([]) == EventsParameters()
    assert status_parameters([], {"resourceType": "Parameters"}) == StatusParameters()


def test_repeats_and_comma_lists_are_alternatives_s185() -> None:
    query = [("id", "a,b"), ("id", "c"), ("status", "active,error"), ("_format", "json")]
    assert status_parameters(query) == StatusParameters(("a", "b", "c"), (Status.ACTIVE, Status.ERROR))


@pytest.mark.parametrize("kinds", [("valueId", "valueCode"), ("valueString", "valueString")])
def test_posted_ids_and_codes_may_be_strings_s185(kinds: tuple[str, str]) -> None:
    body = parameters({"name": "id", kinds[0]: "a"}, {"name": "status", kinds[1]: "off"})
    assert status_parameters([], body) == StatusParameters(("a",), (Status.OFF,))


@pytest.mark.parametrize(
    "value",
    [
        {"valueString": "7"},
        {"valueInteger64": "7"},
        {"valueInteger64": 7},
        {"valueInteger": 7},
        {"valueUnsignedInt": 7},
    ],
)
def test_numbers_are_read_from_every_type_the_definitions_allow_s186(value: dict[str, Any]) -> None:
    body = parameters({"name": "eventsSinceNumber", **value}, {"name": "content", "valueCode": "id-only"})
    assert events_parameters([("eventsUntilNumber", "9")], body) == EventsParameters(7, 9, Content.ID_ONLY)


def test_one_number_may_be_both_ends_s186() -> None:
    query = [("eventsSinceNumber", "9223372036854775807"), ("eventsUntilNumber", "9223372036854775807")]
    assert events_parameters(query).since == 2**63 - 1


@pytest.mark.parametrize(
    "query",
    [
        [("eventsSinceNumber", "2"), ("eventsUntilNumber", "1")],
        [("eventsSinceNumber", "1"), ("eventsSinceNumber", "1")],
        [("eventsSinceNumber", "-1")],
        [("eventsSinceNumber", "")],
        [("eventsSinceNumber", "1.0")],
        [("eventsSinceNumber", "٣")],
        [("eventsSinceNumber", "9223372036854775808")],
        [("eventsSinceNumber", "9" * 5000)],
        [("content", "all")],
        [("id", "a")],
    ],
)
def test_wrong_inputs_of_events_are_malformed_s187(query: list[tuple[str, str]]) -> None:
    with pytest.raises(Malformed):
        events_parameters(query)


@pytest.mark.parametrize("query", [[("id", "a b")], [("id", "")], [("id", "a,")], [("status", "on")], [("ID", "a")]])
def test_wrong_inputs_of_status_are_malformed(query: list[tuple[str, str]]) -> None:
    with pytest.raises(Malformed):
        status_parameters(query)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"resourceType": "Patient"},
        parameters({"name": "colour", "valueString": "a"}),
        parameters({"name": "id"}),
        parameters({"name": "id", "valueId": "a", "valueString": "a"}),
        parameters({"name": "id", "valueBoolean": True}),
        parameters({"name": "id", "valueId": None}),
        parameters({"valueId": "a"}),
        parameters({"name": ["id"], "valueId": "a"}),
        {"resourceType": "Parameters", "parameter": ["id"]},
    ],
)
def test_wrong_bodies_are_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        status_parameters([], body)
