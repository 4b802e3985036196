"""Topics in the shape of the R6 ballot, read into the model of R5 (S-069, S-070)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.domain.change import Interaction
from hub.domain.topic import CanFilterBy, NotificationShape, QueryCriteria, ResourceTrigger
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Malformed, Refused, Unprocessable
from hub.fhir.json import read_json
from hub.fhir.r6_topics import is_r6_topic, r6_as_topic, read_r6_topic, told_in_r6
from hub.fhir.topics import read_topic

R6 = Path(__file__).parents[3] / ".." / "shared" / "data" / "core" / "R6-ballot" / "topics"
ADMITTED = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A01"}]}
TRANSFERRED = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A02"}]}


def topic(*triggers: Any) -> dict[str, Any]:
    return {
        "resourceType": "SubscriptionTopic",
        "url": "http://ehr.example/topics/a",
        "status": "active",
        "trigger": list(triggers),
    }


def trigger(**changes: Any) -> dict[str, Any]:
    return {"resource": "Encounter", **changes}


def refused(*triggers: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        read_r6_topic(topic(*triggers))
    return refusal.value


def places(refusal: Refused) -> set[str]:
    return {issue.expression.removeprefix("SubscriptionTopic.") for issue in refusal.issues}


def test_a_trigger_becomes_a_resource_trigger_and_its_filters_and_shapes_those_of_the_topic() -> None:
    query = {"current": "status=in-progress", "previous": "status:not=in-progress", "requireBoth": True}
    found = read_r6_topic(
        topic(
            trigger(
                supportedInteraction=["create", "update"],
                queryCriteria=query,
                canFilterBy=[{"filterParameter": "patient"}, {"resource": "Resource", "filterParameter": "_tag"}],
                notificationShape=[{"resource": "Encounter", "include": ["Encounter:patient"]}],
            ),
            trigger(
                resource="http://hl7.org/fhir/StructureDefinition/Patient", canFilterBy=[{"filterParameter": "_id"}]
            ),
        )
    )
    assert found.resource_triggers == (
        ResourceTrigger(
            "Encounter",
            frozenset({Interaction.CREATE, Interaction.UPDATE}),
            QueryCriteria("status:not=in-progress", "status=in-progress", require_both=True),
        ),
        ResourceTrigger("Patient"),
    )
    assert found.can_filter_by == (
        CanFilterBy("patient", "Encounter"),
        CanFilterBy("_tag", "Resource"),
        CanFilterBy("_id", "Patient"),
    )
    assert found.notification_shapes == (NotificationShape("Encounter", ("Encounter:patient",)),)


def test_it_is_the_topic_that_r5_would_write() -> None:
    as_r5 = {name: value for name, value in topic().items() if name != "trigger"}
    as_r5["resourceTrigger"] = [trigger(supportedInteraction=["create"])]
    as_r5["eventTrigger"] = [{"resource": "Encounter", "event": event} for event in (ADMITTED, TRANSFERRED)]
    as_r6 = topic(trigger(supportedInteraction=["create"], event=[ADMITTED, TRANSFERRED]))
    assert r6_as_topic(as_r6) == as_r5
    assert read_r6_topic(as_r6) == read_topic(as_r5, FhirVersion.R5)


def test_each_event_becomes_an_event_trigger_also_when_it_stands_without_a_list() -> None:
    """Ballot examples write ``event`` as one object."""
    for written in ([ADMITTED], ADMITTED):
        converted = r6_as_topic(topic(trigger(fhirPathCriteria="status.exists()", event=written)))
        assert [each["event"] for each in converted["eventTrigger"]] == [ADMITTED]
        assert len(converted["resourceTrigger"]) == 1


def test_events_are_read_as_those_of_r5_are() -> None:
    """S-044."""
    found = read_r6_topic(topic(trigger(supportedInteraction=["create"], event=[ADMITTED, TRANSFERRED])))
    assert [(each.resource, [code.code for code in each.codes]) for each in found.event_triggers] == [
        ("Encounter", ["A01"]),
        ("Encounter", ["A02"]),
    ]


def test_a_trigger_of_events_alone_does_not_fire_on_every_change() -> None:
    converted = r6_as_topic(topic(trigger(description="d", event=[ADMITTED])))
    assert "resourceTrigger" not in converted
    assert converted["eventTrigger"] == [{"description": "d", "resource": "Encounter", "event": ADMITTED}]


def test_a_related_query_is_kept_as_the_extension_of_the_backport_guide() -> None:
    """S-059."""
    query = {"queryType": {"code": "x"}, "query": "http://ehr.example/Encounter/[id]/$lines"}
    shape = {
        "resource": "Encounter",
        "relatedQuery": [query],
        "extension": [{"url": "http://a.example", "valueCode": "a"}],
    }
    (written,) = r6_as_topic(topic(trigger(notificationShape=[shape])))["notificationShape"]
    assert [each["url"].rpartition("/")[2] for each in written["extension"]] == ["a.example", "backport-related-query"]
    assert {each["url"] for each in written["extension"][1]["extension"]} == {"queryType", "query"}
    assert read_r6_topic(topic(trigger(notificationShape=[shape]))).notification_shapes


def test_what_is_wrong_is_told_by_its_place_in_the_r6_shape() -> None:
    refusal = refused(
        trigger(supportedInteraction=["read"], canFilterBy=[{"resource": "Encounter", "filterParameter": "a:b"}]),
        trigger(resource="x y", queryCriteria={"current": "a=b", "resultForCreate": "perhaps"}),
        trigger(notificationShape=[{"resource": "Encounter"}, {"resource": "Encounter|4"}]),
    )
    assert isinstance(refusal, Unprocessable)
    assert places(refusal) == {
        "trigger[0].supportedInteraction",
        "trigger[0].canFilterBy[0].filterParameter",
        "trigger[1].resource",
        "trigger[1].queryCriteria.resultForCreate",
        "trigger[2].notificationShape[1].resource",
    }


def test_what_is_wrong_with_both_triggers_of_one_is_told_once() -> None:
    refusal = refused(trigger(resource="x y", supportedInteraction=["create"], event=[ADMITTED, {"coding": "A01"}]))
    assert places(refusal) == {"trigger[0].resource", "trigger[0].event[1].coding"}
    assert len(refused(trigger(resource="x y", supportedInteraction=["create"], event=[ADMITTED])).issues) == 1


def test_filters_and_shapes_are_counted_across_triggers() -> None:
    bad = [{"filterParameter": "a:b"}]
    found = places(refused(trigger(canFilterBy=[{"filterParameter": "patient"}]), trigger(canFilterBy=bad)))
    assert found == {"trigger[1].canFilterBy[0].filterParameter"}


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (trigger(colour=1), "trigger[0].colour"),
        (trigger(event=[5]), "trigger[0].event[0]"),
        (trigger(canFilterBy=[5]), "trigger[0].canFilterBy[0]"),
        (trigger(canFilterBy=5), "trigger[0].canFilterBy[0]"),
        (trigger(notificationShape=[{"resource": "Encounter", "extension": 5}]), "trigger[0].notificationShape[0]"),
        (5, "trigger[0]"),
    ],
)
def test_what_is_no_topic_by_structure_is_malformed(broken: Any, place: str) -> None:
    refusal = refused(broken)
    assert isinstance(refusal, Malformed)
    assert any(issue.expression.startswith(f"SubscriptionTopic.{place}") for issue in refusal.issues), refusal.issues


@pytest.mark.parametrize("triggers", [5, {}, "x"])
def test_triggers_that_are_no_list_are_malformed(triggers: Any) -> None:
    with pytest.raises(Malformed) as refusal:
        read_r6_topic(topic() | {"trigger": triggers})
    assert places(refusal.value) == {"trigger"}


def test_reading_leaves_the_resource_as_it_was() -> None:
    resource = topic(trigger(event=[ADMITTED], canFilterBy=[{"filterParameter": "patient"}]))
    before = json.dumps(resource)
    read_r6_topic(resource)
    assert json.dumps(resource) == before


def test_only_a_topic_with_trigger_alone_has_the_r6_shape() -> None:
    assert is_r6_topic(topic())
    assert not is_r6_topic({"resourceType": "Basic", "trigger": []})
    assert not is_r6_topic(topic() | {"resourceTrigger": []})
    assert not is_r6_topic({"resourceType": "SubscriptionTopic"})


def test_issues_about_the_whole_topic_keep_their_places() -> None:
    whole = (Issue("x", "y", "SubscriptionTopic.status"), Issue("x", "y", ""), Issue("x", "y", "SubscriptionTopic"))
    assert told_in_r6(topic(trigger()), whole) == whole


@pytest.mark.skipif(not R6.exists(), reason="the shared sample data is not here")
def test_the_admission_topic_of_the_ballot_is_read() -> None:
    found = read_r6_topic(read_json((R6 / "SubscriptionTopic-admission-basic.json").read_bytes()))
    (only,) = found.resource_triggers
    assert (only.resource, only.interactions) == ("Basic", {Interaction.CREATE, Interaction.UPDATE})
    assert [each.parameter for each in found.can_filter_by] == ["admission-patient", "admission-patient-group"]
    assert len(found.notification_shapes[0].includes) == 3


@pytest.mark.skipif(not R6.exists(), reason="the shared sample data is not here")
def test_a_logical_model_is_refused_at_each_place_that_names_it() -> None:
    """S-070: legal in R6; the hub tests FHIR resources only."""
    with pytest.raises(Unprocessable) as refusal:
        read_r6_topic(read_json((R6 / "SubscriptionTopic-admission-lm.json").read_bytes()))
    assert {issue.code for issue in refusal.value.issues} == {"not-supported"}
    assert "trigger[0].resource" in places(refusal.value)
