"""SubscriptionTopic in R5 terms, whatever the version it was written in (S-001).

Values are as the standard defines them; what the hub makes of them (compiling, firing) lives in ``hub.matching``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.change import EventCode, Interaction

STRUCTURE_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
EVERY_TYPE = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class QueryCriteria:
    """``resourceTrigger.queryCriteria``: search strings without a base, and the truth-table switches (S-033, S-034).

    ``result_for_create`` and ``result_for_delete`` are True (test-passes), False (test-fails) or None (absent).
    """

    previous: str | None = None
    current: str | None = None
    result_for_create: bool | None = None
    result_for_delete: bool | None = None
    require_both: bool = False


@dataclass(frozen=True, slots=True)
class ResourceTrigger:
    """``resource`` is the bare type name, or Resource / DomainResource for every type (S-025)."""

    resource: str
    interactions: frozenset[Interaction] = frozenset({Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE})
    query: QueryCriteria | None = None
    fhirpath: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """``codes`` are the codings of ``event``, of which one is enough; ``resource`` is the type of the focus (S-043)."""

    resource: str
    codes: tuple[EventCode, ...]


@dataclass(frozen=True, slots=True)
class CanFilterBy:
    """One allowed filter (S-045…S-048); ``resource`` is "" when the topic names none."""

    parameter: str
    resource: str = ""
    definition: str = ""
    comparators: frozenset[str] = frozenset()
    modifiers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NotificationShape:
    """What may travel with a focus of type ``resource``: ``_include`` and ``_revinclude`` strings (S-053)."""

    resource: str
    includes: tuple[str, ...] = ()
    rev_includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionTopic:
    """A topic; ``url`` is its canonical without version, ``status`` draft | active | retired | unknown (S-018).

    ``version_algorithm`` is the code of ``versionAlgorithm[x]`` or what it says, "" when absent (S-019, S-020);
    ``effective_until`` is ``effectivePeriod.end``, a FHIR dateTime, "" when its end is open.
    """

    url: str
    version: str = ""
    status: str = "active"
    title: str = ""
    derived_from: tuple[str, ...] = ()
    effective_until: str = ""
    resource_triggers: tuple[ResourceTrigger, ...] = ()
    event_triggers: tuple[EventTrigger, ...] = ()
    can_filter_by: tuple[CanFilterBy, ...] = ()
    notification_shapes: tuple[NotificationShape, ...] = ()
    version_algorithm: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url
