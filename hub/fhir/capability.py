"""CapabilityStatement: what a base offers now, and nothing that it does not (S-194…S-201)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import SearchParameter
from hub.fhir.json import write_instant
from hub.fhir.life_operations import LIFE_OPERATIONS
from hub.fhir.own_operations import EXPLAIN, OWN_OPERATIONS, definition_url
from hub.fhir.searches import offered
from hub.fhir.subscriptions import BACKPORT
from hub.fhir.topic_forms import topic_type

_IG = "http://hl7.org/fhir/uv/subscriptions-backport"
_CORE = "http://hl7.org/fhir"
_INSTANTIATES = {
    FhirVersion.R4: f"{_IG}/CapabilityStatement/backport-subscription-server-r4",
    FhirVersion.R4B: f"{_IG}/CapabilityStatement/backport-subscription-server",
}
TOPIC_CANONICAL = BACKPORT + "capabilitystatement-subscriptiontopic-canonical"
OPERATIONS = ("status", "events", "get-ws-binding-token")
WEBSOCKET = f"{_CORE}/StructureDefinition/capabilitystatement-websocket"

_CLASSIC = (
    "Criteria that are the canonical of a topic follow the Subscriptions R5 Backport guide. Criteria that are a search "
    "with its type (Observation?code=1975-2) make a classic Subscription: active at once; for every create or update "
    "that matches an empty POST or, with a payload, the resource by PUT (rest-hook), a ping (websocket), a mail "
    "(email, where there is a mail server) or a message (message); no handshake, heartbeat or number."
)

_RESOURCE_INTERACTIONS = ("create", "read", "vread", "history-instance", "update", "patch", "delete")
_SUBSCRIPTION_INTERACTIONS = ("create", "read", "vread", "update", "delete", "search-type")
_DEFINITION_INTERACTIONS = ("create", "read", "vread", "update", "delete", "search-type")


def capability_statement(
    version: FhirVersion,
    *,
    base_url: str,
    software_version: str,
    date: datetime,
    description: str,
    resource_types: Collection[str],
    topics: Sequence[str] = (),
    formats: Sequence[str] = ("application/fhir+json", "json"),
    system_interactions: Sequence[str] = (),
    websocket_url: str = "",
) -> dict[str, Any]:
    """The statement of the base of ``version`` at ``base_url``.

    ``date`` is when the statement last changed, ``description`` says in words what a 2xx promises (the durability
    level), ``resource_types`` are all types taken on this base, ``topics`` the canonicals of all topics in use (S-199),
    ``websocket_url`` where a classic ``bind ID`` is answered, "" when it is not (S-014, S-201).
    """
    types = sorted(set(resource_types) - {"SearchParameter", "Subscription", "SubscriptionTopic"})
    explain = {"name": EXPLAIN, "definition": definition_url(base_url, EXPLAIN)}
    life = [{"name": name, "definition": definition_url(base_url, name)} for name in LIFE_OPERATIONS]
    resources = [_subscription(version, topics, [explain, *life])]
    if version is not FhirVersion.R4:
        resources.append(_searched("SubscriptionTopic", version, _DEFINITION_INTERACTIONS))
    resources.append(_searched("SearchParameter", version, _DEFINITION_INTERACTIONS))
    resources += [_searched(name, version, _RESOURCE_INTERACTIONS) for name in types]
    for resource in resources:
        if resource["type"] == topic_type(version):
            resource["operation"] = [explain]
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
        "rest": [{"mode": "server", "resource": resources, "operation": _system_operations(base_url)}],
    }
    if version in _INSTANTIATES:
        statement["instantiates"] = [_INSTANTIATES[version]]
        statement["implementationGuide"] = [f"{_IG}/ImplementationGuide/hl7.fhir.uv.subscriptions-backport"]
    if websocket_url:
        statement["rest"][0]["extension"] = [{"url": WEBSOCKET, "valueUri": websocket_url}]
    if system_interactions:
        statement["rest"][0]["interaction"] = [{"code": code} for code in system_interactions]
    return statement


def _system_operations(base_url: str) -> list[dict[str, str]]:
    """``$versions`` is of the standard; the definitions of the others are served on the base itself."""
    versions = {"name": "versions", "definition": f"{_CORE}/OperationDefinition/CapabilityStatement-versions"}
    own = [{"name": name, "definition": definition_url(base_url, name)} for name in OWN_OPERATIONS]
    return [versions, *own]


def _subscription(version: FhirVersion, topics: Sequence[str], own: Sequence[dict[str, str]]) -> dict[str, Any]:
    resource = _searched("Subscription", version, _SUBSCRIPTION_INTERACTIONS)
    resource["conditionalCreate"] = True
    if topics:
        resource["extension"] = [{"url": TOPIC_CANONICAL, "valueCanonical": canonical} for canonical in topics]
    if version is not FhirVersion.R5:
        resource["supportedProfile"] = [BACKPORT + "backport-subscription"]
        resource["documentation"] = _CLASSIC
    standard = [{"name": name, "definition": _operation(name, version)} for name in OPERATIONS]
    resource["operation"] = [*standard, *own]
    return resource


def _searched(name: str, version: FhirVersion, interactions: Sequence[str]) -> dict[str, Any]:
    """A type with its search parameters, if it has any: Basic on R4 is searched for topics (S-198)."""
    resource = _resource(name, version, interactions)
    parameters = offered(name, version)
    if parameters:
        if "search-type" not in interactions:
            resource["interaction"].append({"code": "search-type"})
        resource["searchParam"] = [_search_parameter(parameters[code]) for code in sorted(parameters)]
    return resource


def _resource(name: str, version: FhirVersion, interactions: Sequence[str]) -> dict[str, Any]:
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
        **({"conditionalPatch": ordinary} if version is FhirVersion.R5 else {}),  # earlier versions have no word for it
        "conditionalDelete": "single" if ordinary else "not-supported",
    }


def _operation(name: str, version: FhirVersion) -> str:
    if version is FhirVersion.R5:
        return f"{_CORE}/OperationDefinition/Subscription-{name}"
    return f"{_IG}/OperationDefinition/backport-subscription-{name}"


def _search_parameter(parameter: SearchParameter) -> dict[str, str]:
    described = {"name": parameter.code, "type": parameter.type}
    return described | ({"definition": parameter.url} if parameter.url else {})
