"""What the lint says of canFilterBy and notificationShape."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.unit.matching.lint.builders import PATIENT, Told, texts, told, told_of_filter

R4, R4B, R5 = FhirVersion
HERE = "canFilterBy[0]"
SHAPE = "notificationShape[0]"


@pytest.mark.parametrize("version", FhirVersion)
def test_a_filter_with_its_definition_is_fine(version: FhirVersion) -> None:
    assert told_of_filter(version) == []


def test_a_filter_without_definition_is_a_hint_that_names_it() -> None:
    """S-046."""
    assert told_of_filter(filterDefinition=None) == [("information", HERE)]
    bare = {name: value for name, value in PATIENT.items() if name != "filterDefinition"}
    assert "read as http://hl7.org/fhir/SearchParameter/clinical-patient" in texts(canFilterBy=[bare])


@pytest.mark.parametrize(
    "definition",
    [
        "http://hl7.org/fhir/SearchParameter/Encounter-patiant",
        "http://hl7.org/fhir/SearchParameter/Observation-subject",
    ],
)
def test_a_definition_of_nothing_or_of_other_resources_is_a_warning(definition: str) -> None:
    assert told_of_filter(filterDefinition=definition) == [("warning", f"{HERE}.filterDefinition")]


@pytest.mark.parametrize(
    "definition",
    [
        "http://hl7.org/fhir/SearchParameter/clinical-patient|4.0.1",
        "http://hl7.org/fhir/SearchParameter/Encounter-subject",  # a name of the topic's own
        "http://ehr.example/filters/patient",
    ],
)
@pytest.mark.parametrize("version", FhirVersion)
def test_a_definition_of_any_version_and_of_others_is_fine(version: FhirVersion, definition: str) -> None:
    assert told_of_filter(version, filterDefinition=definition) == []


@pytest.mark.parametrize("definition", ["Task-patient", "clinical-patient"])
@pytest.mark.parametrize("version", FhirVersion)
def test_a_definition_that_another_version_has_for_this_type_is_fine(version: FhirVersion, definition: str) -> None:
    """R4 and R4B have Task-patient, R5 has clinical-patient for Task: a topic for all three can name only one."""
    url = f"http://hl7.org/fhir/SearchParameter/{definition}"
    entry = {"resource": "Task", "filterParameter": "patient", "filterDefinition": url}
    assert told(version, resourceTrigger=[{"resource": "Task"}], canFilterBy=[entry]) == []


def test_a_filter_that_is_no_parameter_is_a_warning_with_the_nearest_name() -> None:
    assert told_of_filter(filterParameter="pateint", filterDefinition=None) == [("warning", HERE)]
    entry = {"resource": "Encounter", "filterParameter": "pateint"}
    assert "Did you mean 'patient'?" in texts(canFilterBy=[entry])


def test_a_filter_that_no_single_change_can_be_tested_for_is_a_warning() -> None:
    entry = {"resource": "Location", "filterParameter": "near"}
    entry["filterDefinition"] = "http://hl7.org/fhir/SearchParameter/Location-near"
    assert told(resourceTrigger=[{"resource": "Location"}], canFilterBy=[entry]) == [("warning", HERE)]


@pytest.mark.parametrize("version", FhirVersion)
def test_composites_and_chains_can_be_tested_for(version: FhirVersion) -> None:
    """S-047, S-266; what is said of a chain is said of its last parameter."""
    composite = {"resource": "Observation", "filterParameter": "code-value-quantity"}
    composite["filterDefinition"] = "http://hl7.org/fhir/SearchParameter/Observation-code-value-quantity"
    chain = {"resource": "Observation", "filterParameter": "patient.gender"}
    assert told(version, resourceTrigger=[{"resource": "Observation"}], canFilterBy=[composite, chain]) == []
    compared, modified = chain | {"comparator": ["gt"]}, chain | {"modifier": ["text"]}
    for entry, where in ((compared, "comparator"), (modified, "modifier")):
        found = told(version, resourceTrigger=[{"resource": "Observation"}], canFilterBy=[entry])
        assert found == [("warning", f"{HERE}.{where}")]


def test_a_filter_about_another_type_is_a_warning() -> None:
    """S-051."""
    assert told_of_filter(resource="Patient", filterParameter="gender", filterDefinition=None) == [("warning", HERE)]
    assert "No event of this topic is about Patient" in texts(
        canFilterBy=[{"resource": "Patient", "filterParameter": "gender"}]
    )


def test_comparators_on_a_parameter_without_order_are_a_warning() -> None:
    """S-048, S-240."""
    assert told_of_filter(comparator=["eq", "gt"]) == [("warning", f"{HERE}.comparator")]
    assert told_of_filter(comparator=["eq"]) == []
    date = {"filterParameter": "date", "filterDefinition": "http://hl7.org/fhir/SearchParameter/clinical-date"}
    assert told_of_filter(comparator=["gt", "le"], **date) == []


def test_modifiers_that_cannot_be_decided_are_a_warning() -> None:
    """S-048: as in the admission topic of FHIR R5."""
    assert told_of_filter(modifier=["in", "not-in"]) == [("warning", f"{HERE}.modifier")]
    assert told_of_filter(modifier=["missing", "identifier", "type"]) == []


def test_a_filter_that_stands_twice_is_a_hint() -> None:
    assert told(canFilterBy=[PATIENT, PATIENT]) == [("information", "canFilterBy[1]")]
    subject = PATIENT | {"filterParameter": "subject"}
    assert told(canFilterBy=[PATIENT, subject]) == []


def shaped(version: FhirVersion = R4, resource: str = "Encounter", **directives: Any) -> Told:
    return told(version, notificationShape=[{"resource": resource, **directives}])


@pytest.mark.parametrize(
    "include",
    [
        "Encounter:observation",  # exists in no version
        "Encounter:status",  # no reference
        "Patient:organization",  # starts elsewhere
        "Encounter:patient:Practitioner",  # never points there
        "Encounter:patient:Unicorn",
        "Encounter",
    ],
)
def test_an_include_that_names_nothing_is_a_warning(include: str) -> None:
    """S-057."""
    assert shaped(include=[include]) == [("warning", f"{SHAPE}.include")]


@pytest.mark.parametrize(
    "include",
    ["Encounter:patient", "Encounter:subject:Patient", "Patient:organization:iterate", "Encounter:participant"],
)
@pytest.mark.parametrize("version", FhirVersion)
def test_an_include_that_names_something_is_fine(version: FhirVersion, include: str) -> None:
    assert shaped(version, include=[include]) == []


def test_the_nearest_include_is_named() -> None:
    def said(include: str) -> str:
        return texts(R5, notificationShape=[{"resource": "Encounter", "include": [include]}])

    assert "Did you mean 'patient'?" in said("Encounter:pateint")
    assert "Did you mean 'diagnosis-reference'?" in said("Encounter:diagnosis")


def test_a_reverse_include_that_never_refers_to_the_focus_is_a_warning() -> None:
    assert shaped(revInclude=["Encounter:subject"]) == [("warning", f"{SHAPE}.revInclude")]
    assert shaped(revInclude=["Observation:patient"]) == [("warning", f"{SHAPE}.revInclude")]
    assert shaped(revInclude=["Unicorn:horn"]) == [("warning", f"{SHAPE}.revInclude")]
    assert shaped(revInclude=["Provenance:target", "Observation:encounter"]) == []


def test_a_shape_of_another_type_is_a_warning() -> None:
    assert shaped(resource="Patient") == [("warning", f"{SHAPE}.resource")]
    assert shaped(resource="Resource") == []
