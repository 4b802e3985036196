"""Every search parameter of the standard is an expression the engine takes, and those in use find what they should."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import compile_expression

EXPRESSIONS = {FhirVersion.R4: 1374, FhirVersion.R4B: 1415, FhirVersion.R5: 1227}


@pytest.mark.parametrize("version", list(FhirVersion))
def test_every_search_parameter_compiles_for_each_of_its_bases(version: FhirVersion) -> None:
    facts = definitions(version)
    published = {
        parameter.url: parameter for base in facts.resource_types for parameter in facts.search_parameters(base)
    }
    compiled = 0
    for parameter in published.values():
        for base in parameter.base if parameter.expression else ():
            compile_expression(parameter.expression, facts, root_type=base)
        for _, relative in parameter.components:
            compile_expression(relative, facts)
        compiled += bool(parameter.expression)
    assert compiled == EXPRESSIONS[version]


def found(version: FhirVersion, resource: dict[str, Any], code: str) -> list[tuple[str, Any]]:
    facts = definitions(version)
    parameter = facts.search_parameter(resource["resourceType"], code)
    assert parameter is not None
    expression = compile_expression(parameter.expression, facts, root_type=resource["resourceType"])
    unguided = compile_expression(parameter.expression, facts)
    assert unguided.typed_items(resource) == expression.typed_items(resource)
    return expression.typed_items(resource)


WEIGHT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2024-03-01T10:00:00Z",
    "valueQuantity": {"value": Decimal("6.30"), "unit": "kg"},
    "component": [{"code": {"text": "arm"}, "valueCodeableConcept": {"text": "left"}}],
}


@pytest.mark.parametrize("version", list(FhirVersion))
def test_choice_elements_are_selected_by_type(version: FhirVersion) -> None:
    """S-271: ``(Observation.value as Quantity)`` in R4, ``Observation.value.ofType(Quantity)`` in R5."""
    assert found(version, WEIGHT, "value-quantity") == [("Quantity", {"value": Decimal("6.30"), "unit": "kg"})]
    assert found(version, WEIGHT, "value-concept") == []
    assert found(version, WEIGHT, "date") == [("dateTime", "2024-03-01T10:00:00Z")]


@pytest.mark.parametrize("version", list(FhirVersion))
@pytest.mark.parametrize(
    ("reference", "is_patient"),
    [
        ({"reference": "Patient/1"}, True),
        ({"reference": "https://ehr.example.org/fhir/Patient/1/_history/2"}, True),
        ({"reference": "Patient?identifier=http://example.org|1"}, True),
        ({"reference": "#p"}, True),
        ({"reference": "urn:uuid:0b3d", "type": "Patient"}, True),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient", "identifier": {"value": "1"}}, True),
        ({"reference": "Group/1"}, False),
        ({"reference": "#g"}, False),
        ({"reference": "#nowhere"}, False),
        ({"reference": "urn:uuid:0b3d"}, False),
        ({"identifier": {"value": "1"}}, False),
        ({"reference": "1"}, False),
        ({"reference": 7}, False),
    ],
)
def test_patient_parameter_tells_the_target_type_without_fetching(
    version: FhirVersion, reference: Any, is_patient: bool
) -> None:
    """S-255."""
    contained = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Group", "id": "g"}]
    observation = {"resourceType": "Observation", "contained": contained, "subject": reference}
    assert bool(found(version, observation, "patient")) is is_patient


@pytest.mark.parametrize("version", list(FhirVersion))
@pytest.mark.parametrize(
    ("patient", "deceased"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2024"}, True),
    ],
)
def test_deceased_holds_for_true_and_for_any_date(
    version: FhirVersion, patient: dict[str, Any], deceased: bool
) -> None:
    """S-251."""
    assert found(version, {"resourceType": "Patient", **patient}, "deceased") == [("System.Boolean", deceased)]


def test_composite_components_are_evaluated_relative_to_the_element() -> None:
    facts = definitions(FhirVersion.R4)
    parameter = facts.search_parameter("Observation", "component-code-value-concept")
    assert parameter is not None
    ((type_, component),) = compile_expression(parameter.expression, facts).typed_items(WEIGHT)
    assert type_ == "Observation.component"
    values = [
        compile_expression(relative, facts, root_type=type_).typed_items_of(type_, component)
        for _, relative in parameter.components
    ]
    assert values == [[("CodeableConcept", {"text": "arm"})], [("CodeableConcept", {"text": "left"})]]


def test_first_entry_of_a_bundle_is_found_as_the_resource_it_is() -> None:
    message = {"resourceType": "MessageHeader", "id": "m"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": message}, {"resource": WEIGHT}]}
    assert found(FhirVersion.R4, bundle, "message") == [("MessageHeader", message)]
    assert found(FhirVersion.R5, bundle, "message") == [("MessageHeader", message)]
    assert found(FhirVersion.R5, bundle, "composition") == []


def test_foreign_type_prefixes_yield_nothing() -> None:
    """S-240."""
    assert found(FhirVersion.R4, {"resourceType": "CarePlan", "period": {"start": "2024"}}, "date") == [
        ("Period", {"start": "2024"})
    ]
