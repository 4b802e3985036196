"""CapabilityStatement: what a base offers now, and nothing that it does not (S-194…S-201)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.json import write_instant
from hub.fhir.subscriptions import BACKPORT

_IG = "http://hl7.org/fhir/uv/subscriptions-backport"
_CORE = "http://hl7.org/fhir"
_INSTANTIATES = {
    FhirVersion.R4: f"{_IG}/CapabilityStatement/backport-subscription-server-r4",
    FhirVersion.R4B: f"{_IG}/CapabilityStatement/backport-subscription-server",
}
TOPIC_CANONICAL = BACKPORT + "capabilitystatement-subscriptiontopic-canonical"
OPERATIONS = ("status", "events")
SUBSCRIPTION_SEARCH = ("url", "status", "topic", "_id")
TOPIC_SEARCH = ("url", "derived-or-self", "resource", "status")
_TOKENS = frozenset({"_id", "code", "status", "type"})
_OWN = frozenset({("SubscriptionTopic", "code")})  # the hub's own search by event code: the standard defines none

_RESOURCE_INTERACTIONS = ("create", "read", "vread", "history-instance", "update", "patch", "delete")
_SUBSCRIPTION_INTERACTIONS = ("create", "read", "vread", "update", "delete", "search-type")
_TOPIC_INTERACTIONS = ("create", "read", "vread", "update", "delete", "search-type")


def capability_statement(
    version: FhirVersion,
    *,
    base_url: str,
    software_version: str,
    date: datetime,
    description: str,
    resource_types: Collection[str],
    topics: Sequence[str] = (),
    subscription_search: Sequence[str] = SUBSCRIPTION_SEARCH,
    topic_search: Sequence[str] = TOPIC_SEARCH,
    formats: Sequence[str] = ("application/fhir+json", "json"),
    system_interactions: Sequence[str] = (),
) -> dict[str, Any]:
    """The statement of the base of ``version`` at ``base_url``.

    ``date`` is when the statement last changed, ``description`` says in words what a 2xx promises (the durability
    level), ``resource_types`` are all types taken on this base, ``topics`` the canonicals of all topics in use (S-199).
    The searches are the names of the parameters that are served.
    """
    types = sorted(set(resource_types) - {"Subscription", "SubscriptionTopic"})
    resources = [_subscription(version, topics, subscription_search)]
    if version is not FhirVersion.R4:
        resources.append(_topic(topic_search))
    resources += [_resource(name) for name in types]
    statement: dict[str, Any] = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": write_instant(date),
        "kind": "instance",
        "description": description,
        "software": {"name": "FHIR notification hub", "version": software_version},
        "implementation": {"description": "FHIR Subscriptions notification hub", "url": base_url},
        "fhirVersion": version.number,
        "format": list(formats),
        "rest": [{"mode": "server", "resource": resources}],
    }
    if version in _INSTANTIATES:
        statement["instantiates"] = [_INSTANTIATES[version]]
        statement["implementationGuide"] = [f"{_IG}/ImplementationGuide/hl7.fhir.uv.subscriptions-backport"]
    if system_interactions:
        statement["rest"][0]["interaction"] = [{"code": code} for code in system_interactions]
    return statement


def _subscription(version: FhirVersion, topics: Sequence[str], search: Sequence[str]) -> dict[str, Any]:
    resource = _resource("Subscription", _SUBSCRIPTION_INTERACTIONS)
    if topics:
        resource["extension"] = [{"url": TOPIC_CANONICAL, "valueCanonical": canonical} for canonical in topics]
    if version is not FhirVersion.R5:
        resource["supportedProfile"] = [BACKPORT + "backport-subscription"]
    resource["searchParam"] = [_search_parameter("Subscription", name, version) for name in search]
    resource["operation"] = [{"name": name, "definition": _operation(name, version)} for name in OPERATIONS]
    return resource


def _topic(search: Sequence[str]) -> dict[str, Any]:
    resource = _resource("SubscriptionTopic", _TOPIC_INTERACTIONS)
    resource["searchParam"] = [_search_parameter("SubscriptionTopic", name) for name in search]
    return resource


def _resource(name: str, interactions: Sequence[str] = _RESOURCE_INTERACTIONS) -> dict[str, Any]:
    ordinary = interactions is _RESOURCE_INTERACTIONS
    return {
        "type": name,
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned-update",
        "readHistory": False,  # superseded versions go once nothing needs them (HOUSE ruling 14)
        "updateCreate": True,
        "conditionalCreate": ordinary,
        # the live status of a Subscription changes without a new version: an ETag says nothing about it
        "conditionalRead": "not-match" if ordinary else "not-supported",
        "conditionalUpdate": ordinary,
        "conditionalDelete": "single" if ordinary else "not-supported",
    }


def _operation(name: str, version: FhirVersion) -> str:
    if version is FhirVersion.R5:
        return f"{_CORE}/OperationDefinition/Subscription-{name}"
    return f"{_IG}/OperationDefinition/backport-subscription-{name}"


def _search_parameter(resource: str, name: str, version: FhirVersion = FhirVersion.R5) -> dict[str, str]:
    """On R4 and R4B the topic stands in criteria, and the parameter that searches it is the IG's."""
    described = {"name": name, "type": "token" if name in _TOKENS else "uri"}
    if name == "_id":
        described["definition"] = f"{_CORE}/SearchParameter/Resource-id"
    elif name == "topic" and version is not FhirVersion.R5:
        described["definition"] = f"{_IG}/SearchParameter/Subscription-topic"
    elif (resource, name) not in _OWN:
        described["definition"] = f"{_CORE}/SearchParameter/{resource}-{name}"
    return described
