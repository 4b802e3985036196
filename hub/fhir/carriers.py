"""Status carriers: the resource that opens every notification and answers $status (S-107…S-121).

R4 says it in Parameters, R4B and R5 in a SubscriptionStatus. Numbers are strings on the wire in every version (S-110).
With content ``empty`` nothing in it tells which resource, or which topic: topics can be PHI too (S-113, S-114).
"""

from __future__ import annotations

from typing import Any

from hub.domain.event import Notification, NotificationEvent, NotificationType, SubscriptionError
from hub.domain.subscription import Content
from hub.domain.versions import FhirVersion
from hub.fhir.json import write_instant
from hub.fhir.subscriptions import BACKPORT

STATUS_PROFILE = BACKPORT + "backport-subscription-status-r4"
ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"
_ASKED_FOR = frozenset({NotificationType.QUERY_STATUS, NotificationType.QUERY_EVENT})


def status_carrier(
    notification: Notification, version: FhirVersion, base_url: str, source_base_url: str
) -> dict[str, Any]:
    """The carrier in the form of ``version``; both URLs without a slash at the end."""
    write = status_parameters_resource if version is FhirVersion.R4 else subscription_status
    return write(notification, base_url, source_base_url)


def subscription_status(notification: Notification, base_url: str, source_base_url: str) -> dict[str, Any]:
    """SubscriptionStatus of R4B and R5, which write it alike."""
    carrier: dict[str, Any] = {
        "resourceType": "SubscriptionStatus",
        "id": notification.status_id,
        "status": notification.status.value,
        "type": notification.type.value,
        "eventsSinceSubscriptionStart": str(notification.events_since_start),
    }
    if notification.events:
        carrier["notificationEvent"] = [
            _status_event(event, notification.content, source_base_url) for event in notification.events
        ]
    carrier["subscription"] = {"reference": f"{base_url}/Subscription/{notification.subscription_id}"}
    if _names_topic(notification):
        carrier["topic"] = notification.topic
    if notification.errors:
        carrier["error"] = [_error(error) for error in notification.errors]
    return carrier


def status_parameters_resource(notification: Notification, base_url: str, source_base_url: str) -> dict[str, Any]:
    """Parameters after the profile backport-subscription-status-r4, names in kebab-case."""
    subscription = {"reference": f"{base_url}/Subscription/{notification.subscription_id}"}
    parameters: list[dict[str, Any]] = [{"name": "subscription", "valueReference": subscription}]
    if _names_topic(notification):
        parameters.append({"name": "topic", "valueCanonical": notification.topic})
    parameters += [
        {"name": "status", "valueCode": notification.status.value},
        {"name": "type", "valueCode": notification.type.value},
        {"name": "events-since-subscription-start", "valueString": str(notification.events_since_start)},
        *(
            {"name": "notification-event", "part": _event_parts(event, notification.content, source_base_url)}
            for event in notification.events
        ),
        *({"name": "error", "valueCodeableConcept": _error(error)} for error in notification.errors),
    ]
    return {
        "resourceType": "Parameters",
        "id": notification.status_id,
        "meta": {"profile": [STATUS_PROFILE]},
        "parameter": parameters,
    }


def _status_event(event: NotificationEvent, content: Content, base_url: str) -> dict[str, Any]:
    written: dict[str, Any] = {"eventNumber": str(event.number), "timestamp": write_instant(event.timestamp)}
    if content is not Content.EMPTY:
        written["focus"] = {"reference": f"{base_url}/{event.reference}"}
        if event.additional:
            written["additionalContext"] = [{"reference": f"{base_url}/{one.reference}"} for one in event.additional]
    return written


def _event_parts(event: NotificationEvent, content: Content, base_url: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": write_instant(event.timestamp)},
    ]
    if content is not Content.EMPTY:
        parts.append({"name": "focus", "valueReference": {"reference": f"{base_url}/{event.reference}"}})
        parts += [
            {"name": "additional-context", "valueReference": {"reference": f"{base_url}/{one.reference}"}}
            for one in event.additional
        ]
    return parts


def _names_topic(notification: Notification) -> bool:
    """With content empty only whoever asks is told the topic; nothing that is pushed names it. A classic Subscription
    has none."""
    return bool(notification.topic) and (notification.content is not Content.EMPTY or notification.type in _ASKED_FOR)


def _error(error: SubscriptionError) -> dict[str, Any]:
    concept: dict[str, Any] = {"coding": [{"system": ERRORS, "code": error.code}]}
    return concept | {"text": error.text} if error.text else concept
