"""What the definitions that clients write through a base have in common: topics and SearchParameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.domain.versions import FhirVersion
from hub.errors import Issue, Malformed, NotFound, PreconditionFailed
from hub.fhir.json import write_instant
from hub.store.conditional_write import WriteCode
from hub.store.registry import Published


@dataclass(frozen=True, slots=True)
class ShownDefinition:
    """A definition as it goes out, in the shape of its base."""

    id: str
    version: int
    last_updated: datetime
    resource: dict[str, Any]
    created: bool = False
    notes: tuple[Issue, ...] = ()
    """Warnings and hints of the lint of topics, with their places in the resource as its base writes it."""


def check_same_id(resource: Mapping[str, Any], identity: str, resource_type: str) -> None:
    """Raises Malformed when a PUT is about another resource than its URL."""
    if resource.get("id") != identity:
        raise Malformed(f'write "id": "{identity}" as in the URL', expression=f"{resource_type}.id")


def shown_definition(
    resource_type: str, identity: str, version: int, last_updated: datetime, resource: Mapping[str, Any]
) -> ShownDefinition:
    """With the id and meta that it is shown with."""
    own_meta = resource.get("meta")
    stamp = {"versionId": str(version), "lastUpdated": write_instant(last_updated)}
    meta = {**(own_meta if isinstance(own_meta, dict) else {}), **stamp}
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    shown = {"resourceType": resource_type, "id": identity, "meta": meta, **rest}
    return ShownDefinition(identity, version, last_updated, shown)


def name_of(tenant: str, base: FhirVersion, identity: str) -> str:
    """Its name in the store (ruling 31)."""
    return f"{tenant}|{base}|{identity}"


def home_of(name: str) -> tuple[str, FhirVersion, str]:
    """Tenant, base and id of a name."""
    tenant, base, identity = name.split("|", 2)
    return tenant, FhirVersion(base), identity


def present_instant() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def refuse_unless_written(published: Published, reference: str) -> None:
    """Raises PreconditionFailed, NotFound."""
    match published.code:
        case WriteCode.CONFLICT:
            raise PreconditionFailed(f"If-Match names another version: {reference} has version {published.version}")
        case WriteCode.ABSENT:
            raise NotFound(f"{reference} is not known here")
        case _:
            return
