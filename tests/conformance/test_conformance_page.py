"""docs/conformance.md names only tests that exist, and leaves no requirement out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.real_input.shared_data import DATA, ROOT, needs_data

ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ?(?:`([^`]+)`)? ?\| ([^|]+) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "conformance.md").read_text()
ROWS = [row for row in ROW.findall(PAGE) if row[3] != "status"]
TESTS = sorted({test for _, _, test, _ in ROWS if test})
LIST = DATA / "conformance" / "inferno-requirements-1.1.0.json"
CLASSIC = {"S-007", *(f"S-{number:03}" for number in range(11, 18))}
CHANNELS = {"S-142", "S-145", *(f"S-{number}" for number in range(170, 180))}
SERVER_SUITE = {f"S-{number}" for number in range(217, 237)}


def test_every_line_of_the_tables_is_read() -> None:
    """Otherwise a slip of the pen would hide a row from the other tests."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    headings = [line for line in lines if line.endswith("| status |") or line.startswith("|---")]
    assert len(ROWS) == len(lines) - len(headings) and len(headings) == 8


@pytest.mark.parametrize("test", TESTS)
def test_every_named_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    source = (Path(ROOT) / "tests" / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), test


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_is_met_names_its_test(row: tuple[str, str, str, str]) -> None:
    _, _, test, status = row
    assert status in ("met", "not yet", "not ours")
    assert test or status != "met"
    assert not test or status != "not yet"


def test_every_clause_of_the_suites_of_classic_subscriptions_and_of_channels_is_listed() -> None:
    listed = {clause for row in ROWS for clause in row[0].split(", ") if clause.startswith("S-")}
    assert listed == CLASSIC | CHANNELS | SERVER_SUITE


@needs_data
def test_every_requirement_of_the_ig_is_listed_once() -> None:
    listed = [number for row in ROWS for number in row[0].split(", ") if not number.startswith("S-")]
    assert sorted(listed) == sorted(each["ID"] for each in json.loads(LIST.read_bytes()))
