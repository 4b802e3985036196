"""What a run looks like to people: the table, and the picture's lines. Pure."""

from __future__ import annotations

from typing import Any

from hub.bench.chart import COLOURS, Line, draw

HEADINGS = (
    "matches", "load", "accepted/s", "delivered/s", "p50 ms", "p99 ms", "max ms", "hub µs/change", "redis µs/match",
)  # fmt: skip
Json = dict[str, Any]


def write(result: Json, summary: Json) -> str:
    """Lines for a terminal, plain ASCII frames, figures right-aligned."""
    parts = [
        _machine(result["machine"]) + _plan(result),
        _baselines(result, summary),
        _table(summary["rows"]),
        _usage(summary["rows"]),
        [_integrity(summary["integrity"])],
        _goals(summary["goals"]),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def picture(result: Json, summary: Json) -> str:
    """Latency against load as SVG, one colour for each number of matches; dashed is p99."""
    lines = []
    for place, matches in enumerate(result["plan"]["matches"]):
        rows = [row for row in summary["rows"] if row["matches"] == matches and row["fraction"] is not None]
        rows.sort(key=lambda row: row["fraction"])
        for name in ("p50", "p99"):
            points = tuple(
                (row["accepted_per_second"], row[f"latency_ms.{name}"])
                for row in rows
                if row["accepted_per_second"] and row[f"latency_ms.{name}"]
            )
            label = f"{matches} per change, {name}"
            lines.append(Line(label, points, COLOURS[place % len(COLOURS)], dashed=name == "p99"))
    return draw("From before the write to receipt", lines)


def _machine(machine: Json) -> list[str]:
    fsync, before, after = machine["fsync_ms"], machine["load_average_before"], machine["load_average_after"]
    return [
        f"hub {machine['hub']}, Python {machine['python']}, {machine['redis']}, {machine['system']}",
        f"{machine['usable_cores']} of {machine['cores']} cores, {machine['model']}, memory {machine['memory']}",
        f"fsync p50 {fsync['p50']} ms, p99 {fsync['p99']} ms, max {fsync['max']} ms",
        f"load average {before[0]} before, {after[0]} after (1 minute)",
    ]


def _plan(result: Json) -> list[str]:
    plan = result["plan"]
    where = plan["target"] or "own hub, default settings"
    told = [
        f"{where}; flavour {plan['flavour']}, content {plan['content']}, {plan['connections']} connections, "
        f"{plan['rounds']} rounds of {plan['seconds']:g} s; medians of the rounds",
    ]
    for phase in result["phases"]:
        if phase["kind"] == "subscribe":
            told.append(
                f"{phase['subscriptions']} Subscriptions, {phase['matches']} for each patient, made through the API "
                f"in {phase['seconds']} s ({phase['per_second']}/s); {phase['handshakes']} handshakes"
            )
    if plan["profile"]:
        told.append("The hub ran under cProfile, which slows it: no figure below is a result.")
    return told


def _baselines(result: Json, summary: Json) -> list[str]:
    plan, base = result["plan"], summary["baselines"]
    version = result["machine"]["aiohttp"]
    client = f"aiohttp {version}" if version != "not installed" else "own lean client (aiohttp is not installed)"
    return [
        f"bare Starlette echo, {plan['connections']} connections: {_number(base['echo'])} requests/s",
        f"bare client loop, {client}, {plan['client_connections']} connections, one host: "
        f"{_number(base['client'])} requests/s",
    ]


def _table(rows: list[Json]) -> list[str]:
    cells = [
        (
            str(row["matches"]),
            "maximum" if row["fraction"] is None else f"{row['fraction']:.0%}",
            *(_number(row[name]) for name in ("accepted_per_second", "delivered_per_second")),
            *(_number(row[f"latency_ms.{name}"]) for name in ("p50", "p99", "max")),
            *(_number(row[name]) for name in ("hub_us_per_change", "redis_us_per_match")),
        )
        for row in rows
    ]
    return align([HEADINGS, *cells])


def _usage(rows: list[Json]) -> list[str]:
    names = sorted({name for row in rows for name in row["usage"]})
    cells: list[tuple[str, ...]] = [("matches", "load", *(f"{name} CPU s, MiB" for name in names))]
    for row in rows:
        load = "maximum" if row["fraction"] is None else f"{row['fraction']:.0%}"
        used = [row["usage"].get(name, {}) for name in names]
        cells.append(
            (
                str(row["matches"]),
                load,
                *(f"{_number(each.get('cpu_seconds'))}, {_number(each.get('resident_mib'))}" for each in used),
            )
        )
    return align(cells)


def _integrity(counts: Json) -> str:
    return "over all rounds: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def _goals(goals: list[Json]) -> list[str]:
    words = {True: "met", False: "MISSED", None: "not measured"}
    cells: list[tuple[str, ...]] = [("goal", "wanted", "measured", "")]
    for goal in goals:
        wanted = f"{goal['sign']} {goal['wanted']:g}"
        cells.append((goal["goal"], wanted, _number(goal["measured"]), words[goal["met"]]))
    return align(cells, left=1)


def align(rows: list[tuple[str, ...]], left: int = 0) -> list[str]:
    """Columns as wide as their widest cell; the first ``left`` of them to the left, others to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
