"""What ``/health/ready`` tells a load balancer and an operator: does everything that must run, run."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from hub.durability import durability_in_words
from hub.errors import Unavailable
from hub.matching.report import NotAnEvent
from hub.store.stops import Stop

if TYPE_CHECKING:
    from hub.app import Hub

MOST_NAMED = 100
"""Of the Subscriptions that cannot be matched: they may be as many as there are."""
STANDSTILL_SECONDS = 30.0
"""After which a waiting change means that the hub is not ready."""


async def readiness(hub: Hub) -> dict[str, Any]:
    """``problems`` is empty when it is ready; the rest is there to be looked at."""
    problems = [*hub.watch.problems, *hub.opening.problems]
    waiting: dict[str, int] = {}
    stopped: dict[Stop, datetime] = {}
    try:
        waiting = {str(partition): await hub.changes.lag(partition) for partition in hub.evaluators}
        stopped = await hub.stops.all()
    except Unavailable as problem:
        problems.append(str(problem))
    for partition, evaluator in hub.evaluators.items():
        still = time.monotonic() - evaluator.progressed_at
        if evaluator.owns and waiting.get(str(partition)) and still > STANDSTILL_SECONDS:
            problems.append(f"evaluation of {partition} has stood still for {still:.0f} s; the log says at what")
    return {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "process": hub.instance.name,
        "durability": durability_in_words(hub.settings),
        "attempts_in_flight": hub.worker.in_flight,
        "subscriptions_with_a_socket_here": len(hub.listening.board),
        "changes_waiting": waiting,
        "events_waiting": hub.pressure.events_waiting,
        "redis_memory_percent": round(hub.pressure.memory_used_percent, 1),
        "evaluated_here": [str(partition) for partition, evaluator in hub.evaluators.items() if evaluator.owns],
        "subscriptions_that_cannot_be_matched": dict(islice(hub.registry.broken.items(), MOST_NAMED)),
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
