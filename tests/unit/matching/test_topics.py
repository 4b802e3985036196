"""A topic made ready for one version, or refused where it cannot be decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.domain.change import EventCode, Interaction, Occasion
from hub.domain.topic import (
    CanFilterBy,
    EventTrigger,
    NotificationShape,
    QueryCriteria,
    ResourceTrigger,
    SubscriptionTopic,
)
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import definitions
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import change, created, encounter, observation, unreported, updated

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
            ResourceTrigger("Encounter", query=QueryCriteria(previous="nope=1", current="patient.nope=x")),
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


def test_a_topic_without_triggers_is_refused() -> None:
    with pytest.raises(Unprocessable) as refused:
        compile_topic(SubscriptionTopic(URL), FhirVersion.R4)
    assert refused.value.issues[0].expression == "SubscriptionTopic"


A01, A02 = (EventCode("http://terminology.hl7.org/CodeSystem/v2-0003", code) for code in ("A01", "A02"))


def test_an_event_trigger_fires_for_one_of_its_codings_on_its_type_s043_s044() -> None:
    topic = compile_topic(SubscriptionTopic(URL, event_triggers=(EventTrigger("Encounter", (A01,)),)), FhirVersion.R4)
    told = change(Interaction.EVENT, encounter())
    for codes, fires in (((A01,), True), ((A02, A01), True), ((A02,), False), ((EventCode("", "A01"),), False)):
        assert topic.fires(replace(told, occasion=Occasion(codes=codes)), unreported) is fires, codes
    elsewhere = change(Interaction.EVENT, observation())
    assert not topic.fires(replace(elsewhere, occasion=Occasion(codes=(A01,))), unreported)
    assert not topic.fires(replace(updated(encounter(), encounter()), occasion=Occasion(codes=(A01,))), unreported)


def test_no_resource_trigger_fires_for_what_happened_elsewhere() -> None:
    topic = SubscriptionTopic(
        URL, resource_triggers=(ResourceTrigger("Encounter"),), event_triggers=(EventTrigger("Encounter", (A02,)),)
    )
    told = replace(change(Interaction.EVENT, encounter()), occasion=Occasion(codes=(A01,)))
    assert not compile_topic(topic, FhirVersion.R4).fires(told, unreported)


def test_an_event_trigger_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(Unprocessable) as refused:
        compile_topic(SubscriptionTopic(URL, event_triggers=(EventTrigger("Stay", (A01,)),)), FhirVersion.R4)
    assert refused.value.issues[0].expression == "SubscriptionTopic.eventTrigger[0].resource"


def test_what_has_no_effect_is_warned_of() -> None:
    topic = SubscriptionTopic(
        URL,
        resource_triggers=(ResourceTrigger("Encounter"),),
        event_triggers=(EventTrigger("Encounter", ()),),
        can_filter_by=(CanFilterBy("patient"), CanFilterBy("orgIdentifier", "Encounter"), CanFilterBy("_tag")),
    )
    warnings = compile_topic(topic, FhirVersion.R4).warnings
    assert [(issue.expression, issue.severity) for issue in warnings] == [
        ("SubscriptionTopic.eventTrigger[0].event", "warning"),
        ("SubscriptionTopic.canFilterBy[1]", "warning"),
    ]


def test_a_trigger_on_what_is_no_change_here_is_warned_of() -> None:
    topic = SubscriptionTopic(
        URL,
        resource_triggers=(ResourceTrigger("Encounter"), ResourceTrigger("Subscription")),
        event_triggers=(EventTrigger("SubscriptionTopic", (A01,)),),
    )
    warnings = compile_topic(topic, FhirVersion.R5).warnings
    assert [(issue.expression, issue.severity) for issue in warnings] == [
        ("SubscriptionTopic.resourceTrigger[1].resource", "warning"),
        ("SubscriptionTopic.eventTrigger[0].resource", "warning"),
    ]


def test_a_type_that_exists_in_one_version_only_is_refused_in_the_others() -> None:
    topic = SubscriptionTopic(URL, resource_triggers=(ResourceTrigger("Transport"),))
    assert compile_topic(topic, FhirVersion.R5).focus_types == {"Transport"}
    with pytest.raises(Unprocessable):
        compile_topic(topic, FhirVersion.R4)


def test_a_topic_with_thousands_of_filters_or_includes_is_refused() -> None:
    """Each include is an expression to compile (SECURITY E3)."""
    trigger = (ResourceTrigger("Encounter"),)
    filters = tuple(CanFilterBy(f"f{n}") for n in range(501))
    shape = NotificationShape("Encounter", ("Encounter:patient",) * 50, ("Provenance:target",) * 51)
    with pytest.raises(Unprocessable) as refused:
        compile_topic(
            SubscriptionTopic(URL, resource_triggers=trigger, can_filter_by=filters, notification_shapes=(shape,)),
            FhirVersion.R5,
        )
    assert [issue.expression for issue in refused.value.issues] == [
        "SubscriptionTopic.canFilterBy",
        "SubscriptionTopic.notificationShape",
    ]


def test_a_topic_with_hundreds_of_triggers_is_refused() -> None:
    """Each trigger is judged for every change, with a budget of its own (SECURITY E3)."""
    triggers = tuple(ResourceTrigger("Patient", fhirpath=f"gender = '{n}'") for n in range(51))
    assert compile_topic(SubscriptionTopic(URL, resource_triggers=triggers[:50]), FhirVersion.R5)
    with pytest.raises(Unprocessable, match="50 triggers"):
        compile_topic(SubscriptionTopic(URL, resource_triggers=triggers), FhirVersion.R5)
