"""The language itself: three-valued logic, equality, types, literals, functions (http://hl7.org/fhirpath/N1/)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathEvaluationError, compile_expression

R4 = definitions(FhirVersion.R4)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {
            "use": "usual",
            "given": [None, "Jim"],
            "_given": [{"extension": [{"url": "http://example.org/unknown"}]}, None],
        },
    ],
    "_gender": {"extension": [{"url": "http://example.org/reason", "valueCode": "unknown"}]},
    "contact": [{"name": {"family": "du Marché"}}],
    "extension": [{"url": "http://example.org/weight", "valueQuantity": {"value": Decimal("6.30"), "unit": "kg"}}],
}


def values(expression: str, resource: dict[str, Any] | None = PATIENT) -> list[Any]:
    return compile_expression(expression, R4, root_type="Patient").items(resource)


T, F, E = "true", "false", "{}"


@pytest.mark.parametrize(
    ("operator", "table"),
    [
        ("and", {(T, T): T, (T, F): F, (T, E): E, (F, F): F, (F, E): F, (E, E): E, (F, T): F, (E, T): E, (E, F): F}),
        ("or", {(T, T): T, (T, F): T, (T, E): T, (F, F): F, (F, E): E, (E, E): E, (F, T): T, (E, T): T, (E, F): E}),
        ("xor", {(T, T): F, (T, F): T, (T, E): E, (F, F): F, (F, E): E, (E, E): E, (F, T): T, (E, T): E, (E, F): E}),
        (
            "implies",
            {(T, T): T, (T, F): F, (T, E): E, (F, F): T, (F, E): T, (E, E): E, (F, T): T, (E, T): T, (E, F): E},
        ),
    ],
)
def test_logic_has_three_values(operator: str, table: dict[tuple[str, str], str]) -> None:
    meaning: dict[str, list[bool]] = {T: [True], F: [False], E: []}
    for (left, right), result in table.items():
        assert values(f"{left} {operator} {right}") == meaning[result], (left, operator, right)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # paths
        ("Patient.name.given", ["Peter", "James", "Jim"]),
        ("name[0].given[1]", ["James"]),
        ("name[7].given", []),
        ("`name`.`use`", ["official", "usual"]),
        ("Patient.contact.name.family", ["du Marché"]),
        ("Observation.value", []),
        ("DomainResource.active", [True]),
        # existence
        ("gender.exists()", [True]),
        ("gender.hasValue()", [False]),
        ("gender", []),
        ("name.given.count()", [4]),
        ("name.where(use = 'usual').given.hasValue()", [False]),
        ("name.exists(use = 'nickname')", [False]),
        ("name.all(given.exists())", [True]),
        ("{}.all(false)", [True]),
        ("photo.empty()", [True]),
        ("active.not()", [False]),
        ("photo.not()", []),
        ("name.first().use", ["official"]),
        ("name.tail().use | name.last().use", ["usual"]),
        ("name.select($index)", [0, 1]),
        ("name.where($this.use = 'usual' and $index = 1).exists()", [True]),
        ("iif(active, 'yes', 1)", ["yes"]),
        ("photo.iif($this.exists(), 1, 2)", [2]),
        # extensions, also beside primitives
        ("extension('http://example.org/weight').value.unit", ["kg"]),
        ("birthDate.extension('http://example.org/time').value", ["1974-12-25T14:35:45-05:00"]),
        ("gender.extension('http://example.org/reason').value", ["unknown"]),
        ("name.given.extension('http://example.org/unknown').exists()", [True]),
        ("birthDate.extension.url", ["http://example.org/time"]),
        # equality
        ("1 = 1.0", [True]),
        ("'a' = 'A'", [False]),
        ("'a  B' ~ 'A b'", [True]),
        ("1 = true", [False]),
        ("active = true", [True]),
        ("{} = {}", []),
        ("{} ~ {}", [True]),
        ("(1 | 2) = (2 | 1)", [False]),
        ("(1 | 2) ~ (2 | 1)", [True]),
        ("(1 | 2) = 1", [False]),
        ("gender != 'male'", []),
        ("name[0] = name[0]", [True]),
        ("name[0] = name[1]", [False]),
        ("1 != 2 and 1 !~ 2", [True]),
        # order
        ("2 > 1.5 and 'b' > 'a' and 2 >= 2 and 1 <= 2 and 1 < 2", [True]),
        ("{} < 1", []),
        # dates: empty when the precision leaves it open
        ("birthDate = @1974-12-25", [True]),
        ("birthDate < @1975", [True]),
        ("birthDate = @1974-12", []),
        ("birthDate ~ @1974-12", [False]),
        ("birthDate > @1974", []),
        ("@2024-01-01T10:00:00Z = @2024-01-01T12:00:00+02:00", [True]),
        ("@2024-01-01T10:00:00Z = @2024-01-01T10:00:00.000Z", [True]),
        ("@2024-01-01T10:00:00Z > @2024-01-01T10:00:00", []),
        ("@2024-01-01T10:00 < @2024-01-02", [True]),
        ("@T10:30 < @T11", [True]),
        ("@T10:30 = @T10", []),
        ("@T10 = @2024", [False]),
        # quantities of one unit
        ("extension.value > 6 'kg'", [True]),
        ("extension.value = 6.3 'kg'", [True]),
        ("2 days > 1 day", [True]),
        ("1 second = 1 's'", [True]),
        # membership
        ("'usual' in name.use", [True]),
        ("name.use contains 'old'", [False]),
        ("{} in name.use", []),
        ("'a' in {}", [False]),
        ("2 in (1 | 2.0)", [True]),
        # types
        ("active is boolean and (active is Boolean).not()", [True]),
        ("birthDate is date", [True]),
        ("gender is string and gender is code", [True]),
        ("Patient is DomainResource", [True]),
        ("'a' is System.String", [True]),
        ("1 'mg' is Quantity", [True]),
        ("photo is Attachment", []),
        ("extension.value.ofType(Quantity).value", [Decimal("6.30")]),
        ("(extension.value as string)", []),
        ("name.as(HumanName).use", ["official", "usual"]),
        ("name.family.ofType(FHIR.string)", ["Chalmers"]),
        # arithmetic and strings
        ("1 + 2 * 3", [7]),
        ("-1 + 1", [0]),
        ("7 div 2 + 7 mod 2", [4]),
        ("4 / 2", [Decimal(2)]),
        ("1 / 0", []),
        ("'a' + 'b' & {} & 'c'", ["abc"]),
        ("'a' + {}", []),
        ("'abc'.startsWith('a') and 'abc'.endsWith('c') and 'abc'.contains('b')", [True]),
        # sets
        ("(1 | 1.0 | 2).count()", [2]),
        ("(1 | 2).combine(2).isDistinct()", [False]),
        ("(1 | 2).intersect(2 | 3) | (1 | 2).exclude(2)", [2, 1]),
        ("(1 | 2).subsetOf(1 | 2 | 3) and (1 | 2).supersetOf(1)", [True]),
        ("(3 | 2 | 3).first()", [3]),
        ("(1 | true).count()", [2]),
        # variables and literals
        ("%ucum", ["http://unitsofmeasure.org"]),
        ("%`vs-administrative-gender`", ["http://hl7.org/fhir/ValueSet/administrative-gender"]),
        (r"'it\'s \u0041\n'", ["it's A\n"]),
        ("1 /* one */ + // and\n 1", [2]),
        ("%current.exists() or %previous.exists()", [False]),
    ],
)
def test_expression_yields(expression: str, expected: list[Any]) -> None:
    assert values(expression) == expected


def test_booleans_and_numbers_stay_apart() -> None:
    (answer,) = values("(1 | true).last()")
    assert answer is True


def test_no_resource_yields_nothing() -> None:
    assert values("Patient.name.given | name.use", None) == []
    assert values("name.empty()", None) == [True]


def test_one_item_that_is_no_boolean_counts_as_true() -> None:
    """Singleton evaluation of collections."""
    assert values("birthDate and true") == [True]
    assert values("(gender and true)") == [True]
    assert compile_expression("birthDate", R4).is_true(PATIENT)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("name.use and true", "one item is expected where there are 2"),
        ("name is HumanName", "one item is expected"),
        ("name.use > 'a'", "one item is expected"),
        ("name.single()", "one item is expected"),
        ("birthDate > 3", "have no order"),
        ("active > false", "have no order"),
        ("1 + 'a'", "cannot calculate"),
        ("1 & 'a'", "joins strings only"),
        ("name['a']", "an integer is expected"),
        ("extension.value > 'a'", "have no order"),
        ("name.given.first().startsWith(1)", "a string is expected"),
        ("name.use.allTrue()", "a boolean is expected"),
    ],
)
def test_data_that_gives_no_value_is_an_evaluation_error(expression: str, reason: str) -> None:
    with pytest.raises(FHIRPathEvaluationError, match=reason):
        values(expression)


@pytest.mark.parametrize(
    "broken",
    [
        {"birthDate": "25.12.1974"},
        {"birthDate": 1974},
        {"active": "false"},
        {"name": "Chalmers"},
        {"name": [None, 3, {"given": "Peter", "use": {"a": [1]}}]},
        {"name": [{"given": [["x"]], "_given": "y"}]},
        {"extension": {"url": 3}},
        {"_birthDate": {"extension": "x"}, "birthDate": []},
        {"multipleBirthInteger": "1"},
    ],
)
def test_broken_json_is_an_evaluation_error_or_empty_never_a_crash(broken: dict[str, Any]) -> None:
    for expression in (
        "birthDate > @1900",
        "active and true",
        "name.given = 'x' or name.use = 'x'",
        "name.given.extension('x') | extension('x') | birthDate.extension.value",
        "multipleBirth > 1",
        "name | extension | birthDate",
    ):
        try:
            values(expression, {"resourceType": "Patient", **broken})
        except FHIRPathEvaluationError as error:
            assert str(error)


def test_boolean_written_as_text_is_not_taken_for_true() -> None:
    with pytest.raises(FHIRPathEvaluationError, match="str is no boolean"):
        compile_expression("active", R4).is_true({"resourceType": "Patient", "active": "false"})


def test_bound_is_not_a_value() -> None:
    """A Quantity with a comparator (``<5``) has no one value to compare."""
    observation = {"resourceType": "Observation", "valueQuantity": {"value": 5, "comparator": "<", "unit": "kg"}}
    assert compile_expression("value = 5 'kg'", R4).items(observation) == []


def test_floats_compare_as_they_were_written() -> None:
    observation = {"resourceType": "Observation", "valueQuantity": {"value": 6.3, "unit": "kg"}}
    assert compile_expression("value.value = 6.3", R4).is_true(observation)
