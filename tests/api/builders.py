"""Small resources and Subscriptions in the shape of each base."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx

from hub.domain.versions import FhirVersion
from tests.api.harness import Api
from tests.api.receiver import Inbox

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
CHANNEL_TYPES = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
SHIPPED = "https://fhir-notification-hub.example/topics/"
PATIENT_CHANGE = SHIPPED + "patient-change"
ENCOUNTER_START = SHIPPED + "encounter-start"
TOPIC_BASES = (FhirVersion.R4B, FhirVersion.R5)


def fresh_id(prefix: str = "x") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def patient(identity: str = "", **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **({"id": identity} if identity else {}), **elements}


def encounter(base: FhirVersion, identity: str, patient_id: str, status: str = "in-progress") -> dict[str, Any]:
    """An Encounter; its class is one Coding in R4 and R4B, CodeableConcepts in R5."""
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": status,
        "class": [{"coding": [coding]}] if base is FhirVersion.R5 else coding,
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def subscription(
    base: FhirVersion,
    endpoint: str,
    topic: str = PATIENT_CHANGE,
    *,
    content: str = "id-only",
    filters: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    heartbeat: int | None = None,
    timeout: int | None = None,
    max_count: int | None = None,
    status: str = "requested",
    **elements: Any,
) -> dict[str, Any]:
    """A rest-hook Subscription; ``filters`` as ``param:modifier=value`` or ``Type?param=value``; ``Name: value``."""
    write = _r5 if base is FhirVersion.R5 else _backport
    options = {"heartbeat": heartbeat, "timeout": timeout, "max_count": max_count}
    return {
        "resourceType": "Subscription", "status": status,
        **write(endpoint, topic, content, filters, headers, options), **elements,
    }  # fmt: skip


def _r5(endpoint: str, topic: str, content: str, filters: Any, headers: Any, options: Any) -> dict[str, Any]:
    written: dict[str, Any] = {
        "topic": topic,
        "channelType": {"system": CHANNEL_TYPES, "code": "rest-hook"},
        "endpoint": endpoint,
        "contentType": "application/fhir+json",
        "content": content,
    }
    if filters:
        written["filterBy"] = [_filter_by(each) for each in filters]
    if headers:
        pairs = (header.split(": ", 1) for header in headers)
        written["parameter"] = [{"name": name, "value": value} for name, value in pairs]
    names = {"heartbeat": "heartbeatPeriod", "timeout": "timeout", "max_count": "maxCount"}
    return written | {names[name]: value for name, value in options.items() if value is not None}


def _filter_by(written: str) -> dict[str, Any]:
    resource_type, _, condition = written.rpartition("?")
    name, _, value = condition.partition("=")
    head, dot, last = name.rpartition(".")
    last, _, modifier = last.partition(":")
    found = {"filterParameter": head + dot + last, "value": value} | ({"modifier": modifier} if modifier else {})
    return found | ({"resourceType": resource_type} if resource_type else {})


def _backport(endpoint: str, topic: str, content: str, filters: Any, headers: Any, options: Any) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": BACKPORT + "backport-payload-content", "valueCode": content}]},
    }
    if headers:
        channel["header"] = list(headers)
    extensions = [
        {"url": BACKPORT + f"backport-{name}", value_name: options[option]}
        for option, name, value_name in (
            ("heartbeat", "heartbeat-period", "valueUnsignedInt"),
            ("timeout", "timeout", "valueUnsignedInt"),
            ("max_count", "max-count", "valuePositiveInt"),
        )
        if options[option] is not None
    ]
    if extensions:
        channel["extension"] = extensions
    written = {"reason": "test", "criteria": topic, "channel": channel}
    if filters:
        url = BACKPORT + "backport-filter-criteria"
        written["_criteria"] = {"extension": [{"url": url, "valueString": each} for each in filters]}
    return written


def classic(endpoint: str, criteria: str, payload: str = "", **elements: Any) -> dict[str, Any]:
    """A Subscription to a search, as R4 and R4B define it without the Backport IG."""
    channel = {"type": "rest-hook", "endpoint": endpoint} | ({"payload": payload} if payload else {})
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "test", "criteria": criteria,
        "channel": channel, **elements,
    }  # fmt: skip


async def subscribe(api: Api, inbox: Inbox, topic: str = PATIENT_CHANGE, **options: Any) -> dict[str, Any]:
    """Create it, see the handshake arrive, wait until it is active; the Subscription as it is read then."""
    created = await api.post("Subscription", subscription(api.base, inbox.url, topic, **options))
    assert created.status_code == 201, created.text
    await inbox.next("handshake")
    return await until_status(api, created.json()["id"], "active")


async def until_status(api: Api, identity: str, status: str) -> dict[str, Any]:
    """The Subscription once it is in this status."""
    found: dict[str, Any] = {}
    for _ in range(500):
        found = (await api.get(f"Subscription/{identity}")).json()
        if found["status"] == status:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"still {found['status']}, not {status}")


def ids_in(response: httpx.Response) -> list[str]:
    """The ids of a searchset."""
    assert response.status_code == 200, response.text
    return [entry["resource"]["id"] for entry in response.json().get("entry", ())]


def topic(base: FhirVersion, url: str, resource: str = "Basic", **trigger: Any) -> dict[str, Any]:
    """A SubscriptionTopic with one trigger."""
    return {
        "resourceType": "SubscriptionTopic",
        "url": url,
        "version": "1.0.0",
        "status": "active",
        "resourceTrigger": [{"resource": resource, **trigger}],
    }
