"""Medians over the rounds, ratios taken within each round, and what became of the goals. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.bench.figures import column, middle, ratio

ECHO_SHARE, CLIENT_SHARE = 0.45, 1.2
P50_MS, P99_MS = 10.0, 40.0
FSYNC_FACTOR, FSYNC_MARGIN_MS = 3, 20.0
REDIS_US_PER_MATCH = 30.0
GROWTH = 1.1
HALF = 0.5
INTEGRITY = ("lost", "duplicates", "gaps", "strangers", "late", "unreadable", "unanswered", "refused")
MEDIANS = (
    ("accepted_per_second",), ("delivered_per_second",), ("answer_ms", "p50"), ("answer_ms", "p99"),
    ("latency_ms", "p50"), ("latency_ms", "p99"), ("latency_ms", "max"), ("hub_us_per_change",),
    ("redis_us_per_match",),
)  # fmt: skip
Json = dict[str, Any]


def summarise(result: Json, beside: Json | None = None) -> Json:
    """``beside``: the result of another run, with another number of Subscriptions, for the goal about growth."""
    phases = result["phases"]
    rows = [_row(phases, matches, None) for matches in result["plan"]["matches"]]
    for matches in result["plan"]["matches"]:
        rows += [_row(phases, matches, fraction) for fraction in result["plan"]["fractions"]]
    return {
        "rows": rows,
        "baselines": {kind: middle(column(_of(phases, kind), "per_second")) for kind in ("echo", "client")},
        "integrity": {name: sum(_count(phase, name) for phase in phases) for name in INTEGRITY},
        "goals": goals(result, rows, beside),
    }


def goals(result: Json, rows: list[Json], beside: Json | None) -> list[Json]:
    """The project's goals: what was wanted, what was measured, and ``met`` None where it was not measured."""
    phases, fsync = result["phases"], result["machine"]["fsync_ms"]["p99"]
    p99 = max(P99_MS, FSYNC_FACTOR * fsync + FSYNC_MARGIN_MS)
    by_aiohttp = any(phase.get("client") == "aiohttp" for phase in _of(phases, "client"))
    ten = _delivered_ratio(phases, 10, "client")
    told = [
        _goal("1 match: delivered/s of the echo's requests/s", ">=", ECHO_SHARE, _delivered_ratio(phases, 1, "echo")),
        _goal("10 matches: delivered/s of the aiohttp loop's", ">=", CLIENT_SHARE, ten if by_aiohttp else None),
    ]
    for row in rows:
        if row["fraction"] == HALF:
            name = f"{row['matches']} per change, at half of the maximum"
            told.append(_goal(f"{name}: p50, ms", "<=", P50_MS, row.get("latency_ms.p50")))
            told.append(_goal(f"{name}: p99, ms", "<=", round(p99, 1), row.get("latency_ms.p99")))
    most = max(rows, key=lambda row: (row["fraction"] is None, row["matches"]))
    told.append(
        _goal(
            f"Redis CPU per match, {most['matches']} per change, at the maximum, µs",
            "<=",
            REDIS_US_PER_MATCH,
            most.get("redis_us_per_match"),
        )
    )
    return [*told, _growth(result, beside)]


def _growth(result: Json, beside: Json | None) -> Json:
    name = "hub CPU per change"
    if beside is None:
        return _goal(f"{name} with more Subscriptions (--beside), ratio", "<=", GROWTH, None)
    runs = sorted((result, beside), key=lambda run: run["plan"]["subscriptions"])
    fewer, more = (_row(run["phases"], min(run["plan"]["matches"]), None) for run in runs)
    counts = [f"{run['plan']['subscriptions']:,}" for run in runs]
    measured = ratio(more.get("hub_us_per_change"), fewer.get("hub_us_per_change"))
    return _goal(f"{name} at {counts[1]} Subscriptions to that at {counts[0]}", "<=", GROWTH, measured)


def _goal(name: str, sign: str, wanted: float, measured: float | None) -> Json:
    holds: dict[str, Callable[[float], bool]] = {
        ">=": lambda value: value >= wanted,
        "<=": lambda value: value <= wanted,
    }
    met = None if measured is None else holds[sign](measured)
    return {"goal": name, "sign": sign, "wanted": wanted, "measured": measured, "met": met}


def _row(phases: list[Json], matches: int, fraction: float | None) -> Json:
    """One scenario at one load (None: its maximum): medians over the rounds."""
    kind = "maximum" if fraction is None else "load"
    mine = [phase for phase in _of(phases, kind) if phase["matches"] == matches and phase.get("fraction") == fraction]
    told = {".".join(path): middle(column(mine, *path)) for path in MEDIANS}
    names = sorted({name for phase in mine for name in phase["usage"]})
    usage = {
        name: {part: middle(column(mine, "usage", name, part)) for part in ("cpu_seconds", "resident_mib")}
        for name in names
    }
    return {"matches": matches, "fraction": fraction, **told, "usage": usage}


def _delivered_ratio(phases: list[Json], matches: int, baseline: str) -> float | None:
    """The median of what each round's maximum was beside the same round's baseline."""
    bases = {phase["round"]: phase["per_second"] for phase in _of(phases, baseline)}
    found = [
        value
        for phase in _of(phases, "maximum")
        if phase["matches"] == matches
        and (value := ratio(phase["delivered_per_second"], bases.get(phase["round"]))) is not None
    ]
    return middle(found)


def _count(phase: Json, name: str) -> int:
    if name == "refused":
        return sum(count for status, count in phase.get("statuses", {}).items() if not status.startswith("2"))
    return int(phase.get(name, 0))


def _of(phases: list[Json], kind: str) -> list[Json]:
    return [phase for phase in phases if phase["kind"] == kind]
