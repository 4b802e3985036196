"""What one run of the benchmark does: every number a user can choose, with its default."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

SHIPPED_TOPIC = "https://fhir-notification-hub.example/topics/observation-lab-result"
FLAVOURS = ("r4", "r4b", "r5", "r4-classic")
CONTENTS = ("id-only", "full-resource")
"""Not ``empty``: without a focus nobody can tell which change a notification is about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``matches``: Subscriptions that one change concerns, one scenario each. ``fractions`` are of the maximum."""

    flavour: str = "r4"
    topic: str = SHIPPED_TOPIC
    content: str = "id-only"
    subscriptions: int = 1000
    matches: tuple[int, ...] = (1, 10)
    rounds: int = 3
    seconds: float = 6.0
    connections: int = 256
    client_connections: int = 64
    window: int = 2000
    """Back-pressure: deliveries that may be under way before the load waits, while the maximum is looked for."""
    fractions: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    patience_seconds: float = 30.0
    """How long nothing may arrive before what is missing counts as lost."""
    target: str = ""
    """Base URL of another FHIR server; empty: a hub is started."""
    token: str = ""
    watched: tuple[tuple[str, int], ...] = ()
    """(name, process id) of a target's processes, for processor time and memory."""
    profile: str = ""
    """File for the cProfile figures of the hub; profiling slows it, so such a run's figures are no result."""

    @property
    def base_path(self) -> str:
        """Of the own hub: which base speaks this flavour."""
        return f"/fhir/{self.flavour.removesuffix('-classic')}"

    @property
    def is_classic(self) -> bool:
        return self.flavour == "r4-classic"

    def groups(self, matches: int) -> int:
        """Patients: each has ``matches`` Subscriptions."""
        return max(1, self.subscriptions // matches)


def quick(plan: Plan) -> Plan:
    """About a minute: one round, short phases, few Subscriptions."""
    return replace(plan, rounds=1, seconds=2.0, subscriptions=min(plan.subscriptions, 200), fractions=(0.5, 0.9))


def watched(text: str) -> tuple[str, int]:
    """``NAME=PID``. Raises ValueError when it is not that or no such process runs here."""
    name, _, pid = text.partition("=")
    if not name or not pid.isdecimal() or not Path("/proc", pid).is_dir():
        raise ValueError(f"{text}: write NAME=PID of a running process")
    return name, int(pid)
