"""A change of one resource, as the hub judges it.

A change is always judged against the state that was stored with it, never against a later one (I4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from hub.domain.versions import FhirVersion

Resource = Mapping[str, Any]
NEVER_CHANGES = frozenset({"SearchParameter", "Subscription", "SubscriptionTopic"})
"""Types with a life of their own in the hub: nothing that is done to one of them is a change that could be told."""


class Interaction(StrEnum):
    """What was done to the resource. LOAD stores without announcing (HOUSE ruling 34).

    EVENT: nothing was; something happened elsewhere that is about it (S-044).
    """

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LOAD = "load"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class EventCode:
    """A coding of what happened elsewhere; ``system`` "" when it has none. Both must be equal to match (S-044)."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """What was told beside the resource.

    ``when`` is the moment at which it happened, None for when it was accepted. Of an EVENT: ``codes`` say what
    happened, ``context`` (relative references) which further resources it is about.
    """

    when: datetime | None = None
    codes: tuple[EventCode, ...] = ()
    context: tuple[str, ...] = ()


NO_OCCASION = Occasion()


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """Which resource: tenant and base are part of it from the first line (HOUSE ruling 31)."""

    tenant: str
    base: FhirVersion
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}|{self.base}|{self.type}/{self.id}"

    @property
    def reference(self) -> str:
        """The relative reference, ``Patient/123``."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True, order=True)
class ChangeId:
    """Place of a change in its partition: (milliseconds, sequence), given by the store, strictly rising."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> ChangeId:
        milliseconds, _, sequence = text.partition("-")
        return cls(int(milliseconds), int(sequence or 0))

    @classmethod
    def at(cls, moment: datetime) -> ChangeId:
        """The first that could have been given at ``moment``, an aware instant."""
        return cls(int(moment.timestamp() * 1000), 0)

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"

    @property
    def instant(self) -> datetime:
        """When the store accepted the change; also its meta.lastUpdated when the resource carries none (decision 2)."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


NO_CHANGE = ChangeId(0, 0)
NEWEST = 0
"""Stands for the present version."""


@dataclass(frozen=True, slots=True)
class ChangeName:
    """A change by the ``id`` that it has on its stream, or by a version of a resource (NEWEST for the present one)."""

    id: ChangeId | None = None
    type: str = ""
    resource_id: str = ""
    version: int = NEWEST


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One accepted change, parsed for judging.

    ``current`` is None for a delete, ``previous`` is None for a create and when it is not known;
    ``previous_known`` False means: there was a previous state, but the hub never saw it (HOUSE ruling 13).
    ``targets`` are the present states of resources that it refers to and that somebody asks for, looked up before it
    is judged, by relative reference; None = not held here (ruling 23).
    """

    id: ChangeId
    key: ResourceKey
    interaction: Interaction
    current: Resource | None
    previous: Resource | None
    previous_known: bool = True
    occasion: Occasion = NO_OCCASION
    targets: Mapping[str, Resource | None] = field(default_factory=dict)

    @property
    def focus(self) -> Resource | None:
        """The state that filters and relative paths look at: the new one, for a delete the last one (S-040, S-066)."""
        return self.previous if self.interaction is Interaction.DELETE else self.current
