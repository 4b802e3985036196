"""The tests of HL7's suite as they are written there."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """One test. ``invalid`` says which kind of error is expected: "", syntax, semantic or execution.

    ``outputs`` are (type or "", text); ``as_predicate`` asks for existence instead of the items.
    """

    name: str
    input: str
    expression: str
    invalid: str
    outputs: tuple[tuple[str, str], ...]
    in_order: bool
    as_predicate: bool


def read_cases(suite: Path) -> list[Case]:
    """Every test; one whose name stands twice is told apart by its number, ``testEquivalent23#2``."""
    seen: Counter[str] = Counter()
    found = []
    for test in ElementTree.parse(suite).iter("test"):
        name = test.get("name", "")
        seen[name] += 1
        expression = test.find("expression")
        assert expression is not None and expression.text is not None, name
        found.append(
            Case(
                name=name if seen[name] == 1 else f"{name}#{seen[name]}",
                input=test.get("inputfile", ""),
                expression=expression.text,
                invalid=expression.get("invalid", ""),
                outputs=tuple((output.get("type", ""), output.text or "") for output in test.findall("output")),
                in_order=test.get("ordered") != "false",
                as_predicate=test.get("predicate") == "true",
            )
        )
    return found
