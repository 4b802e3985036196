"""The search parameters of the resources that the hub itself keeps, and what they look at (S-102, S-197, S-198).

All of them are of the standard or the Backport IG but ``code`` of a topic. Header values are in none of them, and a
search looks at resources as they are shown, with header values masked (HOUSE ruling 24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import SearchParameter, definitions
from hub.fhir.subscriptions import BACKPORT

OF_EVERY_RESOURCE = ("_id", "_lastUpdated")
_CLASSIC = ("contact", "criteria", "payload", "status", "type", "url")
_R5 = (
    *("contact", "content-level", "filter-value", "identifier", "name", "owner", "payload", "status", "topic"),
    *("type", "url"),
)
_TOPIC = ("date", "derived-or-self", "identifier", "resource", "status", "title", "trigger-description", "url")
_PARAMETER = ("base", "code", "name", "status", "type", "url", "version")
_STANDARD: Mapping[tuple[str, FhirVersion], tuple[str, ...]] = MappingProxyType(
    {
        ("Subscription", FhirVersion.R4): _CLASSIC,
        ("Subscription", FhirVersion.R4B): _CLASSIC,
        ("Subscription", FhirVersion.R5): _R5,
        ("SubscriptionTopic", FhirVersion.R4B): (*_TOPIC, "version"),
        ("SubscriptionTopic", FhirVersion.R5): (*_TOPIC, "version", "effective", "event"),
        ("Basic", FhirVersion.R4): ("code",),
        **{("SearchParameter", version): _PARAMETER for version in FhirVersion},
    }
)

_IG = "http://hl7.org/fhir/uv/subscriptions-backport/SearchParameter/Subscription-"
_IDENTIFIER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"


def _of_the_ig(code: str, type_: str, expression: str) -> SearchParameter:
    return SearchParameter(code, ("Subscription",), type_, expression, (), _IG + code)


_BACKPORT = (
    _of_the_ig("topic", "uri", "Subscription.criteria"),
    _of_the_ig(
        "filter-criteria",
        "string",
        f"Subscription.criteria.extension('{BACKPORT}backport-filter-criteria').value.ofType(string)",
    ),
    _of_the_ig(
        "custom-channel",
        "token",
        f"Subscription.channel.type.extension('{BACKPORT}backport-channel-type').value.ofType(Coding)",
    ),
    _of_the_ig(
        "payload-type",
        "token",
        f"Subscription.channel.payload.extension('{BACKPORT}backport-payload-content').value.ofType(code)",
    ),
    _of_the_ig("identifier", "token", f"Subscription.extension('{_IDENTIFIER}').value.ofType(Identifier)"),
)
"""Names and types of IG 1.2 (``topic`` stays a canonical, as in 1.1). As published the expressions look for the
extensions on Subscription itself, where they never stand."""

_EVENT_CODE = SearchParameter(
    "code", ("SubscriptionTopic",), "token", "SubscriptionTopic.eventTrigger.event", (), "", comparators=()
)
"""The hub's own: R4B has no search by event."""
_VERSIONED_SELF = " | (SubscriptionTopic.url & '|' & SubscriptionTopic.version)"
"""``derived-or-self`` also finds a topic by its own canonical with version."""


@cache
def offered(resource_type: str, version: FhirVersion) -> Mapping[str, SearchParameter]:
    """The parameters by name; empty where such resources are not searched."""
    names = _STANDARD.get((resource_type, version), ())
    if not names:
        return MappingProxyType({})
    facts = definitions(version)
    known = (facts.search_parameter(resource_type, name) for name in (*OF_EVERY_RESOURCE, *names))
    found = {parameter.code: parameter for parameter in known if parameter}
    if resource_type == "Subscription" and version is not FhirVersion.R5:
        found |= {parameter.code: parameter for parameter in _BACKPORT}
    if resource_type == "SubscriptionTopic":
        derived = found["derived-or-self"]
        found["derived-or-self"] = replace(derived, expression=derived.expression + _VERSIONED_SELF)
        found["code"] = _EVENT_CODE
    return MappingProxyType(found)
