"""Numbers, conversions, trees, folding, ordering, variables, types: the rest of the functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, compile_expression

R4 = definitions(FhirVersion.R4)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/time", "valueString": "noon"}]},
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
        {"use": "maiden", "family": "Windsor", "given": ["Peter"]},
    ],
    "multipleBirthInteger": 2,
}
FORM: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "item": [
        {"linkId": "1", "item": [{"linkId": "1.1"}, {"linkId": "1.2", "item": [{"linkId": "1.2.1"}]}]},
        {"linkId": "2"},
    ],
}


def values(expression: str, resource: dict[str, Any] | None = PATIENT) -> list[Any]:
    root_type = None if resource is None else resource["resourceType"]
    return compile_expression(expression, R4, root_type=root_type).items(resource)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1.5.ceiling()", [2]),
        ("(-1.5).floor()", [-2]),
        ("(-1.5).truncate()", [-1]),
        ("2.5.round()", [Decimal(3)]),
        ("1.005.round(2)", [Decimal("1.01")]),
        ("7.round(3)", [7]),
        ("2.power(10)", [1024]),
        ("2.power(-1)", [Decimal("0.5")]),
        ("2.power(2000)", []),
        ("9.power(500)", []),
        ("(-8).power(0.5)", []),
        ("0.ln()", []),
        ("1000.log(10)", [Decimal(3)]),
        ("10.log(1)", []),
        ("1000000.exp()", []),
        ("9999999999999999 * 9999999999999999", []),
        ("7 div 2", [3]),
        ("5.5 mod 2", [Decimal("1.5")]),
        ("multipleBirth.ofType(integer).abs()", [2]),
    ],
)
def test_numbers(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


def test_what_can_never_be_a_number_is_refused() -> None:
    with pytest.raises(FHIRPathError, match="needs a number, not HumanName"):
        values("name.sqrt()")
    with pytest.raises(FHIRPathEvaluationError, match="zero or more places"):
        values("1.5.round(-1)")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("active.toInteger()", [1]),
        ("'yes'.toBoolean()", [True]),
        ("'maybe'.toBoolean()", []),
        ("'+7'.toInteger()", [7]),
        ("'7.0'.toInteger()", []),
        ("'7.50'.toDecimal().toString()", ["7.50"]),
        ("active.toString()", ["true"]),
        ("name.first().toString()", []),
        ("'2024-01-02T03:04Z'.toDate()", []),
        ("@2024-01-02T03:04Z.toDate().toString()", ["2024-01-02"]),
        ("birthDate.toDateTime().toString()", ["1974-12-25T"]),
        ("'2024-13'.convertsToDate()", [False]),
        ("'25:00'.convertsToTime()", [False]),
        ("'1 fortnight'.convertsToQuantity()", [False]),
        ("name.suffix.convertsToInteger()", []),
    ],
)
def test_conversions(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("repeat(item).linkId", ["1", "2", "1.1", "1.2", "1.2.1"]),
        ("repeatAll(item).count()", [5]),
        ("descendants().linkId.count()", [5]),
        ("children().count()", [2]),
        ("item.children().linkId", ["1.1", "1.2"]),
        ("repeat('x')", ["x"]),
        ("item.repeat(item | item.item).linkId.count()", [3]),
    ],
)
def test_trees(expression: str, result: list[Any]) -> None:
    assert values(expression, FORM) == result


def test_children_are_in_the_order_of_the_json_with_what_stands_beside_primitives() -> None:
    compiled = compile_expression("children()", R4, root_type="Patient")
    types = [type_ for type_, _ in compiled.typed_items(PATIENT)]
    assert types == ["id", "boolean", "date", "HumanName", "HumanName", "HumanName", "integer"]
    assert values("birthDate.children().value") == ["noon"]


def test_a_name_that_nothing_in_the_tree_has_is_refused() -> None:
    with pytest.raises(FHIRPathError, match="has no element itme"):
        values("repeat(itme)", FORM)
    with pytest.raises(FHIRPathError, match=r"first\(\) needs an order, descendants\(\) has none"):
        values("descendants().first()", FORM)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("(1 | 2 | 3).aggregate($this + $total, 0)", [6]),
        ("name.given.aggregate($total & $this & ' ', '')", ["Peter James Jim Peter "]),
        ("(5 | 6).aggregate(iif($index = 0, $this, $total * $this))", [30]),
        ("(1 | 2).aggregate($total + (10 | 20).aggregate($total + $this, 0) * $this, 0)", [90]),
        ("{}.aggregate($this, 7)", [7]),
    ],
)
def test_aggregate_folds_a_collection(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("name.sort(family).use", ["usual", "official", "maiden"]),
        ("name.sort(-family).use", ["usual", "maiden", "official"]),
        ("name.sort(given.first(), -family).use", ["usual", "maiden", "official"]),
        ("name.given.sort()", ["James", "Jim", "Peter", "Peter"]),
        ("(@2024-03 | @2023 | @2024-01).sort().select(toString())", ["2023", "2024-01", "2024-03"]),
    ],
)
def test_sort_orders_by_keys(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


def test_what_has_no_order_is_not_sorted() -> None:
    with pytest.raises(FHIRPathEvaluationError, match="have no order"):
        values("(1 | 'a').sort()")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("name.defineVariable('all').where(%all.count() = 3).count()", [3]),
        (
            "name.first().defineVariable('who', family).given.select(%who & ' ' & $this)",
            ["Chalmers Peter", "Chalmers James"],
        ),
        ("name.select(defineVariable('one').given.select(%one.use & $this)).count()", [4]),
        ("name.given.trace('given', length()).count()", [4]),
    ],
)
def test_a_variable_is_known_in_the_rest_of_the_path(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("name.defineVariable('a').count() > 1 and %a.exists()", "Unknown variable %a"),
        ("name.where(defineVariable('a').exists()).select(%a)", "Unknown variable %a"),
        ("name.defineVariable('a').defineVariable('a')", "cannot define %a again"),
        ("defineVariable('current')", "cannot define %current again"),
        ("defineVariable(id)", "needs the name of the variable"),
    ],
)
def test_a_variable_is_not_known_elsewhere(expression: str, says: str) -> None:
    with pytest.raises(FHIRPathError, match=says):
        values(expression)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("type().name", ["Patient"]),
        ("active.type().namespace & '.' & active.type().name", ["FHIR.boolean"]),
        ("1.type().select(namespace & '.' & name)", ["System.Integer"]),
        ("name.first().type() = name.last().type()", [True]),
    ],
)
def test_items_tell_their_type(expression: str, result: list[Any]) -> None:
    assert values(expression) == result


def test_a_type_has_no_other_elements() -> None:
    with pytest.raises(FHIRPathError, match="has no element baseType"):
        values("type().baseType")
