"""Subscriptions as FHIR R5 writes them, with elements of its own for everything."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hub.domain.event import Notification
from hub.domain.subscription import Channel, Content, FilterBy, Status, Subscription
from hub.domain.topic import STRUCTURE_DEFINITION
from hub.domain.versions import FhirVersion
from hub.fhir.bundles import status_bundle, subscription_notification_bundle
from hub.fhir.carriers import subscription_status
from hub.fhir.headers import MASK, Header, kept_values
from hub.fhir.reading import Json, child, children, text
from hub.fhir.subscriptions import DEFAULT_CONTENT_TYPE, DEFAULT_MAIL_TYPE, ROOT, Limits, SubscriptionChecks
from hub.fhir.topics import COMPARATORS, FILTER_NAME, MODIFIERS, TYPE_NAME


class R5Dialect:
    """FHIR R5: SubscriptionStatus, and Bundles of type subscription-notification."""

    version = FhirVersion.R5

    def read_subscription(self, resource: Json, limits: Limits) -> Subscription:
        checks = SubscriptionChecks.begin(resource, self.version, limits)
        checks.extensions(resource, known={})
        subscription = Subscription(
            topic=checks.topic(text(resource, "topic"), f"{ROOT}.topic"),
            channel=_channel(resource, checks),
            status=checks.status(resource),
            filters=tuple(
                _filter(item, f"{ROOT}.filterBy[{index}]", checks)
                for index, item in enumerate(children(resource, "filterBy"))
            ),
            end=checks.end(resource),
            name=text(resource, "name"),
        )
        checks.problems.raise_if_any()
        return subscription

    def accepted_subscription(
        self, resource: Json, subscription: Subscription, status: Status, error: str = ""
    ) -> dict[str, Any]:
        channel = subscription.channel
        accepted = copy.deepcopy(dict(resource)) | {
            "status": status.value,
            "timeout": channel.timeout_seconds,
            "contentType": channel.content_type,
            "content": channel.content.value,
            "maxCount": channel.max_count,
        }
        if channel.heartbeat_seconds:
            accepted["heartbeatPeriod"] = channel.heartbeat_seconds
        return accepted

    def mask_headers(self, resource: Json) -> dict[str, Any]:
        return _with_values(resource, [MASK for _ in _headers(resource)])

    def unmask_headers(self, resource: Json, stored: Json) -> dict[str, Any]:
        endpoints = text(resource, "endpoint"), text(stored, "endpoint")
        return _with_values(resource, kept_values(_headers(resource), _headers(stored), *endpoints))

    def write_notification(self, notification: Notification, base_url: str, source_base_url: str = "") -> bytes:
        return subscription_notification_bundle(notification, base_url, source_base_url or base_url)

    def write_status_bundle(self, notifications: Sequence[Notification], self_url: str, base_url: str) -> bytes:
        base = base_url.rstrip("/")
        return status_bundle([subscription_status(each, base, base) for each in notifications], self_url)


def _channel(resource: Json, checks: SubscriptionChecks) -> Channel:
    coding = child(resource, "channelType")
    channel_type = checks.channel_type(text(coding, "system"), text(coding, "code"), f"{ROOT}.channelType")
    headers = _headers(resource)
    mime = text(resource, "contentType") or (DEFAULT_MAIL_TYPE if channel_type == "email" else DEFAULT_CONTENT_TYPE)
    content = checks.content(text(resource, "content") or Content.EMPTY.value, f"{ROOT}.content")
    period = checks.whole(resource, "heartbeatPeriod", f"{ROOT}.heartbeatPeriod")
    return Channel(
        type=channel_type,
        endpoint=checks.endpoint(channel_type, text(resource, "endpoint"), f"{ROOT}.endpoint"),
        headers=checks.headers(channel_type, headers, [f"{ROOT}.parameter[{index}]" for index in range(len(headers))]),
        content_type=checks.content_type(channel_type, mime, f"{ROOT}.contentType"),
        content=checks.may_carry(channel_type, content, f"{ROOT}.content"),
        heartbeat_seconds=checks.heartbeat(channel_type, period),
        timeout_seconds=checks.timeout(checks.whole(resource, "timeout", f"{ROOT}.timeout")),
        max_count=checks.max_count(checks.whole(resource, "maxCount", f"{ROOT}.maxCount")),
    )


def _filter(item: Json, path: str, checks: SubscriptionChecks) -> FilterBy:
    """One filterBy; never both a comparator and a modifier (scr-1). ``value`` keeps its search syntax (S-096)."""
    problems = checks.problems
    resource_type = text(item, "resourceType").removeprefix(STRUCTURE_DEFINITION)
    parameter, value = text(item, "filterParameter"), text(item, "value")
    comparator, modifier = text(item, "comparator"), text(item, "modifier")
    if resource_type and not TYPE_NAME.fullmatch(resource_type):
        problems.add("value", f"{path}.resourceType", "Name the resource type, such as Encounter.")
    if not FILTER_NAME.fullmatch(parameter):
        problems.add("value", f"{path}.filterParameter", "Give the name of the parameter; a modifier goes to modifier.")
    if not value:
        problems.add("required", f"{path}.value", "Give the value to compare with.")
    if comparator and comparator not in COMPARATORS:
        problems.add("code-invalid", f"{path}.comparator", f"Use one of {', '.join(COMPARATORS)}.")
    if modifier and modifier not in MODIFIERS:
        problems.add("code-invalid", f"{path}.modifier", f"Use one of {', '.join(MODIFIERS)}.")
    if comparator and modifier:
        problems.add("invariant", path, "A filter has a comparator or a modifier, not both: leave one out.")
    return FilterBy(parameter, value, resource_type, comparator, modifier)


def _headers(resource: Json) -> list[Header]:
    return [(text(each, "name"), text(each, "value")) for each in children(resource, "parameter")]


def _with_values(resource: Json, values: list[str]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(resource))
    for parameter, value in zip(children(changed, "parameter"), values, strict=True):
        if isinstance(parameter, dict) and "value" in parameter:
            parameter["value"] = value
    return changed
