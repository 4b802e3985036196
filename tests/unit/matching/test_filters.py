"""What a Subscription may filter by, and what its filters let through (S-045…S-050, S-066, S-094…S-097)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.matching.filters import NO_FILTERS, CompiledFilters, compile_filters
from hub.matching.topics import CompiledTopic, compile_topic
from tests.unit.matching.builders import encounter, observation, quantity

PATIENT_1 = {"subject": {"reference": "Patient/1"}}


def topic(*allowed: CanFilterBy, types: tuple[str, ...] = ("Encounter", "Observation")) -> CompiledTopic:
    triggers = tuple(ResourceTrigger(type_) for type_ in types)
    return compile_topic(
        SubscriptionTopic("http://topics.example/t", resource_triggers=triggers, can_filter_by=allowed), FhirVersion.R4
    )


ALLOWED = (
    CanFilterBy("patient", "", "http://hl7.org/fhir/SearchParameter/clinical-patient"),
    CanFilterBy("class", "Encounter"),
    CanFilterBy("status", "Encounter", modifiers=frozenset({"not"})),
    CanFilterBy("date", comparators=frozenset({"ge", "lt"})),
    CanFilterBy("value-quantity", "Observation", comparators=frozenset({"gt"})),
    CanFilterBy("seen-by", "Encounter", "http://hl7.org/fhir/SearchParameter/Encounter-participant|4.0.1"),
    CanFilterBy("orgIdentifier", "Encounter"),
    CanFilterBy("patient.gender"),
    CanFilterBy("type", "Encounter", modifiers=frozenset({"in", "text"})),
)


def compiled(*filters: FilterBy, types: tuple[str, ...] = ("Encounter", "Observation")) -> CompiledFilters:
    return compile_filters(filters, topic(*ALLOWED, types=types))


def passes(filters: CompiledFilters, focus: dict[str, Any]) -> bool:
    return filters.match(focus["resourceType"], focus)


def refusals(*filters: FilterBy, types: tuple[str, ...] = ("Encounter", "Observation")) -> list[str]:
    with pytest.raises(Unprocessable) as refused:
        compiled(*filters, types=types)
    assert all(issue.diagnostics for issue in refused.value.issues)
    return [issue.expression for issue in refused.value.issues]


def test_without_filters_everything_passes() -> None:
    assert compiled() is NO_FILTERS
    assert passes(NO_FILTERS, encounter())


def test_filters_are_joined_by_and_their_values_by_or() -> None:
    filters = compiled(FilterBy("patient", "Patient/1,Patient/2"), FilterBy("class", "IMP"), types=("Encounter",))
    inpatient = {"class": {"code": "IMP"}}
    assert passes(filters, encounter(**PATIENT_1, **inpatient))
    assert passes(filters, encounter(subject={"reference": "Patient/2"}, **inpatient))
    assert not passes(filters, encounter(**PATIENT_1))
    assert not passes(filters, encounter(subject={"reference": "Patient/3"}, **inpatient))


def test_an_unqualified_filter_applies_to_every_focus() -> None:
    filters = compiled(FilterBy("patient", "Patient/1"))
    assert passes(filters, encounter(**PATIENT_1))
    assert passes(filters, observation(**PATIENT_1))
    assert not passes(filters, observation())


def test_a_focus_without_the_parameter_is_not_matched() -> None:
    filters = compiled(FilterBy("class", "IMP"))
    assert passes(filters, encounter(**{"class": {"code": "IMP"}}))
    assert not passes(filters, observation(**{"class": {"code": "IMP"}}))


def test_types_that_are_not_named_are_not_notified() -> None:
    filters = compiled(FilterBy("patient", "Patient/1", resource_type="Encounter"))
    assert passes(filters, encounter(**PATIENT_1))
    assert not passes(filters, observation(**PATIENT_1))


def test_a_type_alone_restricts_to_the_type() -> None:
    filters = compiled(FilterBy("", "", resource_type="Observation"))
    assert passes(filters, observation())
    assert not passes(filters, encounter())


def test_an_unqualified_filter_also_applies_to_the_types_that_others_name() -> None:
    filters = compiled(FilterBy("patient", "Patient/1"), FilterBy("", "", resource_type="Observation"))
    assert passes(filters, observation(**PATIENT_1))
    assert not passes(filters, observation())
    assert not passes(filters, encounter(**PATIENT_1))


def test_a_filter_is_resolved_by_its_definition_before_its_name() -> None:
    filters = compiled(FilterBy("seen-by", "Practitioner/1"), types=("Encounter",))
    assert passes(filters, encounter(participant=[{"individual": {"reference": "Practitioner/1"}}]))


def test_a_name_with_a_dot_that_is_no_chain_is_resolved_by_its_definition() -> None:
    """S-046: filter names are the topic's own."""
    by_definition = CanFilterBy("seen.by", "Encounter", "http://hl7.org/fhir/SearchParameter/Encounter-participant")
    ready = topic(by_definition, types=("Encounter",))
    filters = compile_filters((FilterBy("seen.by", "Practitioner/1"),), ready)
    assert passes(filters, encounter(participant=[{"individual": {"reference": "Practitioner/1"}}]))
    with pytest.raises(Unprocessable):
        compile_filters((FilterBy("seen:Patient.by", "Practitioner/1"),), ready)


