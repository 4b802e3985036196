"""Subscription in R5 terms: who is told what, where and how (S-071…S-101)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from hub.domain.versions import FhirVersion


class Status(StrEnum):
    """Subscription.status (S-071). entered-in-error exists in R5 only."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"
    ENTERED_IN_ERROR = "entered-in-error"


class Content(StrEnum):
    """How much of a resource a notification may carry (S-132…S-134); ordered by ``level``."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL_RESOURCE = "full-resource"

    @property
    def level(self) -> int:
        return list(Content).index(self)


@dataclass(frozen=True, slots=True)
class FilterBy:
    """One condition. ``value`` has search syntax: commas are OR, a prefix may stand in it (S-096).

    ``resource_type`` is "" when the filter applies to every focus type; otherwise it applies to that type only,
    and the Subscription then hears of no type that it does not name (S-094). ``parameter`` "" (with a type) is the
    form ``Type?``: no condition but the type.
    """

    parameter: str
    value: str = ""
    resource_type: str = ""
    comparator: str = ""
    modifier: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where and in which form. Periods in seconds; ``headers`` in the order given, names may repeat (S-151)."""

    type: str
    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/fhir+json"
    content: Content = Content.EMPTY
    heartbeat_seconds: int = 0
    timeout_seconds: int = 15
    max_count: int = 1


WITHOUT_HANDSHAKE = frozenset(
    {
        "email",  # no confirmation mail: nobody could answer it (HOUSE ruling 35)
        "websocket",  # its subscriber binds a socket, and is told then (S-076)
    }
)
"""Channel types whose Subscriptions are active at once (S-076)."""


@dataclass(frozen=True, slots=True)
class SubscriptionKey:
    """Which Subscription; ``str()`` of it is its name in the store and in indexes (HOUSE ruling 31)."""

    tenant: str
    base: FhirVersion
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}|{self.base}|{self.id}"

    @staticmethod
    def parse(text: str) -> SubscriptionKey:
        return _parse_key(text)


@lru_cache(maxsize=4096)  # every attempt asks several times for the same one
def _parse_key(text: str) -> SubscriptionKey:
    tenant, base, identity = text.split("|", 2)
    return SubscriptionKey(tenant, FhirVersion(base), identity)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Subscription as its client defined it. Progress and live status are kept elsewhere (``domain.delivery``).

    ``topic`` is the canonical as written, with or without ``|version``. ``status`` is what the client asked for.
    ``filters`` are joined by AND (S-092, S-096). A classic Subscription of R4 or R4B has ``criteria``, a search
    (``Observation?code=1975-2``), and no topic and no filters (S-007, S-011).
    """

    topic: str
    channel: Channel
    status: Status = Status.REQUESTED
    filters: tuple[FilterBy, ...] = ()
    end: datetime | None = None
    name: str = ""
    criteria: str = ""

    @property
    def is_classic(self) -> bool:
        """Neither handshake nor heartbeat nor number goes to its subscriber (S-017, HOUSE ruling 29)."""
        return bool(self.criteria)

    @property
    def is_listened_to(self) -> bool:
        """Its subscriber opens a socket and binds it, instead of being called."""
        return self.channel.type == "websocket"

    @property
    def needs_handshake(self) -> bool:
        """Is its endpoint to answer before events go there (S-075, S-076)?"""
        return not self.is_classic and self.channel.type not in WITHOUT_HANDSHAKE
