"""Notification Bundles and the searchset of $status (S-122…S-141, S-183…S-185).

Envelopes are plain JSON built here; resources go in as the bytes that were received, never parsed again (decision 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from hub.domain.change import Interaction
from hub.domain.event import AdditionalContext, Notification, NotificationEvent
from hub.domain.subscription import Content
from hub.domain.versions import FhirVersion
from hub.fhir.carriers import status_carrier, subscription_status
from hub.fhir.json import write_instant, write_json
from hub.fhir.subscriptions import BACKPORT

_HISTORY_PROFILES = {
    FhirVersion.R4: BACKPORT + "backport-subscription-notification-r4",
    FhirVersion.R4B: BACKPORT + "backport-subscription-notification",
}
_REQUEST = {
    Interaction.CREATE: "POST", Interaction.UPDATE: "PUT", Interaction.DELETE: "DELETE", Interaction.EVENT: "GET"
}  # fmt: skip
_RESPONSE = {
    Interaction.CREATE: "201", Interaction.UPDATE: "200", Interaction.DELETE: "204", Interaction.EVENT: "200"
}  # fmt: skip
"""Of an event elsewhere the resource is shown as it is: a read (S-125)."""


def history_bundle(notification: Notification, version: FhirVersion, base_url: str, source_base_url: str) -> bytes:
    """R4 and R4B: type history, so every entry has request and response (S-122…S-125)."""
    base_url, source_base_url = base_url.rstrip("/"), source_base_url.rstrip("/")
    carrier = status_carrier(notification, version, base_url, source_base_url)
    status_url = f"{base_url}/Subscription/{notification.subscription_id}/$status"
    opening = _carrier_entry(carrier) | {"request": {"method": "GET", "url": status_url}, "response": {"status": "200"}}
    entries = (
        _event_entry(event, source_base_url) | {"response": {"status": _RESPONSE[event.interaction]}}
        for event in _shown(notification)
    )
    context = (
        _context_entry(one, source_base_url) | {"response": {"status": "200"}} for one in _shown_context(notification)
    )
    return write_json(
        {
            "resourceType": "Bundle",
            "id": notification.bundle_id,
            "meta": {"profile": [_HISTORY_PROFILES[version]]},
            "type": "history",
            "timestamp": write_instant(notification.timestamp),
            **_next_link(notification, base_url),
            "entry": [opening, *entries, *context],
        }
    )


def subscription_notification_bundle(notification: Notification, base_url: str, source_base_url: str) -> bytes:
    """R5: type subscription-notification; no response anywhere, no request on the status entry (S-129, S-130)."""
    base_url, source_base_url = base_url.rstrip("/"), source_base_url.rstrip("/")
    opening = _carrier_entry(subscription_status(notification, base_url, source_base_url))
    return write_json(
        {
            "resourceType": "Bundle",
            "id": notification.bundle_id,
            "type": "subscription-notification",
            "timestamp": write_instant(notification.timestamp),
            **_next_link(notification, base_url),
            "entry": [
                opening,
                *(_event_entry(event, source_base_url) for event in _shown(notification)),
                *(_context_entry(one, source_base_url) for one in _shown_context(notification)),
            ],
        }
    )


def status_bundle(carriers: Sequence[dict[str, Any]], self_url: str) -> bytes:
    """The searchset that answers $status; a search mode, and neither request nor response (S-184)."""
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(carriers),
        "link": [{"relation": "self", "url": self_url}],
    }
    if carriers:
        bundle["entry"] = [_carrier_entry(carrier) | {"search": {"mode": "match"}} for carrier in carriers]
    return write_json(bundle)


def _next_link(notification: Notification, base_url: str) -> dict[str, Any]:
    """Where an answer to $events goes on (S-187); a Bundle of any type may have links."""
    if not notification.next_page:
        return {}
    url = f"{base_url}/Subscription/{notification.subscription_id}/$events?{notification.next_page}"
    return {"link": [{"relation": "next", "url": url}]}


def _shown(notification: Notification) -> Iterable[NotificationEvent]:
    """The events that get an entry: with full-resource one for each resource, its newest; else none (S-132…S-135).

    One entry for each resource keeps fullUrl unique, which R5 demands (bdl-7, S-131) and S-126 asks of the others.
    """
    if notification.content is not Content.FULL_RESOURCE:
        return ()
    newest = {event.reference: event for event in notification.events}
    return sorted(newest.values(), key=lambda event: event.number)


def _shown_context(notification: Notification) -> Iterable[AdditionalContext]:
    """The further resources that get an entry: each once, and none that is itself the focus of an event (S-126)."""
    if notification.content is not Content.FULL_RESOURCE:
        return ()
    foci = {event.reference for event in notification.events}
    newest = {one.reference: one for event in notification.events for one in event.additional}
    return [one for reference, one in newest.items() if reference not in foci]


def _context_entry(context: AdditionalContext, base_url: str) -> dict[str, Any]:
    """Sent again as it is: a read, whatever the event was (S-125)."""
    entry: dict[str, Any] = {"fullUrl": f"{base_url}/{context.reference}"}
    if context.resource:
        entry["resource"] = orjson.Fragment(context.resource)
    return entry | {"request": {"method": "GET", "url": context.reference}}


def _carrier_entry(carrier: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": f"urn:uuid:{carrier['id']}", "resource": carrier}


def _event_entry(event: NotificationEvent, base_url: str) -> dict[str, Any]:
    """fullUrl is what the event's focus says (S-136). Deleted or no longer held: told by the request alone (S-134)."""
    entry: dict[str, Any] = {"fullUrl": f"{base_url}/{event.reference}"}
    if event.resource and event.interaction is not Interaction.DELETE:
        entry["resource"] = orjson.Fragment(event.resource)
    url = event.type if event.interaction is Interaction.CREATE else event.reference
    return entry | {"request": {"method": _REQUEST[event.interaction], "url": url}}
