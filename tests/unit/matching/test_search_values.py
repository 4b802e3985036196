"""Each type of search value against single elements (S-243…S-265)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.errors import Malformed, Unprocessable
from hub.matching.search import date, number, quantity, reference, string, token, uri
from hub.matching.search.value import SearchValue, is_present

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OWN = "https://ehr.example/fhir"
TYPES = frozenset({"Patient", "Group", "Organization", "StructureDefinition", "Encounter"})


def accepts_only_what_its_keys_find(asked: SearchValue, fhir_type: str, value: Any, found: frozenset[str]) -> bool:
    """The answer, after checking the promise the index stands on: what is accepted shares a key."""
    accepted = asked.accepts(fhir_type, value)
    if accepted and asked.keys is not None:
        assert asked.keys & found, (asked, value)
    return accepted


def is_token(text: str, fhir_type: str, value: Any) -> bool:
    found = frozenset(token.keys_of(fhir_type, value))
    return accepts_only_what_its_keys_find(token.compile_token(text), fhir_type, value, found)


@pytest.mark.parametrize(
    ("text", "coding", "expected"),
    [
        ("IMP", {"system": ACT, "code": "IMP"}, True),
        (f"{ACT}|IMP", {"system": ACT, "code": "IMP"}, True),
        (f"{ACT}|", {"system": ACT, "code": "IMP"}, True),
        (f"{ACT}|", {"system": ACT}, True),
        ("|IMP", {"system": ACT, "code": "IMP"}, False),
        ("|IMP", {"code": "IMP"}, True),
        (f"{ACT}|IMP", {"code": "IMP"}, False),
        ("other|IMP", {"system": ACT, "code": "IMP"}, False),
        ("imp", {"system": ACT, "code": "IMP"}, False),
        ("imp", {"system": "http://ehr.example/classes", "code": "IMP"}, True),
        (r"a\|b", {"code": "a|b"}, True),
        ("IMP", {"display": "IMP"}, False),
    ],
)
def test_tokens_of_a_coding(text: str, coding: dict[str, str], expected: bool) -> None:
    assert is_token(text, "Coding", coding) is expected
    assert is_token(text, "CodeableConcept", {"coding": [{"code": "else"}, coding]}) is expected


@pytest.mark.parametrize(
    ("text", "fhir_type", "value", "expected"),
    [
        ("finished", "code", "finished", True),
        ("Finished", "code", "finished", False),
        ("http://hl7.org/fhir/encounter-status|finished", "code", "finished", True),
        ("http://hl7.org/fhir/encounter-status|", "code", "finished", False),
        ("true", "boolean", True, True),
        ("true", "boolean", False, False),
        ("s|true", "boolean", True, False),
        ("urn:mrn|1", "Identifier", {"system": "urn:mrn", "value": "1"}, True),
        ("1", "Identifier", {"system": "urn:mrn", "value": "1"}, True),
        ("a", "Identifier", {"value": "A"}, False),
        ("+1 (555) 01", "ContactPoint", {"system": "phone", "value": "1-555-01"}, True),
        ("A@B.example", "ContactPoint", {"system": "email", "value": "a@b.example"}, True),
        ("ABC", "string", "abc", True),
        ("x", "code", None, False),
    ],
)
def test_tokens_of_other_types(text: str, fhir_type: str, value: Any, expected: bool) -> None:
    assert is_token(text, fhir_type, value) is expected


@pytest.mark.parametrize("text", ["a|b|c", "|"])
def test_what_is_no_token_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        token.compile_token(text)


def test_of_type_wants_all_three_parts() -> None:
    identifier = {"type": {"coding": [{"system": "t", "code": "MR"}]}, "value": "1"}
    assert token.compile_of_type("t|MR|1").accepts("Identifier", identifier)
    assert not token.compile_of_type("t|SS|1").accepts("Identifier", identifier)
    with pytest.raises(Malformed):
        token.compile_of_type("t|MR")


def refers(text: str, value: Any, *, fhir_type: str = "Reference", targets: tuple[str, ...] = ()) -> bool:
    asked = reference.compile_reference(text, "", frozenset(targets), TYPES, OWN)
    return accepts_only_what_its_keys_find(asked, fhir_type, value, frozenset(reference.keys_of(fhir_type, value, OWN)))


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("Patient/1", "Patient/1", True),
        ("Patient/1", f"{OWN}/Patient/1", True),
        (f"{OWN}/Patient/1", "Patient/1", True),
        ("Patient/1", "https://other.example/fhir/Patient/1", False),
        ("https://other.example/fhir/Patient/1", "https://other.example/fhir/Patient/1", True),
        ("Patient/1", "Patient/10", False),
        ("Patient/1", "Group/1", False),
        ("Patient/1", "Patient/1/_history/3", True),
        ("Patient/1/_history/3", "Patient/1/_history/3", True),
        ("Patient/1/_history/3", "Patient/1", False),
        ("1", "Patient/1", True),
        ("1", "Group/1", True),
        ("1", "Organization/1", False),
        ("1", "https://other.example/fhir/Patient/1", False),
        ("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", True),
        ("Patient/1", "#1", False),
    ],
)
def test_references(text: str, found: str, expected: bool) -> None:
    assert refers(text, {"reference": found}, targets=("Patient", "Group")) is expected


@pytest.mark.parametrize(
    ("text", "canonical", "expected"),
    [
        ("http://x.example/q", "http://x.example/q|1.0", True),
        ("http://x.example/q|1.0", "http://x.example/q|1.0", True),
        ("http://x.example/q|1.0", "http://x.example/q|2.0", False),
        ("http://x.example/q|1.0", "http://x.example/q", False),
        ("http://x.example/StructureDefinition/p", "http://x.example/StructureDefinition/p|1", True),
    ],
)
def test_canonicals(text: str, canonical: str, expected: bool) -> None:
    assert refers(text, canonical, fhir_type="canonical") is expected


def test_a_reference_by_identifier_or_display_only_refers_to_nothing_known() -> None:
    assert not refers("Patient/1", {"identifier": {"value": "1"}, "display": "Patient/1"})


@pytest.mark.parametrize("text", ["#1", "Patient/", "a b", "Nonsense/1", "Patient/1/2"])
def test_what_is_no_reference_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        reference.compile_reference(text, "", frozenset(), TYPES, OWN)


def test_a_type_that_the_parameter_cannot_refer_to_is_refused() -> None:
    with pytest.raises(Unprocessable, match="Patient"):
        reference.compile_reference("Group/1", "", frozenset({"Patient"}), TYPES, OWN)


def test_the_type_modifier_spells_the_reference_out() -> None:
    asked = reference.compile_reference("1", "Patient", frozenset(), TYPES, OWN)
    assert asked.accepts("Reference", {"reference": "Patient/1"})
    with pytest.raises(Malformed):
        reference.compile_reference("Patient/1", "Patient", frozenset(), TYPES, OWN)


@pytest.mark.parametrize(
    ("text", "modifier", "value", "expected"),
    [
        ("eve", "", "Evelyn", True),
        ("eve", "", "Severine", False),
        ("eve", "contains", "Severine", True),
        ("jorg", "", "Jörg", True),
        ("obrien", "", "O'Brien", True),
        ("de  la", "", "De la Cruz", True),
        ("Evelyn", "exact", "Evelyn", True),
        ("evelyn", "exact", "Evelyn", False),
        ("ELODIE", "", "E\u0301lodie", True),
    ],
)
def test_strings(text: str, modifier: str, value: str, expected: bool) -> None:
    assert string.compile_string(text, modifier).accepts("string", value) is expected


def test_every_part_of_a_name_counts_and_each_word_of_the_family_name() -> None:
    name = {"use": "official", "family": "Carreno Quinones", "given": ["Ana", None], "period": {"start": "2020"}}
    assert string.compile_string("quinones", "").accepts("HumanName", name)
    assert string.compile_string("ana", "").accepts("HumanName", name)
    assert not string.compile_string("official", "").accepts("HumanName", name)


def test_a_string_of_punctuation_alone_would_match_everything_and_is_malformed() -> None:
    with pytest.raises(Malformed, match="exact"):
        string.compile_string("--", "")


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("100", "99.5", True),
        ("100", "100.5", False),
        ("100.00", "100.004", True),
        ("100.00", "100.005", False),
        ("1e2", "95", True),
        ("1e2", "105", False),
        ("1e2", "94.9", False),
        ("5.40e-3", "0.005395", True),
        ("5.40e-3", "0.005405", False),
        ("ne100", "100.4", False),
        ("ne100", "101", True),
        ("gt100", "100.0000000001", True),
        ("gt100", "100", False),
        ("ge100", "100", True),
        ("lt100", "99.9", True),
        ("le100", "100.1", False),
        ("sa100", "100", False),
        ("eb100", "99", True),
        ("ap100", "110", True),
        ("ap100", "110.1", False),
        ("0.1", "0.1", True),
        ("-5", "-5.2", True),
    ],
)
def test_numbers_keep_the_precision_in_which_they_were_asked(asked: str, found: str, expected: bool) -> None:
    comparator, text = (asked[:2], asked[2:]) if asked[:1].isalpha() else ("", asked)
    assert number.compile_number(comparator, text).accepts("decimal", Decimal(found)) is expected


def test_integers_are_compared_plainly() -> None:
    assert number.compile_number("", "2").accepts("positiveInt", 2)
    assert not number.compile_number("", "2.5").accepts("positiveInt", 2)
    assert number.compile_number("", "2.0").accepts("integer", 2)
    assert number.compile_number("", "1e2").accepts("integer", 101)
    assert number.compile_number("", "9007199254740993").accepts("integer64", "9007199254740993")
    assert not number.compile_number("", "1").accepts("boolean", True)


@pytest.mark.parametrize("text", ["", "abc", "1,5", "+1", "1.", ".5", "NaN", "Infinity", "1e999", "9" * 26, "٣"])
def test_what_is_no_number_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        number.compile_number("", text)


MG = {"value": Decimal("5.4"), "unit": "milligram", "system": "http://unitsofmeasure.org", "code": "mg"}


@pytest.mark.parametrize(
    ("comparator", "text", "value", "expected"),
    [
        ("", "5.4", MG, True),
        ("", "5.40|http://unitsofmeasure.org|mg", MG, True),
        ("", "5.4||mg", MG, True),
        ("", "5.4||milligram", MG, True),
        ("", "5.4||g", MG, False),
        ("", "5.4|urn:other|mg", MG, False),
        ("gt", "5||mg", MG, True),
        ("lt", "5", {"value": Decimal(5), "comparator": "<"}, True),
        ("ge", "5", {"value": Decimal(5), "comparator": "<"}, False),
        ("eb", "5", {"value": Decimal(5), "comparator": "<"}, True),
        ("", "5", {"value": Decimal(5), "comparator": "<"}, False),
        ("sa", "5", {"value": Decimal(5), "comparator": ">"}, True),
        ("gt", "5", {"value": Decimal(9), "comparator": "ad"}, False),
        ("", "5", {"code": "mg"}, False),
    ],
)
def test_quantities(comparator: str, text: str, value: dict[str, Any], expected: bool) -> None:
    assert quantity.compile_quantity(comparator, text).accepts("Quantity", value) is expected


def test_money_is_a_quantity_of_its_currency_and_a_range_is_an_interval() -> None:
    money = {"value": Decimal(10), "currency": "EUR"}
    assert quantity.compile_quantity("", "10|urn:iso:std:iso:4217|EUR").accepts("Money", money)
    open_range = {"low": {"value": Decimal(5)}}
    assert quantity.compile_quantity("gt", "100").accepts("Range", open_range)
    assert not quantity.compile_quantity("lt", "5").accepts("Range", open_range)


@pytest.mark.parametrize("text", ["5|mg", "5||", "5|s|", "|s|mg", "five", "5|a|b|c"])
def test_what_is_no_quantity_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        quantity.compile_quantity("", text)


OPEN_FROM_21 = {"start": "2013-01-21"}


@pytest.mark.parametrize(
    ("comparator", "text", "fhir_type", "value", "expected"),
    [
        ("", "2013-01-14", "dateTime", "2013-01-14T10:00:00Z", True),
        ("", "2013-01-14", "dateTime", "2013-01", False),
        ("", "2013", "date", "2013-12-31", True),
        ("ne", "2013", "date", "2014", True),
        ("lt", "2013-01-14T10:00", "date", "2013-01-14", True),
        ("ge", "2013-03-14", "Period", OPEN_FROM_21, True),
        ("le", "2013-03-14", "Period", OPEN_FROM_21, True),
        ("eq", "2013-03-14", "Period", OPEN_FROM_21, False),
        ("sa", "2013-03-14", "Period", {"start": "2013-03-15"}, True),
        ("eb", "2013-03-14", "Period", {"end": "2013-01-21"}, True),
        ("eb", "2013-01-21", "Period", {"end": "2013-01-21"}, False),
        ("gt", "2013-01-14", "dateTime", "2013-01-14T00:00:00Z", False),
        ("ge", "2013-01-14", "dateTime", "2013-01-14T00:00:00Z", True),
        ("", "2013-01-14T10:00:00 01:00", "instant", "2013-01-14T09:00:00Z", True),
        ("", "2013-01-14T23:30:00-02:00", "instant", "2013-01-15T01:30:00.000Z", True),
        ("le", "9999", "date", "9999-12-31", True),
        ("", "2016-02", "date", "2016-02-29", True),
        ("eq", "2020-05", "Timing", {"event": ["2020-05-01", "2020-05-03"]}, True),
        ("eq", "2020-05", "Timing", {"repeat": {"frequency": 1}}, False),
        ("gt", "2020", "date", "not a date", False),
        ("gt", "2020", "Period", {"start": "not a date"}, False),
    ],
)
def test_dates_are_intervals(comparator: str, text: str, fhir_type: str, value: Any, expected: bool) -> None:
    assert date.compile_date(comparator, text).accepts(fhir_type, value) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "13",
        "2013-13",
        "2013-02-30",
        "2013-01-14T10",
        "2013-01-14T24:00",
        "2013-01-14T10:60",
        "0000",
        "today",
        "٢٠٢٠",
    ],
)
def test_what_is_no_date_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        date.compile_date("", text)


@pytest.mark.parametrize(
    ("text", "fhir_type", "value", "expected"),
    [
        ("http://x.example/a", "uri", "http://x.example/a", True),
        ("http://x.example/a", "uri", "http://x.example/A", False),
        ("http://x.example/a", "uri", "http://x.example/a/b", False),
        ("http://x.example/a", "canonical", "http://x.example/a|1", True),
    ],
)
def test_uris(text: str, fhir_type: str, value: str, expected: bool) -> None:
    found = frozenset(uri.keys_of(fhir_type, value))
    assert accepts_only_what_its_keys_find(uri.compile_uri(text, False), fhir_type, value, found) is expected


def test_the_fragment_of_a_source_does_not_count() -> None:
    assert uri.compile_uri("http://ehr.example", any_fragment=True).accepts("uri", "http://ehr.example#msg-7")


def test_an_element_with_extensions_only_is_missing() -> None:
    assert not is_present({"id": "a", "extension": [{"url": "x"}]})
    assert not is_present(None)
    assert is_present({"text": "x"})
