"""A topic made ready for one version, or refused where it cannot be decided."""

from __future__ import annotations

import pytest

from hub.domain.change import Interaction
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import definitions
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import created, encounter, unreported, updated

URL = "http://topics.example/t"


def test_several_triggers_are_alternatives() -> None:
    finished = ResourceTrigger("Encounter", query=QueryCriteria(current="status=finished"))
    born = ResourceTrigger("Patient", frozenset({Interaction.CREATE}))
    topic = compile_topic(SubscriptionTopic(URL, resource_triggers=(finished, born)), FhirVersion.R4)
    assert topic.focus_types == {"Encounter", "Patient"}
    assert topic.fires(created(encounter("finished")), unreported)
    assert topic.fires(created({"resourceType": "Patient"}), unreported)
    assert not topic.fires(updated({"resourceType": "Patient"}, {"resourceType": "Patient"}), unreported)


def test_a_topic_about_every_resource_has_every_type_as_focus() -> None:
    topic = compile_topic(SubscriptionTopic(URL, resource_triggers=(ResourceTrigger("Resource"),)), FhirVersion.R5)
    assert topic.focus_types == definitions(FhirVersion.R5).resource_types


def test_every_fault_is_told_at_once_with_its_place() -> None:
    bad = SubscriptionTopic(
        URL,
        resource_triggers=(
            ResourceTrigger("Encounter", query=QueryCriteria(previous="nope=1", current="patient.name=x")),
            ResourceTrigger("Encounter"),
            ResourceTrigger("Thing"),
        ),
    )
    with pytest.raises(Unprocessable) as refused:
        compile_topic(bad, FhirVersion.R4)
    assert [issue.expression for issue in refused.value.issues] == [
        "SubscriptionTopic.resourceTrigger[0].queryCriteria.previous",
        "SubscriptionTopic.resourceTrigger[0].queryCriteria.current",
        "SubscriptionTopic.resourceTrigger[2].resource",
    ]


@pytest.mark.parametrize(("events", "where"), [(1, "SubscriptionTopic.eventTrigger[0]"), (0, "SubscriptionTopic")])
def test_a_topic_without_resource_triggers_is_refused(events: int, where: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        compile_topic(SubscriptionTopic(URL, event_trigger_count=events), FhirVersion.R4)
    assert refused.value.issues[0].expression == where


def test_what_has_no_effect_is_warned_of() -> None:
    topic = SubscriptionTopic(
        URL,
        resource_triggers=(ResourceTrigger("Encounter"),),
        event_trigger_count=1,
        can_filter_by=(CanFilterBy("patient"), CanFilterBy("orgIdentifier", "Encounter"), CanFilterBy("_tag")),
    )
    warnings = compile_topic(topic, FhirVersion.R4).warnings
    assert [(issue.expression, issue.severity) for issue in warnings] == [
        ("SubscriptionTopic.eventTrigger[0]", "warning"),
        ("SubscriptionTopic.canFilterBy[1]", "warning"),
    ]


def test_a_type_that_exists_in_one_version_only_is_refused_in_the_others() -> None:
    topic = SubscriptionTopic(URL, resource_triggers=(ResourceTrigger("Transport"),))
    assert compile_topic(topic, FhirVersion.R5).focus_types == {"Transport"}
    with pytest.raises(Unprocessable):
        compile_topic(topic, FhirVersion.R4)


def test_a_topic_with_hundreds_of_triggers_is_refused() -> None:
    """Each trigger is judged for every change, with a budget of its own (SECURITY E3)."""
    triggers = tuple(ResourceTrigger("Patient", fhirpath=f"gender = '{n}'") for n in range(51))
    assert compile_topic(SubscriptionTopic(URL, resource_triggers=triggers[:50]), FhirVersion.R5)
    with pytest.raises(Unprocessable, match="50 triggers"):
        compile_topic(SubscriptionTopic(URL, resource_triggers=triggers), FhirVersion.R5)
