"""Is the hub ready: what a load balancer asks, and what an operator wants to know."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hub.errors import Unavailable
from hub.matching.report import NotAnEvent
from hub.store.stops import Stop

if TYPE_CHECKING:
    from hub.app import Hub

STANDSTILL_SECONDS = 30.0
"""After which a waiting change means that the hub is not ready."""
DURABILITY_IN_WORDS = {
    "local": "2xx means: on disk of this machine; losing the machine loses what was not copied elsewhere.",
    "relaxed": "2xx means: in memory and on its way to disk; a crash of the machine may lose about two seconds.",
}


async def readiness(hub: Hub) -> dict[str, Any]:
    """Does everything that must run, run: what does not stands under ``problems``."""
    problems = []
    waiting: dict[str, int] = {}
    stopped: dict[Stop, datetime] = {}
    try:
        waiting = {str(partition): await hub.changes.lag(partition) for partition in hub.evaluators}
        stopped = await hub.stops.all()
    except Unavailable as problem:
        problems.append(str(problem))
    for partition, evaluator in hub.evaluators.items():
        still = time.monotonic() - evaluator.progressed_at
        if waiting.get(str(partition)) and still > STANDSTILL_SECONDS:
            problems.append(f"evaluation of {partition} has stood still for {still:.0f} s; the log says at what")
    return {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "durability": DURABILITY_IN_WORDS[hub.settings.durability],
        "attempts_in_flight": hub.worker.in_flight,
        "subscriptions_with_a_socket_here": len(hub.listening.board),
        "changes_waiting": waiting,
        "subscriptions_that_cannot_be_matched": hub.registry.broken,
        "topics_that_cannot_be_used": hub.registry.unusable_topics,
        "evaluations_that_failed": dict(hub.registry.faults),
        "not_an_event_because": {reason.value: hub.registry.not_events[reason] for reason in NotAnEvent},
        # anybody may ask: endpoints are not named here
        "stopped_by_the_operator": {
            "topics": sorted(f"{stop.base} {stop.name}" for stop in stopped if stop.is_topic),
            "endpoints": sum(not stop.is_topic for stop in stopped),
        },
        "workers_that_began_anew": dict(hub.supervisor.restarts),
    }
