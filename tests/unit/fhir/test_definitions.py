"""The fact tables of the three FHIR versions (S-240, S-271, S-273)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import PRIMITIVES, definitions

R4, R4B, R5 = (definitions(version) for version in FhirVersion)
SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


def test_every_version_has_its_own_resource_types() -> None:
    assert (len(R4.resource_types), len(R4B.resource_types), len(R5.resource_types)) == (146, 141, 158)
    assert "SubscriptionStatus" not in R4.resource_types
    assert "SubscriptionStatus" in R4B.resource_types
    assert "SubscriptionTopic" in R5.resource_types


def test_choice_element_is_found_by_its_name_without_type() -> None:
    value = R4.element("Observation", "value")
    assert value is not None
    assert value.choice
    assert set(value.types) >= {"Quantity", "CodeableConcept", "string", "Period"}
    assert R4.element("Observation", "valueQuantity") is None


def test_backbone_elements_are_walked_by_their_path() -> None:
    hospitalization = R4.element("Encounter", "hospitalization")
    assert hospitalization is not None
    assert hospitalization.types == ("BackboneElement",)
    origin = R4.element(hospitalization.path, "origin")
    assert origin is not None
    assert (origin.types, origin.many) == (("Reference",), False)


def test_content_reference_leads_to_the_referenced_elements() -> None:
    link = R4.element("Bundle.entry", "link")
    assert link is not None
    assert (link.types, link.path) == (("BackboneElement",), "Bundle.link")
    assert R4.element(link.path, "relation") is not None


@pytest.mark.parametrize("type_", ["Encounter", "Encounter.location", "HumanName", "Timing"])
def test_common_elements_come_with_the_base_type(type_: str) -> None:
    extension = R5.element(type_, "extension")
    assert extension is not None
    assert extension.many


def test_unknown_elements_and_types_have_no_facts() -> None:
    assert R4.element("Encounter", "actualPeriod") is None
    assert R5.element("Encounter", "actualPeriod") is not None
    assert R4.element("Bundle", "extension") is None
    assert not R4.is_type("Encounter.location")
    assert not R4.is_type("")


def test_type_hierarchy_answers_is_a() -> None:
    assert R4.is_a("Age", "Quantity")
    assert R4.is_a("Encounter", "DomainResource")
    assert R4.is_a("code", "string")
    assert not R4.is_a("Bundle", "DomainResource")


def test_parameters_of_every_resource_are_found_for_each_type() -> None:
    identifier = R4.search_parameter("Encounter", "_id")
    assert identifier is not None
    assert identifier.expression == "Resource.id"
    assert {parameter.code for parameter in R4.search_parameters("Encounter")} >= {
        "status",
        "_id",
        "_lastUpdated",
        "_text",
    }
    assert R4.search_parameter("Encounter", "gender") is None


def test_search_parameter_is_found_by_its_canonical() -> None:
    url = "http://hl7.org/fhir/SearchParameter/Encounter-status"
    found = R5.search_parameter_by_url(url)
    assert found is not None
    assert (found.code, found.base, found.type) == ("status", ("Encounter",), "token")


def test_composite_names_its_components() -> None:
    composite = R4.search_parameter("Observation", "code-value-quantity")
    assert composite is not None
    assert composite.components == (
        ("http://hl7.org/fhir/SearchParameter/clinical-code", "code"),
        ("http://hl7.org/fhir/SearchParameter/Observation-value-quantity", "value.as(Quantity)"),
    )


def test_known_faults_of_the_registries_are_corrected() -> None:
    """S-273."""
    location_period = R5.search_parameter("Encounter", "location-period")
    assert location_period is not None
    assert (location_period.type, location_period.expression) == ("date", "Encounter.location.period")
    assert location_period.components == ()
    date = R5.search_parameter("Appointment", "date")
    assert date is not None
    assert "(Appointment.start | Appointment.requestedPeriod.start).first()" in date.expression
    for facts in (R4, R4B):
        value_date = facts.search_parameter("Observation", "code-value-date")
        assert value_date is not None
        assert "DateTime" not in value_date.components[1][1].replace("dateTime", "")


def test_patient_compartment_names_parameters_that_exist() -> None:
    assert R5.patient_compartment["Encounter"] == ("patient",)
    for facts in (R4, R4B, R5):
        for type_, codes in facts.patient_compartment.items():
            for code in codes:
                assert facts.search_parameter(type_, code) is not None, (type_, code)


def test_every_type_of_every_element_exists() -> None:
    for facts in (R4, R4B, R5):
        for owner in facts.resource_types:
            for name in facts.element_names(owner):
                element = facts.element(owner, name)
                assert element is not None
                assert all(facts.is_type(type_) or type_ in PRIMITIVES for type_ in element.types), (owner, name)


@pytest.mark.skipif(not SHARED.exists(), reason="the registries themselves are not here")
@pytest.mark.parametrize("version", list(FhirVersion))
def test_tables_hold_every_parameter_of_the_registry(version: FhirVersion) -> None:
    published = json.loads((SHARED / "search-parameters" / f"{version.name}.json").read_text())
    facts = definitions(version)
    assert all(facts.search_parameter_by_url(parameter["url"]) is not None for parameter in published)
