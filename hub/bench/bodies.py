"""What is written to a server: Subscriptions in each flavour's shape, and the changes. Pure."""

from __future__ import annotations

import json
from typing import Any

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
CHANGE, PATIENT = "@change@", "@patient@"
TIMEOUT_SECONDS = 60
NOTE = "Measured twice on the same sample; the second value was within the tolerance of the method. " * 4


def patient(label: str, group: int) -> str:
    """The logical id of the patient of one group of a scenario."""
    return f"{label}-{group}"


def subscription(flavour: str, topic: str, content: str, subject: str, endpoint: str) -> dict[str, Any]:
    """To the laboratory results of one patient (logical id), by rest-hook, one event in each notification."""
    if flavour == "r5":
        return _native(topic, content, subject, endpoint)
    channel: dict[str, Any] = {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"}
    common = {"resourceType": "Subscription", "status": "requested", "reason": "hub bench"}
    if flavour == "r4-classic":
        return {**common, "criteria": f"Observation?subject=Patient/{subject}", "channel": channel}
    channel["extension"] = [{"url": BACKPORT + "backport-timeout", "valueUnsignedInt": TIMEOUT_SECONDS}]
    channel["_payload"] = {"extension": [{"url": BACKPORT + "backport-payload-content", "valueCode": content}]}
    criteria = f"Observation?patient=Patient/{subject}"
    return {
        **common,
        "meta": {"profile": [BACKPORT + "backport-subscription"]},
        "criteria": topic,
        "_criteria": {"extension": [{"url": BACKPORT + "backport-filter-criteria", "valueString": criteria}]},
        "channel": channel,
    }


def _native(topic: str, content: str, subject: str, endpoint: str) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "hub bench",
        "topic": topic,
        "filterBy": [{"resourceType": "Observation", "filterParameter": "patient", "value": f"Patient/{subject}"}],
        "channelType": {
            "system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
            "code": "rest-hook",
        },
        "endpoint": endpoint,
        "timeout": TIMEOUT_SECONDS,
        "contentType": "application/fhir+json",
        "content": content,
        "maxCount": 1,
    }


def observation() -> str:
    """A final laboratory result of about 1 KB with places for its own id and its patient's."""
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    return json.dumps(
        {
            "resourceType": "Observation",
            "id": CHANGE,
            "status": "final",
            "category": [{"coding": [{"system": category, "code": "laboratory", "display": "Laboratory"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3", "display": "Potassium"}]},
            "subject": {"reference": f"Patient/{PATIENT}"},
            "effectiveDateTime": "2026-01-05T08:00:00Z",
            "valueQuantity": {
                "value": 6.30, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L",
            },
            "note": [{"text": NOTE.strip()}],
        },
        separators=(",", ":"),
    )  # fmt: skip
