"""Functions of strings, and patterns on an engine that takes linear time."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, compile_expression

R4 = definitions(FhirVersion.R4)
PATIENT = {"resourceType": "Patient", "gender": "male", "birthDate": "1974", "name": [{"given": ["Ann", "Eve"]}]}


def values(expression: str, resource: dict[str, Any] | None = PATIENT) -> list[Any]:
    return compile_expression(expression, R4, root_type="Patient").items(resource)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("gender.upper()", ["MALE"]),
        ("'abc'.indexOf('c')", [2]),
        ("'abcabc'.lastIndexOf('bc')", [4]),
        ("'abc'.substring(1, 1)", ["b"]),
        ("'abc'.substring(1, {})", ["bc"]),
        ("'abc'.substring(1, -1)", [""]),
        ("'abc'.substring(3)", []),
        ("'a,b'.split(',').count()", [2]),
        ("'ab'.split('').count()", [2]),
        ("name.given.join('+')", ["Ann+Eve"]),
        ("name.given.join()", ["AnnEve"]),
        ("name.prefix.join(',')", []),
        ("'ÿ'.encode('hex')", ["c3bf"]),
        ("'!'.decode('base64')", []),
        ("'ff'.decode('hex')", []),
        (r"'\\ud83d\\ude00'.unescape('json')", ["😀"]),
        (r"'\\ud83d'.unescape('json')", []),
        (r"'\\q'.unescape('json')", []),
        ("'<&>'.escape('html').unescape('html')", ["<&>"]),
        ("{}.upper()", []),
        ("gender.length() = 4", [True]),
    ],
)
def test_strings(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("name.upper()", "needs a string, not HumanName"),
        ("birthDate.startsWith('19')", r"write toString\(\) before it"),
        ("5.matches('5')", "needs a string, not System.Integer"),
    ],
)
def test_what_can_never_be_a_string_is_refused(expression: str, says: str) -> None:
    with pytest.raises(FHIRPathError, match=says):
        values(expression)


def test_a_coding_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(FHIRPathEvaluationError, match="'rot13' is none of hex, base64, urlbase64"):
        values("gender.encode('rot13')")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("gender.matches('al')", [True]),
        ("gender.matches('^al')", [False]),
        ("gender.matches('^(male|female)$')", [True]),
        ("gender.matchesFull('al')", [False]),
        ("gender.matchesFull('m.*e')", [True]),
        (r"'a\nb'.matches('a.b')", [True]),
        (r"'é'.matches('^\\p{L}$')", [True]),
        ("gender.matches({})", []),
        ("name.suffix.matches('x')", []),
        (r"'11/30/1972'.replaceMatches('(?P<m>\\d+)/(\\d+)/(\\d+)', '$3-${m}-$2')", ["1972-11-30"]),
        ("'abc'.replaceMatches('', 'x')", ["abc"]),
        ("'abc'.replaceMatches('x*', '-')", ["-a-b-c-"]),
        (r"'abc'.replaceMatches('b', '\\1')", [r"a\1c"]),
        ("'abc'.replaceMatches('(x)?b', '[$1]')", ["a[]c"]),
    ],
)
def test_patterns(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(a", "missing"),
        (r"(a)\\1", "invalid escape sequence"),
        ("(?=a)b", "invalid perl operator"),
        ("(?<!a)b", "invalid"),
        ("a{5000}", "repetition"),
        (r"(\\pL|\\pN){1,50}" * 9, "pattern too large"),
        ("a" * 1001, "at most 1000 characters"),
    ],
)
def test_a_pattern_that_could_take_long_is_refused_with_its_place(pattern: str, says: str) -> None:
    """SECURITY E2."""
    for expression in (f"gender.matches('{pattern}')", f"gender.replaceMatches('{pattern}', '')"):
        with pytest.raises(FHIRPathError, match=says) as refusal:
            values(expression)
        assert refusal.value.position == len("gender")


def test_a_pattern_from_the_data_is_refused() -> None:
    with pytest.raises(FHIRPathError, match="needs a pattern that stands in the expression"):
        values("gender.matches(name.given.first())")


def test_a_group_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FHIRPathEvaluationError, match="the pattern has no group 2"):
        values("'abc'.replaceMatches('(b)', '$2')")


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(.*a){25}$", "^([a-zA-Z]+)*$", r"^(\\w+\\s?)*$"]
)
def test_patterns_that_stall_other_engines_are_answered(pattern: str) -> None:
    """Each of these takes a back-tracking engine longer than the age of the hub for so many characters."""
    assert values(f"gender.matches('{pattern}')", PATIENT | {"gender": "a" * 5000 + "!"}) == [False]
