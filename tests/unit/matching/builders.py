"""Changes and Subscriptions in our words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.domain.change import ChangeId, Interaction, ResourceChange, ResourceKey
from hub.domain.versions import FhirVersion
from hub.matching.report import Fault


def change(
    interaction: Interaction,
    current: Mapping[str, Any] | None = None,
    previous: Mapping[str, Any] | None = None,
    *,
    version: FhirVersion = FhirVersion.R4,
    previous_known: bool = True,
    tenant: str = "default",
    resource_type: str = "",
) -> ResourceChange:
    state = current or previous or {}
    key = ResourceKey(tenant, version, resource_type or state["resourceType"], state.get("id", "1"))
    return ResourceChange(ChangeId(1, 0), key, interaction, current, previous, previous_known)


def created(current: Mapping[str, Any], **settings: Any) -> ResourceChange:
    return change(Interaction.CREATE, current, **settings)


def updated(previous: Mapping[str, Any], current: Mapping[str, Any], **settings: Any) -> ResourceChange:
    return change(Interaction.UPDATE, current, previous, **settings)


def deleted(previous: Mapping[str, Any], **settings: Any) -> ResourceChange:
    return change(Interaction.DELETE, None, previous, **settings)


def encounter(status: Any = "in-progress", **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": "1", "status": status, **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "1", "status": "final", **elements}


def quantity(value: str, **elements: Any) -> dict[str, Any]:
    return {"value": Decimal(value), **elements}


class Faults(list[Fault]):
    """Give it as ``report``; afterwards it holds what was told."""

    def __call__(self, fault: Fault) -> None:
        self.append(fault)


def unreported(fault: Fault) -> None:
    raise AssertionError(f"unexpected fault: {fault}")
