"""How long one evaluation takes: ``python -m tests.bench.fhirpath``.

Each line is the median of several rounds, and the fastest of them. When the package ``fhirpathpy`` is installed
(``pip install fhirpathpy``), its compiled form runs on the same resources in the same round, so that what the machine
does besides touches both alike.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import compile_expression

ROUNDS, SECONDS_PER_ROUND = 15, 0.02

CURRENT: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": {"reference": "Patient/p1"},
    "type": [{"coding": [{"system": "http://snomed.info/sct", "code": "183807002"}]}],
    "period": {"start": "2026-01-01T08:00:00Z", "end": "2026-01-03T10:30:00Z"},
}
PREVIOUS = CURRENT | {"status": "in-progress"}

EXPRESSIONS = {
    "simple path": "Encounter.status",
    "deeper path": "Encounter.type.coding.code",
    "filtered path": "Encounter.type.coding.where(system = 'http://snomed.info/sct').code",
    "transition": "%previous.status != 'finished' and %current.status = 'finished'",
    "transition, also on create": (
        "(%previous.id.empty() or (%previous.status != 'finished')) and (%current.status = 'finished')"
    ),
    "status changed": "%previous.status != %current.status",
    "dates": "%current.period.end >= %current.period.start",
}


def _round(call: Callable[[], object]) -> float:
    """Microseconds per call in one round."""
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < SECONDS_PER_ROUND:
        for _ in range(50):
            call()
        calls += 50
    return spent / calls * 1e6


def ours(text: str) -> Callable[[], object]:
    expression = compile_expression(text, definitions(FhirVersion.R4), root_type="Encounter")
    if "%" in text:
        return lambda: expression.is_true(CURRENT, previous=PREVIOUS, current=CURRENT)
    return lambda: expression.items(CURRENT)


def theirs(text: str) -> Callable[[], object] | None:
    """The same with fhirpathpy and its R4 model, None when it is not installed."""
    if find_spec("fhirpathpy") is None:
        return None
    model = import_module("fhirpathpy.models").models["r4"]
    compiled = import_module("fhirpathpy").compile(text, model)
    variables = {"previous": PREVIOUS, "current": CURRENT}
    return lambda: compiled(CURRENT, variables)


def _line(name: str, calls: list[Callable[[], object]]) -> str:
    rounds = [[_round(call) for call in calls] for _ in range(ROUNDS)]
    columns = (f"{statistics.median(times):9.2f} {min(times):9.2f}" for times in zip(*rounds, strict=True))
    return f"{name:28}" + "".join(columns)


def main() -> None:
    """Print the table."""
    compiled = {name: [ours(text), theirs(text)] for name, text in EXPRESSIONS.items()}
    peer = find_spec("fhirpathpy") is not None
    print(f"Python {platform.python_version()}, {platform.machine()}; microseconds per evaluation, median and fastest")
    print(f"{'':28}{'hub':>14}" + (f"{'fhirpathpy, compiled':>26}" if peer else ""))
    for name, calls in compiled.items():
        print(_line(name, [call for call in calls if call is not None]))


if __name__ == "__main__":
    main()
