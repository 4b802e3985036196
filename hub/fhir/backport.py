"""Subscriptions on R4 and R4B after the Subscriptions R5 Backport IG: topic and options in extensions (S-088…S-094).

Criteria that are a search make a classic Subscription, which ``classic.py`` reads (S-007).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hub.domain.event import Notification
from hub.domain.subscription import Channel, Content, FilterBy, Status, Subscription
from hub.domain.versions import FhirVersion
from hub.fhir.bundles import history_bundle, status_bundle
from hub.fhir.carriers import status_carrier
from hub.fhir.classic import accepted_classic, has_subject_line, is_classic, read_classic
from hub.fhir.filters import FilterSyntaxError, read_filter_criteria
from hub.fhir.headers import MASK, Header, kept_values
from hub.fhir.reading import Json, child, children, text, texts
from hub.fhir.subscriptions import BACKPORT, ROOT, Limits, SubscriptionChecks

FILTER_CRITERIA = BACKPORT + "backport-filter-criteria"
CHANNEL_TYPE = BACKPORT + "backport-channel-type"
PAYLOAD_CONTENT = BACKPORT + "backport-payload-content"
HEARTBEAT_PERIOD = BACKPORT + "backport-heartbeat-period"
TIMEOUT = BACKPORT + "backport-timeout"
MAX_COUNT = BACKPORT + "backport-max-count"
IDENTIFIER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"

CHANNEL = f"{ROOT}.channel"
CONTENT = f"{CHANNEL}.payload.extension('{PAYLOAD_CONTENT}')"
KNOWN_EXTENSIONS = {
    ROOT: frozenset({IDENTIFIER}),
    f"{ROOT}.criteria": frozenset({FILTER_CRITERIA}),
    CHANNEL: frozenset({HEARTBEAT_PERIOD, TIMEOUT, MAX_COUNT}),
    f"{CHANNEL}.type": frozenset({CHANNEL_TYPE}),
    f"{CHANNEL}.payload": frozenset({PAYLOAD_CONTENT}),
}


class BackportDialect:
    """R4 (status in Parameters) or R4B (SubscriptionStatus), with notification Bundles of type history."""

    def __init__(self, version: FhirVersion) -> None:
        self.version = version

    def read_subscription(self, resource: Json, limits: Limits) -> Subscription:
        checks = SubscriptionChecks.begin(resource, self.version, limits)
        if is_classic(resource):
            classic = read_classic(resource, _headers(child(resource, "channel")), checks)
            checks.problems.raise_if_any()
            return classic
        checks.extensions(resource, KNOWN_EXTENSIONS)
        subscription = Subscription(
            topic=checks.topic(text(resource, "criteria"), f"{ROOT}.criteria"),
            channel=_channel(child(resource, "channel"), checks),
            status=checks.status(resource),
            filters=_filters(child(resource, "_criteria"), checks),
            end=checks.end(resource),
        )
        checks.problems.raise_if_any()
        return subscription

    def accepted_subscription(
        self, resource: Json, subscription: Subscription, status: Status, error: str = ""
    ) -> dict[str, Any]:
        accepted = accepted_classic(resource, status, error)
        if subscription.is_classic:
            return accepted
        settings = subscription.channel
        channel = accepted["channel"]
        channel["extension"] = extensions = channel.get("extension") or []
        if settings.heartbeat_seconds:
            _set_extension(extensions, HEARTBEAT_PERIOD, "valueUnsignedInt", settings.heartbeat_seconds)
        _set_extension(extensions, TIMEOUT, "valueUnsignedInt", settings.timeout_seconds)
        _set_extension(extensions, MAX_COUNT, "valuePositiveInt", settings.max_count)
        return accepted

    def mask_headers(self, resource: Json) -> dict[str, Any]:
        if has_subject_line(resource):
            return copy.deepcopy(dict(resource))
        return _with_values(resource, [MASK for _ in _headers(child(resource, "channel"))])

    def unmask_headers(self, resource: Json, stored: Json) -> dict[str, Any]:
        if has_subject_line(resource):
            return copy.deepcopy(dict(resource))
        new, old = child(resource, "channel"), child(stored, "channel")
        endpoints = text(new, "endpoint"), text(old, "endpoint")
        return _with_values(resource, kept_values(_headers(new), _headers(old), *endpoints))

    def write_notification(self, notification: Notification, base_url: str, source_base_url: str = "") -> bytes:
        return history_bundle(notification, self.version, base_url, source_base_url or base_url)

    def write_status_bundle(self, notifications: Sequence[Notification], self_url: str, base_url: str) -> bytes:
        base = base_url.rstrip("/")
        return status_bundle([status_carrier(each, self.version, base, base) for each in notifications], self_url)


def _channel(channel: Json, checks: SubscriptionChecks) -> Channel:
    channel_type = _channel_type(channel, checks)
    headers = _headers(channel)
    options = child(channel, "_payload")
    seconds, count = "valueUnsignedInt", "valuePositiveInt"
    return Channel(
        type=channel_type,
        endpoint=checks.endpoint(channel_type, text(channel, "endpoint"), f"{CHANNEL}.endpoint"),
        headers=checks.headers(channel_type, headers, [f"{CHANNEL}.header[{index}]" for index in range(len(headers))]),
        content_type=_content_type(channel_type, channel, checks),
        content=checks.may_carry(channel_type, _content(options, checks), f"{CONTENT}.value"),
        heartbeat_seconds=checks.heartbeat(channel_type, _number(channel, HEARTBEAT_PERIOD, seconds, checks)),
        timeout_seconds=checks.timeout(_number(channel, TIMEOUT, seconds, checks)),
        max_count=checks.max_count(_number(channel, MAX_COUNT, count, checks)),
    )


def _channel_type(channel: Json, checks: SubscriptionChecks) -> str:
    """The code, or the Coding of the custom channel extension, which overrides it."""
    extension = _single(child(channel, "_type"), CHANNEL_TYPE, f"{CHANNEL}.type", checks)
    if extension is None:
        return checks.channel_type("", text(channel, "type"), f"{CHANNEL}.type")
    coding = child(extension, "valueCoding")
    return checks.channel_type(
        text(coding, "system"), text(coding, "code"), f"{CHANNEL}.type.extension('{CHANNEL_TYPE}')"
    )


def _content_type(channel_type: str, channel: Json, checks: SubscriptionChecks) -> str:
    mime = text(channel, "payload")
    if not mime:
        checks.problems.add("required", f"{CHANNEL}.payload", "Give the MIME type: application/fhir+json (S-091).")
        return ""
    return checks.content_type(channel_type, mime, f"{CHANNEL}.payload")


def _content(payload: Json, checks: SubscriptionChecks) -> Content:
    extension = _single(payload, PAYLOAD_CONTENT, f"{CHANNEL}.payload", checks)
    if extension is None:
        checks.problems.add(
            "required", CONTENT, "Say in _payload how much to send: valueCode empty, id-only or full-resource."
        )
        return Content.EMPTY
    return checks.content(text(extension, "valueCode"), f"{CONTENT}.value")


def _number(channel: Json, url: str, name: str, checks: SubscriptionChecks) -> int | None:
    extension = _single(channel, url, CHANNEL, checks)
    if extension is None:
        return None
    path = f"{CHANNEL}.extension('{url}').value"
    if name not in extension:
        checks.problems.add("value", path, f"Write the number as {name}.")
    return checks.whole(extension, name, path)


def _single(owner: Json, url: str, path: str, checks: SubscriptionChecks) -> Json | None:
    found = [each for each in children(owner, "extension") if each.get("url") == url]
    if len(found) > 1:
        checks.problems.add(
            "structure", f"{path}.extension('{url}')", "This extension may stand once: leave the others out."
        )
    return found[0] if found else None


def _filters(criteria: Json, checks: SubscriptionChecks) -> tuple[FilterBy, ...]:
    filters: list[FilterBy] = []
    for index, extension in enumerate(children(criteria, "extension")):
        if extension.get("url") != FILTER_CRITERIA:
            continue
        path = f"{ROOT}.criteria.extension[{index}].value"
        try:
            filters += read_filter_criteria(text(extension, "valueString"))
        except FilterSyntaxError as error:
            checks.problems.add("value", path, str(error))
    return tuple(filters)


def _headers(channel: Json) -> list[Header]:
    """``Name: value``, split at the first colon and trimmed (S-151)."""
    pairs = (header.partition(":") for header in texts(channel, "header"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _with_values(resource: Json, values: list[str]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(resource))
    channel = child(changed, "channel")
    if values and isinstance(channel, dict):
        channel["header"] = [
            f"{name}: {new}" if new != old else written
            for (name, old), new, written in zip(_headers(channel), values, channel["header"], strict=True)
        ]
    return changed


def _set_extension(extensions: list[Any], url: str, name: str, value: int) -> None:
    for extension in extensions:
        if extension.get("url") == url:
            extension[name] = value
            return
    extensions.append({"url": url, name: value})
