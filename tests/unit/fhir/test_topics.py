"""SubscriptionTopics read from R5 and R4B JSON."""

from pathlib import Path
from typing import Any

import pytest

from hub.domain.change import EventCode, Interaction
from hub.domain.topic import CanFilterBy, EventTrigger, NotificationShape, QueryCriteria, ResourceTrigger
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.json import read_json
from hub.fhir.topics import read_topic

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
BOTH = pytest.mark.parametrize("version", [FhirVersion.R4B, FhirVersion.R5])


def topic(**changes: Any) -> dict[str, Any]:
    resource = {
        "resourceType": "SubscriptionTopic",
        "url": "http://hub.example.org/topics/a",
        "status": "active",
        "resourceTrigger": [{"resource": "Encounter"}],
    } | changes
    return {name: value for name, value in resource.items() if value is not None}


def refused(version: FhirVersion = FhirVersion.R5, **changes: Any) -> dict[str, str]:
    with pytest.raises(Refused) as refusal:
        read_topic(topic(**changes), version)
    return {issue.expression: issue.code for issue in refusal.value.issues}


@BOTH
def test_a_topic_is_read_in_full(version: FhirVersion) -> None:
    query = {"previous": "a=1", "current": "a=2", "resultForCreate": "test-passes", "resultForDelete": "test-fails"}
    found = read_topic(
        topic(
            version="2",
            title="A",
            derivedFrom=["http://hub.example.org/topics/base"],
            resourceTrigger=[
                {
                    "description": "d",
                    "resource": "http://hl7.org/fhir/StructureDefinition/Encounter",
                    "supportedInteraction": ["create", "update"],
                    "queryCriteria": query | {"requireBoth": True},
                    "fhirPathCriteria": "%current.exists()",
                },
                {"resource": "Resource", "queryCriteria": {"resultForCreate": "test-passes"}},
            ],
            eventTrigger=[
                {
                    "event": {"coding": [{"system": "http://e.org", "code": "A01"}, {"display": "x"}]},
                    "resource": "Encounter",
                }
            ],
            canFilterBy=[
                {"resource": "Encounter", "filterParameter": "patient.gender", "filterDefinition": "http://x.org/p"}
            ],
            notificationShape=[
                {"resource": "Encounter", "include": ["Encounter:patient&iterate=Patient.link"], "revInclude": ["A:b"]}
            ],
        ),
        version,
    )
    assert found.canonical == "http://hub.example.org/topics/a|2"
    assert found.derived_from == ("http://hub.example.org/topics/base",)
    assert found.resource_triggers == (
        ResourceTrigger(
            "Encounter",
            frozenset({Interaction.CREATE, Interaction.UPDATE}),
            QueryCriteria("a=1", "a=2", True, False, True),
            "%current.exists()",
            "d",
        ),
        ResourceTrigger("Resource", query=QueryCriteria(result_for_create=True)),
    )
    assert found.event_triggers == (EventTrigger("Encounter", (EventCode("http://e.org", "A01"),)),)
    assert found.can_filter_by == (CanFilterBy("patient.gender", "Encounter", "http://x.org/p"),)
    assert found.notification_shapes == (NotificationShape("Encounter", ("Encounter:patient",), ("A:b",)),)


def test_absent_interactions_mean_all_s027() -> None:
    (trigger,) = read_topic(topic(), FhirVersion.R5).resource_triggers
    assert trigger.interactions == {Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE}


def test_r4b_modifiers_that_are_comparators_become_comparators_s020() -> None:
    item = {"filterParameter": "date", "modifier": ["=", "gt", "le", "not-in"]}
    (found,) = read_topic(topic(canFilterBy=[item]), FhirVersion.R4B).can_filter_by
    assert (found.comparators, found.modifiers) == ({"gt", "le"}, {"not-in"})
    assert refused(FhirVersion.R5, canFilterBy=[item]) == {"SubscriptionTopic.canFilterBy[0].modifier": "code-invalid"}


def test_r5_lists_comparators_and_modifiers_apart_s045() -> None:
    item = {"filterParameter": "date", "modifier": ["missing"], "comparator": ["gt"]}
    (found,) = read_topic(topic(canFilterBy=[item]), FhirVersion.R5).can_filter_by
    assert (found.comparators, found.modifiers) == ({"gt"}, {"missing"})
    assert "SubscriptionTopic.canFilterBy[0].comparator" in refused(FhirVersion.R4B, canFilterBy=[item])


@BOTH
@pytest.mark.parametrize(
    "resource",
    [
        "http://example.org/StructureDefinition/MyEncounter",
        "http://hl7.org/fhir/StructureDefinition/vitalsigns",
        "encounter",
        "Encounter|5.0",
        "http://hl7.org/fhir/StructureDefinition/",
        "Encounter Patient",
    ],
)
def test_an_unknown_profile_is_not_supported_s026(version: FhirVersion, resource: str) -> None:
    found = refused(version, resourceTrigger=[{"resource": resource}])
    assert found == {"SubscriptionTopic.resourceTrigger[0].resource": "not-supported"}


