"""Test events: made by the hub for one Subscription alone, to see whether the whole way to its receiver works."""

from __future__ import annotations

from typing import Any

from hub.domain.change import EventCode, Interaction, Occasion, ResourceChange

TEST_SYSTEM = "https://fhir-notification-hub.example/CodeSystem/test-of-subscription"
"""Of the coding that names the Subscription; nobody else may tell of such an event."""
_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
_CODE = {"system": "https://fhir-notification-hub.example/codes", "code": "hub-test"}


def occasion_of_test(subscription_id: str) -> Occasion:
    return Occasion(codes=(EventCode(TEST_SYSTEM, subscription_id),))


def tested(change: ResourceChange) -> str:
    """The id of the Subscription that ``change`` is a test of, "" for every other change."""
    if change.interaction is not Interaction.EVENT:
        return ""
    return next((each.code for each in change.occasion.codes if each.system == TEST_SYSTEM), "")


def resource_of_test(identity: str) -> dict[str, Any]:
    """What a test event is about: a Basic resource that is tagged as test data and is stored nowhere."""
    return {"resourceType": "Basic", "id": identity, "meta": {"tag": [_TAG]}, "code": {"coding": [_CODE]}}
