"""What an unsupported Subscription is answered with: Inferno's rejection tests (S-230, S-231), one each.

Inferno is content when the answer is not 201, or when the returned value differs from the unsupported one. The hub
never changes such a value silently: it refuses, and names the element.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import ENCOUNTER_START, subscription
from tests.api.harness import Api, outcome_of
from tests.api.receiver import Receiver
from tests.conformance.rules import BACKPORT

CROSS_VERSION = "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria"
R5 = FhirVersion.R5
Change = Callable[[dict[str, Any], FhirVersion], None]


def set_in(resource: dict[str, Any], base: FhirVersion, on_r5: str, elsewhere: str, value: Any) -> None:
    """Set the element that says the same; ``elsewhere`` is ``channel.x`` or an element of the root."""
    owner, _, name = (on_r5 if base is R5 else elsewhere).rpartition(".")
    (resource[owner] if owner else resource)[name] = value


def cross_version_extension(resource: dict[str, Any], base: FhirVersion) -> None:
    extension = {"url": CROSS_VERSION, "valueString": "patient=Patient/1"}
    resource["_topic" if base is R5 else "_criteria"] = {"extension": [extension]}


def topic(resource: dict[str, Any], base: FhirVersion) -> None:
    set_in(resource, base, "topic", "criteria", "http://example.org/topics/unsupported")


def filter_criteria(resource: dict[str, Any], base: FhirVersion) -> None:
    if base is R5:
        resource["filterBy"] = [{"filterParameter": "unsupported", "value": "x"}]
    else:
        extension = {"url": BACKPORT + "backport-filter-criteria", "valueString": "Encounter?unsupported=x"}
        resource["_criteria"] = {"extension": [extension]}


def channel_type(resource: dict[str, Any], base: FhirVersion) -> None:
    coding = {"system": "http://example.org/channels", "code": "pigeon"}
    if base is R5:
        resource["channelType"] = coding
    else:
        resource["channel"]["_type"] = {
            "extension": [{"url": BACKPORT + "backport-channel-type", "valueCoding": coding}]
        }


def plain_channel_type(resource: dict[str, Any], base: FhirVersion) -> None:
    value = {"system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type", "code": "sms"}
    set_in(resource, base, "channelType", "channel.type", value if base is R5 else "sms")


def endpoint(resource: dict[str, Any], base: FhirVersion) -> None:
    set_in(resource, base, "endpoint", "channel.endpoint", "ftp://127.0.0.1/notifications")


def payload_type(resource: dict[str, Any], base: FhirVersion) -> None:
    set_in(resource, base, "contentType", "channel.payload", "application/unsupported")


def combination(resource: dict[str, Any], base: FhirVersion) -> None:
    """A payload that fits mail, on a rest-hook."""
    set_in(resource, base, "contentType", "channel.payload", "text/plain;attach=application/fhir+json")


def other_fhir_version(resource: dict[str, Any], base: FhirVersion) -> None:
    """S-005: a version that this base cannot send."""
    set_in(resource, base, "contentType", "channel.payload", "application/fhir+json; fhirVersion=3.0")


def content_level(resource: dict[str, Any], base: FhirVersion) -> None:
    if base is R5:
        resource["content"] = "everything"
    else:
        resource["channel"]["_payload"]["extension"][0]["valueCode"] = "everything"


PLACES: dict[Change, tuple[str, str]] = {
    cross_version_extension: ("Subscription.topic.extension", "Subscription.criteria.extension"),
    topic: ("Subscription.topic", "Subscription.criteria"),
    filter_criteria: ("Subscription.filterBy[0].filterParameter", "Subscription.criteria.extension"),
    channel_type: ("Subscription.channelType", "Subscription.channel.type.extension"),
    plain_channel_type: ("Subscription.channelType", "Subscription.channel.type"),
    endpoint: ("Subscription.endpoint", "Subscription.channel.endpoint"),
    payload_type: ("Subscription.contentType", "Subscription.channel.payload"),
    combination: ("Subscription.contentType", "Subscription.channel.payload"),
    other_fhir_version: ("Subscription.contentType", "Subscription.channel.payload"),
    content_level: ("Subscription.content", "Subscription.channel.payload.extension"),
}
"""What is unsupported -> the element that the refusal names on R5, and on R4 and R4B."""


@pytest.mark.parametrize("unsupported", PLACES, ids=[each.__name__ for each in PLACES])
async def test_rejections(api: Api, receiver: Receiver, unsupported: Change) -> None:
    """S-230, S-231, S-082, S-083: never 201; the element is named, and nobody is called."""
    inbox = receiver.inbox()
    good = subscription(api.base, inbox.url, ENCOUNTER_START)
    bad = copy.deepcopy(good)
    unsupported(bad, api.base)
    assert bad != good
    (issue,) = outcome_of(await api.post("Subscription", bad), 422)
    (place,) = issue["expression"]
    assert place.startswith(PLACES[unsupported][api.base is not R5])
    assert inbox.everything == []


@pytest.mark.parametrize("unsupported", PLACES, ids=[each.__name__ for each in PLACES])
async def test_rejections_of_updates(api: Api, receiver: Receiver, unsupported: Change) -> None:
    """S-081: an update is judged like a create; what was refused has changed nothing."""
    created = (await api.post("Subscription", subscription(api.base, receiver.inbox().url, ENCOUNTER_START))).json()
    here = f"Subscription/{created['id']}"
    bad = copy.deepcopy(created)
    unsupported(bad, api.base)
    outcome_of(await api.put(here, bad), 422)
    assert (await api.get(here)).json()["meta"]["versionId"] == "1"
    await api.delete(here)
