"""A whole run: subscribe, warm up, then rounds in which baselines and scenarios take turns (interleaved)."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from hub.bench.cast import Cast, assemble
from hub.bench.machine import facts
from hub.bench.phases import Phases
from hub.bench.plan import Plan
from hub.bench.progress import Progress

WARM_UP_SECONDS = 2.0
SECRET = ("token",)
Json = dict[str, Any]


async def measure(plan: Plan, progress_out: TextIO) -> Json:
    """Everything that was measured, ready for JSON. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-", ignore_cleanup_errors=True) as name:
        machine = facts(Path(name))
        progress = Progress(progress_out, steps(plan))
        progress.begin("starting")
        async with assemble(plan, Path(name)) as cast:
            phases = await _play(plan, Phases(plan, cast, f"b{time.time_ns() // 1_000_000:x}"), progress)
            machine |= _about(cast) | {"load_average_after": [round(each, 2) for each in os.getloadavg()]}
        progress.end()
    told = {name: value for name, value in asdict(plan).items() if name not in SECRET}
    return {"machine": machine, "plan": told, "phases": phases}


def steps(plan: Plan) -> int:
    scenarios = len(plan.matches)
    return 1 + 2 * scenarios + plan.rounds * (2 + scenarios * (1 + len(plan.fractions)))


async def _play(plan: Plan, phases: Phases, progress: Progress) -> list[Json]:
    told = []
    for matches in plan.matches:
        progress.begin(f"{plan.groups(matches) * matches} Subscriptions, {matches} for each patient")
        told.append(await phases.subscribe(matches) | {"round": 0})
        progress.begin(f"warming up with {matches} per change")
        await phases.maximum(matches, min(plan.seconds, WARM_UP_SECONDS))
    for number in range(1, plan.rounds + 1):
        told += [phase | {"round": number} for phase in await _round(plan, phases, progress, number)]
    return told


async def _round(plan: Plan, phases: Phases, progress: Progress, number: int) -> list[Json]:
    where = f"round {number} of {plan.rounds}"
    progress.begin(f"{where}: bare echo")
    told = [await phases.echo()]
    progress.begin(f"{where}: bare client loop")
    told.append(await phases.client())
    for matches in plan.matches:
        progress.begin(f"{where}: maximum with {matches} per change")
        highest = await phases.maximum(matches)
        told.append(highest)
        for fraction in plan.fractions:
            progress.begin(f"{where}: {fraction:.0%} of it")
            rate = max(1.0, fraction * highest["delivered_per_second"] / matches)
            told.append(await phases.load(matches, fraction, rate))
    return told


def _about(cast: Cast) -> Json:
    """What only a running cast knows."""
    redis = cast.redis
    name = "Valkey" if redis.get("valkey_version") else "Redis"
    version = redis.get("valkey_version") or redis.get("redis_version", "")
    return {"redis": f"{name} {version}" if version else "not ours", "aiohttp": cast.aiohttp_version or "not installed"}