@BOTH
@pytest.mark.parametrize(
    "url", [None, "a", "/topics/a", "http://x.org/a|1", "http://x.org/a b", "http://x.org/a#b", "", "http://"]
)
def test_a_topic_needs_an_absolute_url_s018(version: FhirVersion, url: str | None) -> None:
    assert "SubscriptionTopic.url" in refused(version, url=url)


@BOTH
@pytest.mark.parametrize("status", [None, "on", "Active"])
def test_a_topic_needs_a_status_of_the_list_s018(version: FhirVersion, status: str | None) -> None:
    assert "SubscriptionTopic.status" in refused(version, status=status)


@BOTH
@pytest.mark.parametrize(
    ("trigger", "element"),
    [
        ({}, "resource"),
        ({"resource": "Encounter", "supportedInteraction": ["read"]}, "supportedInteraction"),
        ({"resource": "Encounter", "supportedInteraction": [None]}, "supportedInteraction"),
        ({"resource": "Encounter", "queryCriteria": {"resultForCreate": "yes"}}, "queryCriteria.resultForCreate"),
        ({"resource": "Encounter", "queryCriteria": {"resultForDelete": "no"}}, "queryCriteria.resultForDelete"),
    ],
)
def test_a_trigger_outside_the_standard_is_refused_by_element(
    version: FhirVersion, trigger: dict[str, Any], element: str
) -> None:
    assert f"SubscriptionTopic.resourceTrigger[0].{element}" in refused(version, resourceTrigger=[trigger])


@pytest.mark.parametrize("parameter", [None, "", " ", "patient:Patient", "a b"])
def test_a_filter_has_a_bare_name_s047(parameter: str | None) -> None:
    item = {"resource": "Encounter"} | ({} if parameter is None else {"filterParameter": parameter})
    assert "SubscriptionTopic.canFilterBy[0].filterParameter" in refused(canFilterBy=[item])


def test_all_problems_are_told_together() -> None:
    found = refused(
        url="a", status="on", resourceTrigger=[{"resource": "x y"}], canFilterBy=[{"filterParameter": "a:b"}]
    )
    assert len(found) == 4


def test_modifier_extensions_are_refused_wherever_they_stand() -> None:
    modifier = [{"url": "http://example.org/not", "valueBoolean": True}]
    trigger = {"resource": "Encounter", "modifierExtension": modifier}
    assert refused(resourceTrigger=[trigger]) == {"SubscriptionTopic.resourceTrigger[0].modifierExtension": "extension"}


@BOTH
@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Basic"},
        topic(resourceTrigger={}),
        topic(resourceTrigger=[1]),
        topic(colour=1),
        topic(url=[]),
    ],
)
def test_what_is_no_topic_by_structure_is_malformed(version: FhirVersion, resource: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_topic(resource, version)


def test_r4_has_no_topics_of_its_own() -> None:
    with pytest.raises(Malformed, match="R4 has no"):
        read_topic(topic(), FhirVersion.R4)


def test_reading_leaves_the_resource_as_it_was() -> None:
    resource = topic(canFilterBy=[{"filterParameter": "a", "comparator": ["gt"]}])
    read_topic(resource, FhirVersion.R5)
    assert resource == topic(canFilterBy=[{"filterParameter": "a", "comparator": ["gt"]}])


@pytest.mark.skipif(not DATA.exists(), reason="the shared sample data is not here")
@pytest.mark.parametrize(("folder", "version"), [("r4b", FhirVersion.R4B), ("r5", FhirVersion.R5)])
def test_published_topics_are_read(folder: str, version: FhirVersion) -> None:
    for path in sorted((DATA / "topics" / "fhir-candle" / folder).glob("*.json")):
        found = read_topic(read_json(path.read_bytes()), version)
        assert found.resource_triggers[0].resource == "Encounter"


def test_a_bad_value_is_unprocessable_and_a_bad_shape_malformed() -> None:
    with pytest.raises(Unprocessable):
        read_topic(topic(status="on"), FhirVersion.R5)


@pytest.mark.parametrize("both", ["true", 1, "false", None])
def test_require_both_is_a_json_boolean(both: object) -> None:
    trigger = {"resource": "Encounter", "queryCriteria": {"current": "a=b", "requireBoth": both}}
    path = "SubscriptionTopic.resourceTrigger[0].queryCriteria.requireBoth"
    assert path in refused(resourceTrigger=[trigger])


@pytest.mark.parametrize("odd", [{"a": 1}, [[]], {"resourceType": ["x"]}])
def test_values_the_models_fall_over_are_malformed(odd: object) -> None:
    for name in ("url", "date", "publisher", "extension", "contact", "id", "derivedFrom"):
        with pytest.raises(Malformed):
            read_topic(topic(**{name: odd}), FhirVersion.R5)


def test_contained_resources_are_not_judged() -> None:
    assert read_topic(topic(contained=[{"resourceType": "Nonsense"}]), FhirVersion.R5).url
