"""Which resource an entry of a Bundle is about, and whether a Bundle may speak of it at all."""

from __future__ import annotations

from hub.domain.change import NEVER_CHANGES, Resource, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Unprocessable
from hub.fhir.basic_topics import is_topic
from hub.fhir.bundle_entries import LOGICAL_ID, BundleEntry
from hub.fhir.definitions import definitions


def resource_key(tenant: str, base: FhirVersion, resource_type: object, identity: object, where: str) -> ResourceKey:
    """Raises Malformed, Unprocessable naming the element ``where``; an ``identity`` of "" is for one to be found."""
    if not isinstance(resource_type, str) or resource_type not in definitions(base).resource_types:
        raise Malformed(
            f"FHIR {base.number} has no resource type {resource_type}", expression=where, code="not-supported"
        )
    if resource_type in NEVER_CHANGES:
        raise Unprocessable(
            f"{resource_type} is written by a request of its own", expression=where, code="not-supported"
        )
    if not isinstance(identity, str) or (identity and not LOGICAL_ID.fullmatch(identity)):
        raise Malformed("an id has 1 to 64 letters, digits, '-' and '.'", expression=where)
    return ResourceKey(tenant, base, resource_type, identity)


def entry_key(tenant: str, base: FhirVersion, entry: BundleEntry) -> ResourceKey:
    """The resource that ``request`` names; without an id when it is created or conditional.

    Raises Unprocessable for what is not offered in a Bundle.
    """
    where = f"{entry.path}.request.url"
    key = resource_key(tenant, base, entry.type, entry.id, where)
    if entry.reads and not entry.id:
        raise Unprocessable(
            "a Bundle reads single resources, Type/id; searching is not offered", expression=where, code="not-supported"
        )
    if entry.method == "POST" and (entry.id or entry.query):
        raise Malformed(f"a POST goes to {entry.type}", expression=where)
    if entry.method in ("PUT", "PATCH", "DELETE") and not entry.id and not entry.query:
        raise Malformed(f"a {entry.method} goes to {entry.type}/id or to {entry.type}?identifier=…", expression=where)
    return key


def check_ordinary(base: FhirVersion, resource: Resource, where: str) -> None:
    """Raises Unprocessable for a Basic that stands for a topic: it is written by itself, as a Subscription is."""
    if base is FhirVersion.R4 and resource.get("resourceType") == "Basic" and is_topic(resource):
        raise Unprocessable(
            "a SubscriptionTopic is written by a request of its own", expression=where, code="not-supported"
        )


def check_type(entry: BundleEntry, base: FhirVersion) -> None:
    """Raises Malformed when the resource is of another type than the URL, Unprocessable when it is a topic."""
    check_ordinary(base, entry.resource, f"{entry.path}.resource")
    if entry.resource.get("resourceType") != entry.type:
        raise Malformed(
            f'write "resourceType": "{entry.type}", as in request.url', expression=f"{entry.path}.resource.resourceType"
        )
