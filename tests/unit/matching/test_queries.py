"""Query strings against whole resources."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.definitions import definitions
from hub.matching.search import compile_parameter, compile_query
from hub.matching.search.extraction import extraction
from tests.unit.matching.builders import encounter, observation, quantity

OWN = "https://ehr.example/fhir"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def matches(query: str, resource: dict[str, Any], version: FhirVersion = FhirVersion.R4, type_: str = "") -> bool:
    compiled = compile_query(query, type_ or resource["resourceType"], definitions(version), source_base_url=OWN)
    return compiled.matches(resource)


INPATIENT: dict[FhirVersion, dict[str, Any]] = {
    FhirVersion.R4: {"class": {"system": ACT, "code": "IMP"}},
    FhirVersion.R4B: {"class": {"system": ACT, "code": "IMP"}},
    FhirVersion.R5: {"class": [{"coding": [{"system": ACT, "code": "IMP"}]}]},
}


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=in-progress", True),
        ("Encounter?status=finished,in-progress", True),
        ("status=in-progress&class=IMP", True),
        ("status=in-progress&class=AMB", False),
        ("status=in-progress&status=finished", False),
        ("status:not=finished", True),
        ("status:not=finished,in-progress", False),
        ("type:not=x", True),
        ("type:missing=true", True),
        ("status:missing=true", False),
        ("status:missing=false", True),
        ("patient=Patient/1", True),
        ("patient=1", True),
        (f"patient={OWN}/Patient/1", True),
        ("subject:Patient=1", True),
        ("subject:Group=1", False),
        ("patient=Patient/2", False),
        ("subject:identifier=urn:mrn|7", True),
        ("subject:identifier=urn:mrn|8", False),
        ("_id=1", True),
        ("_id=2", False),
        ("_tag=urn:tags|x", True),
        ("_lastUpdated=ge2026-11-01", True),
        ("Encounter?", True),
    ],
)
def test_queries_on_an_encounter(version: FhirVersion, query: str, expected: bool) -> None:
    resource = encounter(
        meta={"tag": [{"system": "urn:tags", "code": "x"}], "lastUpdated": "2026-11-20T10:00:00Z"},
        subject={"reference": "Patient/1", "identifier": {"system": "urn:mrn", "value": "7"}},
        **INPATIENT[version],
    )
    assert matches(query, resource, version) is expected


@pytest.mark.parametrize("version", FhirVersion)
def test_a_reference_below_the_source_base_equals_the_relative_one(version: FhirVersion) -> None:
    assert matches("patient=Patient/1", encounter(subject={"reference": f"{OWN}/Patient/1"}), version)


def test_a_group_is_no_patient() -> None:
    assert not matches("patient=1", encounter(subject={"reference": "Group/1"}))
    assert matches("subject=1", encounter(subject={"reference": "Group/1"}))


@pytest.mark.parametrize("version", FhirVersion)
def test_quantities_and_dates_of_an_observation(version: FhirVersion) -> None:
    resource = observation(
        valueQuantity=quantity("6.30", unit="mmol/L", system="http://unitsofmeasure.org", code="mmol/L"),
        effectiveDateTime="2026-11-20",
    )
    assert matches("value-quantity=gt6.2||mmol/L&date=ge2026-11", resource, version)
    assert not matches("value-quantity=gt6.3||mmol/L", resource, version)
    assert not matches("value-quantity=gt6.2||mg/dL", resource, version)
    assert matches("value-quantity=lt5,gt6", resource, version)


@pytest.mark.parametrize("version", FhirVersion)
def test_names_numbers_uris_and_telecoms(version: FhirVersion) -> None:
    patient = {
        "resourceType": "Patient",
        "name": [{"family": "Müller", "given": ["Zoë"]}],
        "telecom": [{"system": "phone", "value": "+49 30 123"}],
        "active": True,
        "deceasedDateTime": "2020-01-01",
    }
    assert matches("name=zoe&family=muller&phone=+4930123&active=true&deceased=true", patient, version)
    assert not matches("name:exact=zoe", patient, version)
    risk = {
        "resourceType": "RiskAssessment",
        "status": "final",
        "prediction": [{"probabilityDecimal": Decimal("0.25")}],
    }
    assert matches("probability=gt0.2", risk, version)
    assert matches("url=http://v.example/a", {"resourceType": "ValueSet", "url": "http://v.example/a"}, version)


def test_a_profile_matches_with_any_version() -> None:
    resource = encounter(meta={"profile": ["http://p.example/StructureDefinition/e|2"]})
    for version in FhirVersion:
        assert matches("_profile=http://p.example/StructureDefinition/e", resource, version), version


def test_an_absent_patient_is_alive() -> None:
    assert matches("deceased=false", {"resourceType": "Patient"})


def test_an_element_with_extensions_only_is_missing() -> None:
    assert matches("status:missing=true", {"resourceType": "Encounter", "_status": {"extension": [{"url": "x"}]}})


def test_a_query_never_matches_another_type() -> None:
    assert not matches("_id=1", encounter(), type_="Patient")
    assert matches("_id=1", encounter(), type_="Resource")


@pytest.mark.parametrize(
    "query",
    [
        "patient.organization.name=x",
        "patient.nonsense=x",
        "status.name=x",
        "patient:Group.code=x",
        "patient:Patients.name=x",
        "subject:[Type].name=x",
        "patient.name:text=x",
        "patient._has=x",
        "_has:Observation:patient:code=1",
        "status:in=http://vs.example",
        "status:above=x",
        "patient:below=x",
        "type:text=x",
        "status:nonsense=x",
        "status:not:missing=x",
        "Status=x",
        "location-period:exact=2020",
        "_text=x",
        "_content=x",
        "_list=x",
        "_filter=x",
        "_sort=date",
        "_in=Group/1",
        "patient=Group/1",
        "_list=x",
        "_query=x",
        "_type=Encounter",
        "type:in=http://vs.example",
        "type:below=x",
        "subject:in=Group/1",
        "subject:below=Patient/1",
        "patient:identifier:missing=true",
    ],
)
def test_what_the_hub_cannot_decide_exactly_is_refused_with_advice(query: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        compile_query(query, "Encounter", definitions(FhirVersion.R4))
    assert refused.value.issues[0].diagnostics


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize("query", ["_in=Group/1", "_in:missing=true", "patient._in=Group/1", "_in.name=x"])
def test_membership_in_another_resource_is_refused_though_the_standard_gives_it_an_expression(
    version: FhirVersion, query: str
) -> None:
    """Ruling 23: R5 says ``Resource.id``, which is not the members."""
    with pytest.raises(Unprocessable):
        compile_query(query, "Encounter", definitions(version))


@pytest.mark.parametrize(
    "query", ["date=yesterday", "length=5|x", "status:missing=yes", "status=", "status=a,,b", "status"]
)
def test_what_cannot_be_read_is_malformed(query: str) -> None:
    with pytest.raises(Malformed):
        compile_query(query, "Encounter", definitions(FhirVersion.R4))


@pytest.mark.parametrize(
    ("comparator", "modifier", "parameter"), [("gt", "", "status"), ("xx", "", "date"), ("gt", "missing", "date")]
)
def test_comparators_without_meaning_are_refused(comparator: str, modifier: str, parameter: str) -> None:
    with pytest.raises(Refused):
        compile_parameter("Encounter", parameter, modifier, comparator, "2020", definitions(FhirVersion.R4))


def test_a_comparator_is_put_before_every_value_that_has_none() -> None:
    facts = definitions(FhirVersion.R4)
    clause = compile_parameter("Encounter", "date", "", "ge", "2020,ge2030", facts)
    assert clause.matches(encounter(period={"start": "2021", "end": "2021"}))
    with pytest.raises(Malformed, match="le"):
        compile_parameter("Encounter", "date", "", "ge", "le2020", facts)


UNDECIDABLE = ("_in", "section-code-text")
"""Membership stands in another resource; full text has no exact meaning."""


@pytest.mark.parametrize("version", FhirVersion)
def test_every_plain_parameter_of_every_type_compiles(version: FhirVersion) -> None:
    """The registry of the standard is usable as a whole: what is refused is refused for its kind, not by accident."""
    facts = definitions(version)
    refused = []
    for resource_type in sorted(facts.resource_types):
        for parameter in facts.search_parameters(resource_type):
            if parameter.type != "special" and parameter.expression and parameter.code not in UNDECIDABLE:
                try:
                    source = extraction(parameter, resource_type, facts, "")
                    with source.read({"resourceType": resource_type}) as items:
                        assert isinstance(items, list)
                except Refused as refusal:
                    refused.append((resource_type, parameter.code, str(refusal)))
    assert refused == []
