"""``hub bench``: reads its options, measures, and writes the table, the JSON and the picture."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from hub.bench.child import ChildFailed
from hub.bench.options import plan_of
from hub.bench.report import picture, write
from hub.bench.rounds import measure
from hub.bench.summary import summarise
from hub.errors import CannotStart

INTACT = ("lost", "gaps", "strangers", "unreadable")
"""What must be none for exit code 0. A repeat is allowed (at least once), a refusal is back-pressure: both are told."""


def run(options: argparse.Namespace) -> int:
    """Exit code 0 when nothing was lost. Raises CannotStart when it could not be measured at all."""
    plan = plan_of(options)
    beside = _read(options.beside) if options.beside else None
    try:
        result = asyncio.run(measure(plan, sys.stderr))
    except ChildFailed as problem:
        raise CannotStart(str(problem)) from problem
    summary = summarise(result, beside)
    print(write(result, summary))
    if options.json:
        text = json.dumps({**result, "summary": summary}, indent=1) + "\n"
        Path(options.json).write_text(text, encoding="utf-8")
    if options.svg:
        Path(options.svg).write_text(picture(result, summary), encoding="utf-8")
    return 0 if not any(summary["integrity"][name] for name in INTACT) else 1


def _read(file: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CannotStart(f"--beside {file}: {problem}") from problem
    if not {"plan", "phases"} <= found.keys():
        raise CannotStart(f"--beside {file}: this is no result of `hub bench --json`")
    return found