def test_comparators_stand_in_the_element_or_in_the_value() -> None:
    seen = encounter(period={"start": "2026-11-20", "end": "2026-11-20"})
    for by in (FilterBy("date", "2026-11-01", comparator="ge"), FilterBy("date", "ge2026-11-01")):
        assert passes(compiled(by, types=("Encounter",)), seen)
    high = observation(valueQuantity=quantity("7", code="mmol/L"))
    assert passes(compiled(FilterBy("value-quantity", "6", comparator="gt"), types=("Observation",)), high)


def test_an_allowed_modifier_is_applied() -> None:
    filters = compiled(FilterBy("status", "planned", modifier="not"), types=("Encounter",))
    assert passes(filters, encounter("finished"))
    assert not passes(filters, encounter("planned"))


@pytest.mark.parametrize(
    ("by", "where"),
    [
        (FilterBy("nonsense", "1"), "filterParameter"),
        (FilterBy("location", "Location/1"), "filterParameter"),
        (FilterBy("orgIdentifier", "1"), "filterParameter"),
        (FilterBy("patient.birthdate", "2020"), "filterParameter"),
        (FilterBy("patient:Group.gender", "male"), "filterParameter"),
        (FilterBy("patient.gender", "female", modifier="not"), "modifier"),
        (FilterBy("type", "x", modifier="text"), "modifier"),
        (FilterBy("class", "IMP", resource_type="Observation"), "filterParameter"),
        (FilterBy("patient", "Patient/1", resource_type="Patient"), "resourceType"),
        (FilterBy("patient", "Patient/1", modifier="missing"), "modifier"),
        (FilterBy("type", "http://vs.example", modifier="in"), "value"),
        (FilterBy("date", "2020", comparator="sa"), "comparator"),
        (FilterBy("status", "planned", comparator="gt"), "comparator"),
        (FilterBy("date", "2020", comparator="ge", modifier="missing"), "modifier"),
        (FilterBy("date", "sa2020"), "value"),
        (FilterBy("date", "le2020", comparator="ge"), "value"),
        (FilterBy("date", "yesterday"), "value"),
        (FilterBy("patient", "Group/1"), "value"),
        (FilterBy("patient", "#x"), "value"),
        (FilterBy("patient", ""), "value"),
        (FilterBy("patient", "x" * 20000), "value"),
        (FilterBy("patient", ",".join(["1"] * 101)), "value"),
    ],
)
def test_what_the_topic_or_the_hub_cannot_do_is_refused_where_it_stands(by: FilterBy, where: str) -> None:
    found = refusals(FilterBy("patient", "Patient/1"), by)
    assert f"filterBy[1].{where}" in found
    assert all(expression.startswith("filterBy[1].") for expression in found)


def test_every_refusal_is_told_at_once() -> None:
    assert refusals(FilterBy("nonsense", "1"), FilterBy("date", "yesterday")) == [
        "filterBy[1].value",
        "filterBy[0].filterParameter",
    ]


def test_more_than_20_filters_are_refused() -> None:
    assert refusals(*[FilterBy("patient", "1")] * 21) == ["filterBy"]


def test_two_equalities_on_one_parameter_are_warned_of() -> None:
    warned = compiled(FilterBy("patient", "Patient/1"), FilterBy("patient", "Patient/2"))
    assert [(issue.severity, "patient" in issue.diagnostics) for issue in warned.warnings] == [("warning", True)]
    assert compiled(FilterBy("date", "ge2020"), FilterBy("date", "lt2021")).warnings == ()


def test_a_topic_about_every_resource_is_filtered_by_what_each_type_has() -> None:
    everything = topic(CanFilterBy("patient"), CanFilterBy("_tag", "Resource"), types=("Resource",))
    by_patient = compile_filters((FilterBy("patient", "Patient/1"),), everything)
    assert passes(by_patient, observation(**PATIENT_1))
    assert not passes(by_patient, {"resourceType": "Location"})
    by_tag = compile_filters((FilterBy("_tag", "x"),), everything)
    assert passes(by_tag, {"resourceType": "Location", "meta": {"tag": [{"code": "x"}]}})


def test_filters_that_no_type_can_answer_together_are_refused() -> None:
    assert refusals(FilterBy("class", "IMP"), FilterBy("value-quantity", "gt6")) == ["filterBy"]


@pytest.mark.parametrize(
    "allowed", [CanFilterBy("_in"), CanFilterBy("member", definition="http://hl7.org/fhir/SearchParameter/Resource-in")]
)
def test_membership_in_another_resource_is_refused_by_any_name(allowed: CanFilterBy) -> None:
    """Ruling 23: R5 defines ``_in`` with an expression, which is not the members."""
    members = SubscriptionTopic(
        "http://topics.example/t", resource_triggers=(ResourceTrigger("Encounter"),), can_filter_by=(allowed,)
    )
    with pytest.raises(Unprocessable, match="'_in' needs more than the changed resource"):
        compile_filters((FilterBy(allowed.parameter, "Group/1"),), compile_topic(members, FhirVersion.R5))
