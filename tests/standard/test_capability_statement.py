"""CapabilityStatement, section (g)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.capability import capability_statement
from hub.fhir.life_operations import LIFE_OPERATIONS
from hub.fhir.structure import model

BP = "http://hl7.org/fhir/uv/subscriptions-backport/"
TOPICS = ["http://hub.example.org/topics/a", "http://hub.example.org/topics/b|1"]


def statement(version: FhirVersion) -> dict[str, Any]:
    return capability_statement(
        version,
        base_url=f"https://hub.example.org{version.path}",
        software_version="0.1.0",
        date=datetime(2026, 1, 2, tzinfo=UTC),
        description="local: a 2xx is on this machine's disk",
        resource_types={"Patient", "Encounter", "Basic", "Subscription", "SubscriptionTopic"},
        topics=TOPICS,
    )


def resources(version: FhirVersion) -> dict[str, Any]:
    return {each["type"]: each for each in statement(version)["rest"][0]["resource"]}


every_version = pytest.mark.parametrize("version", list(FhirVersion))


@every_version
def test_it_is_a_resource_of_its_version_s201(version: FhirVersion) -> None:
    text = json.dumps(statement(version))
    model("CapabilityStatement", version).model_validate_json(text)
    assert statement(version)["fhirVersion"] == version.number


def test_it_instantiates_the_igs_statement_s194() -> None:
    assert statement(FhirVersion.R4)["instantiates"] == [BP + "CapabilityStatement/backport-subscription-server-r4"]
    assert statement(FhirVersion.R4B)["instantiates"] == [BP + "CapabilityStatement/backport-subscription-server"]
    assert "instantiates" not in statement(FhirVersion.R5)


@pytest.mark.parametrize("version", [FhirVersion.R4, FhirVersion.R4B])
def test_the_backport_profile_is_declared_s195(version: FhirVersion) -> None:
    profiles = resources(version)["Subscription"]["supportedProfile"]
    assert profiles == [BP + "StructureDefinition/backport-subscription"]


@every_version
def test_subscriptions_can_be_written_read_and_searched_s196(version: FhirVersion) -> None:
    subscription = resources(version)["Subscription"]
    codes = {each["code"] for each in subscription["interaction"]}
    assert codes == {"create", "read", "vread", "update", "delete", "search-type"}
    assert {each["name"] for each in subscription["searchParam"]} >= {"url", "status", "topic", "_id", "_lastUpdated"}
    assert subscription["conditionalCreate"] is True


@pytest.mark.parametrize(
    ("version", "offered"), [(FhirVersion.R4, False), (FhirVersion.R4B, True), (FhirVersion.R5, True)]
)
def test_topics_are_a_resource_from_r4b_on_s197(version: FhirVersion, offered: bool) -> None:
    assert ("SubscriptionTopic" in resources(version)) is offered
    if offered:
        names = {each["name"] for each in resources(version)["SubscriptionTopic"]["searchParam"]}
        assert names >= {"url", "derived-or-self", "resource", "title", "trigger-description"}


@every_version
def test_topics_of_r4_are_found_among_basic_s198(version: FhirVersion) -> None:
    basic = resources(version)["Basic"]
    assert ("search-type" in {each["code"] for each in basic["interaction"]}) is (version is FhirVersion.R4)
    assert ("searchParam" in basic) is (version is FhirVersion.R4)


CORE, IG = "http://hl7.org/fhir/SearchParameter/", BP + "SearchParameter/"
SEARCHES: list[tuple[FhirVersion, str, dict[str, str]]] = [
    (FhirVersion.R4, "Subscription", {"name": "_id", "type": "token", "definition": CORE + "Resource-id"}),
    (FhirVersion.R4, "Subscription", {"name": "topic", "type": "uri", "definition": IG + "Subscription-topic"}),
    (FhirVersion.R4B, "Subscription", {"name": "type", "type": "token", "definition": CORE + "Subscription-type"}),
    (FhirVersion.R5, "Subscription", {"name": "owner", "type": "reference", "definition": CORE + "Subscription-owner"}),
    (FhirVersion.R4B, "SubscriptionTopic", {"name": "code", "type": "token"}),
    (FhirVersion.R5, "SubscriptionTopic", {"name": "url", "type": "uri", "definition": CORE + "CanonicalResource-url"}),
    (FhirVersion.R4, "Basic", {"name": "code", "type": "token", "definition": CORE + "Basic-code"}),
]  # fmt: skip


@pytest.mark.parametrize(("version", "resource", "described"), SEARCHES)
def test_search_parameters_are_typed_and_defined_where_the_standard_defines_them(
    version: FhirVersion, resource: str, described: dict[str, str]
) -> None:
    assert described in resources(version)[resource]["searchParam"]


@every_version
def test_every_topic_is_listed_s199(version: FhirVersion) -> None:
    listed = resources(version)["Subscription"]["extension"]
    assert [each["valueCanonical"] for each in listed] == TOPICS
    assert {each["url"] for each in listed} == {
        BP + "StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    }


def test_operations_are_named_without_dollar_and_defined_by_version_s200() -> None:
    r4 = {each["name"]: each["definition"] for each in resources(FhirVersion.R4)["Subscription"]["operation"]}
    r5 = {each["name"]: each["definition"] for each in resources(FhirVersion.R5)["Subscription"]["operation"]}
    for version, found in ((FhirVersion.R4, r4), (FhirVersion.R5, r5)):
        own = f"https://hub.example.org{version.path}/OperationDefinition/hub-explain"
        assert found.pop("explain") == own, "an operation of the hub's own is defined on the base"
        for name in LIFE_OPERATIONS:
            assert found.pop(name) == own.replace("explain", name)
    names = ("status", "events", "get-ws-binding-token")
    assert r4 == {name: f"{BP}OperationDefinition/backport-subscription-{name}" for name in names}
    assert r5 == {name: f"http://hl7.org/fhir/OperationDefinition/Subscription-{name}" for name in names}


@every_version
def test_operations_of_the_base_are_defined_by_the_standard_or_on_the_base_s200(version: FhirVersion) -> None:
    base = f"https://hub.example.org{version.path}/OperationDefinition/"
    assert statement(version)["rest"][0]["operation"] == [
        {"name": "versions", "definition": "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions"},
        {"name": "load", "definition": base + "hub-load"},
        {"name": "process-change", "definition": base + "hub-process-change"},
        {"name": "external-event", "definition": base + "hub-external-event"},
        {"name": "stop", "definition": base + "hub-stop"},
        {"name": "start", "definition": base + "hub-start"},
    ]


@every_version
def test_only_what_works_is_claimed_s201(version: FhirVersion) -> None:
    assert "capabilitystatement-websocket" not in json.dumps(statement(version)), "it is not switched on"
    patient = resources(version)["Patient"]
    codes = {each["code"] for each in patient["interaction"]}
    assert codes == {"create", "read", "vread", "history-instance", "update", "patch", "delete"}
    assert (patient["updateCreate"], patient["conditionalCreate"], patient["conditionalDelete"]) == (
        True,
        True,
        "single",
    )


@every_version
def test_conditional_patch_is_claimed_where_the_version_has_a_word_for_it(version: FhirVersion) -> None:
    claims = [resources(version)[name].get("conditionalPatch") for name in ("Patient", "Subscription")]
    assert claims == ([True, False] if version is FhirVersion.R5 else [None, None])


@every_version
def test_durability_is_told_in_words(version: FhirVersion) -> None:
    assert statement(version)["description"].startswith("local:")
