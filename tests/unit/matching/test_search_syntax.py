"""Query strings as people write them, encoded or not (S-037, S-038, S-238, S-239)."""

import pytest

from hub.errors import Malformed, Unprocessable
from hub.matching.search.syntax import Condition, parse_query, split_prefix, split_unescaped, split_values, unescape


def test_conditions_are_split_at_ampersands_and_at_the_first_equals_sign() -> None:
    assert parse_query("status:not=a,b&code=s|x=1", "Encounter") == (
        Condition("status", "not", "a,b"),
        Condition("code", "", "s|x=1"),
    )


@pytest.mark.parametrize("prefix", ["Encounter?", "/Encounter?", "?"])
def test_the_type_before_the_question_mark_is_tolerated(prefix: str) -> None:
    assert parse_query(f"{prefix}status=planned", "Encounter") == (Condition("status", "", "planned"),)


def test_a_type_alone_has_no_conditions() -> None:
    assert parse_query("Encounter?", "Encounter") == ()


def test_another_type_is_refused() -> None:
    with pytest.raises(Unprocessable, match="Patient"):
        parse_query("Patient?active=true", "Encounter")


def test_percent_escapes_are_decoded_after_splitting() -> None:
    assert parse_query("code=a%26b%3Dc%7Cd&name=J%C3%B6rg+M", "Patient") == (
        Condition("code", "", "a&b=c|d"),
        Condition("name", "", "Jörg M"),
    )


def test_plus_stays_a_plus_in_a_string_that_is_not_encoded() -> None:
    assert parse_query("date=ge2020-01-01T00:00+01:00", "Encounter")[0].value == "ge2020-01-01T00:00+01:00"


@pytest.mark.parametrize("query", ["", "?", "status", "=x", "a=1&", "&a=1", "a=100%", "a=%zz", "a=%ff", "status:=x"])
def test_broken_queries_are_malformed(query: str) -> None:
    with pytest.raises(Malformed):
        parse_query(query, "Encounter")


def test_a_query_of_more_than_16_kib_is_refused() -> None:
    with pytest.raises(Unprocessable, match="16384"):
        parse_query("status=" + "x" * 16384, "Encounter")


def test_values_are_split_at_unescaped_commas_only() -> None:
    assert split_values(r"a\,b,c\\,d") == (r"a\,b", r"c\\", "d")


def test_escapes_are_undone_after_splitting() -> None:
    assert [unescape(part) for part in split_unescaped(r"a\|b|c\$\,\\", "|")] == ["a|b", "c$,\\"]


@pytest.mark.parametrize("value", ["", ",", "a,,b", "a,", r"a\b", "a\\"])
def test_empty_values_and_stray_backslashes_are_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        split_values(value)


def test_more_than_100_values_are_refused() -> None:
    with pytest.raises(Unprocessable, match="100"):
        split_values(",".join("a" * 101))


@pytest.mark.parametrize(
    ("value", "parts"), [("ge5", ("ge", "5")), ("5", ("", "5")), ("lt-1", ("lt", "-1")), ("general", ("", "general"))]
)
def test_a_prefix_stands_before_a_digit(value: str, parts: tuple[str, str]) -> None:
    assert split_prefix(value) == parts
