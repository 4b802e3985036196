"""``memberOf()`` asks a port for the value sets that are held; what is not held is refused (S-274)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, FHIRPathUnsupported, compile_expression

R4 = definitions(FhirVersion.R4)
INPATIENT, LARGE = "http://example.org/vs/inpatient", "http://example.org/vs/large"
UNFIT = "http://example.org/vs/unfit"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


class Held:
    """Two value sets; of the second only one code is known."""

    def holds(self, url: str) -> bool:
        return url in (INPATIENT, LARGE)

    def why_not(self, url: str) -> str:
        return "it needs a terminology server" if url == UNFIT else ""

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        if url == LARGE:
            return True if code == "IMP" else None
        return system in (ACT, None) and code in ("IMP", "ACUTE")


def values(expression: str, **elements: Any) -> list[Any]:
    compiled = compile_expression(expression, R4, root_type="Encounter", value_sets=Held())
    return compiled.items({"resourceType": "Encounter"} | elements)


def test_a_coding_is_in_a_value_set_by_system_and_code() -> None:
    expression = f"class.memberOf('{INPATIENT}')"
    assert values(expression, **{"class": {"system": ACT, "code": "IMP"}}) == [True]
    assert values(expression, **{"class": {"system": "http://example.org", "code": "IMP"}}) == [False]
    assert values(expression, **{"class": {"system": ACT}}) == [False]
    assert values(expression) == []


def test_a_concept_is_in_it_when_one_of_its_codings_is() -> None:
    expression = f"serviceType.memberOf('{INPATIENT}')"
    other, inside = {"system": ACT, "code": "AMB"}, {"system": ACT, "code": "ACUTE"}
    assert values(expression, serviceType={"coding": [other, inside]}) == [True]
    assert values(expression, serviceType={"coding": [other]}) == [False]
    assert values(expression, serviceType={"text": "inpatient"}) == [False]
    assert values(expression, serviceType={"coding": "broken"}) == [False]


def test_a_code_is_looked_up_without_system() -> None:
    assert values(f"status.memberOf('{INPATIENT}')", status="IMP") == [True]


def test_what_the_value_set_cannot_tell_is_no_answer() -> None:
    assert values(f"status.memberOf('{LARGE}')", status="IMP") == [True]
    with pytest.raises(FHIRPathEvaluationError, match="cannot tell whether it has this code"):
        values(f"status.memberOf('{LARGE}')", status="AMB")


def test_a_value_set_that_is_not_held_is_refused_with_its_place() -> None:
    with pytest.raises(FHIRPathUnsupported, match=r"http://example\.org/vs/other is not held here") as refusal:
        values("status.memberOf('http://example.org/vs/other')")
    assert refusal.value.position == len("status")


def test_a_value_set_that_cannot_be_asked_is_refused_with_the_reason() -> None:
    with pytest.raises(FHIRPathUnsupported, match="vs/unfit cannot be used: it needs a terminology server"):
        values(f"status.memberOf('{UNFIT}')")


def test_a_coding_without_a_system_is_not_the_code_of_every_system() -> None:
    """As for ``:in``: only a plain code leaves the system to its element."""
    for coding in ({"code": "IMP"}, {"system": "", "code": "IMP"}, {"system": 7, "code": "IMP"}):
        assert values(f"class.memberOf('{INPATIENT}')", **{"class": coding}) == [False]
        assert values(f"serviceType.memberOf('{INPATIENT}')", serviceType={"coding": [coding]}) == [False]


def test_without_value_sets_it_is_refused() -> None:
    with pytest.raises(FHIRPathUnsupported, match="Compare with the codes themselves"):
        compile_expression(f"status.memberOf('{INPATIENT}')", R4, root_type="Encounter")


def test_the_value_set_stands_in_the_expression() -> None:
    with pytest.raises(FHIRPathError, match="needs the canonical of one value set"):
        values("status.memberOf(id)")
    with pytest.raises(FHIRPathUnsupported, match="ValueSet/administrative-gender is not held"):
        values("status.memberOf(%`vs-administrative-gender`)")


def test_what_can_never_be_a_code_is_refused() -> None:
    with pytest.raises(FHIRPathError, match="needs a code, not Period"):
        values(f"period.memberOf('{INPATIENT}')")
