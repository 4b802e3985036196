"""The ValueSets of ``HUB_VALUESETS_DIR``, read once at the start (S-250)."""

from __future__ import annotations

from pathlib import Path

from hub.errors import CannotStart, Refused
from hub.fhir.json import read_json
from hub.fhir.value_sets import NO_VALUE_SETS, HeldValueSets, ValueSet, hold, read_value_set

SETTING = "HUB_VALUESETS_DIR"


def load_value_sets(folder: Path | None) -> HeldValueSets:
    """Every ``*.json`` of the folder, one ValueSet each. Raises CannotStart naming every file that cannot be held."""
    if folder is None:
        return NO_VALUE_SETS
    found: list[ValueSet] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read_value_set(read_json(path.read_bytes())))
        except Refused as problem:
            problems += [f"{path.name}: {_told(issue.expression, issue.diagnostics)}" for issue in problem.issues]
    try:
        held = hold(found)
    except Refused as problem:
        problems += [issue.diagnostics for issue in problem.issues]
    if problems:
        raise CannotStart(f"{SETTING}: {'; '.join(problems)}")
    return held


def _told(expression: str, diagnostics: str) -> str:
    return f"{expression}: {diagnostics}" if expression else diagnostics
