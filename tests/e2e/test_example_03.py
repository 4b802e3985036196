"""examples/03_outage_and_catch_up does what its README says, against a real hub (S2 of the patterns)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import PATIENCE_SECONDS, ROOT, clean_environment, hub_in_development

EXAMPLE = ROOT / "examples" / "03_outage_and_catch_up"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
SETTINGS = dict(re.findall(r"(HUB_\w+)=(\S+)", README))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / "run.py", *arguments], cwd=folder, env=clean_environment(folder),
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


def test_the_practice_misses_nothing_in_a_short_and_in_a_long_outage(tmp_path: Path) -> None:
    """The output is the one that the README shows; only how much came again may differ."""
    with hub_in_development(tmp_path, **SETTINGS) as url:
        done = run(tmp_path, f"{url}/fhir/r5")
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert re.fullmatch(r"The practice has e1 to e7 once each and in order; .*not used twice\.", last)
    for line in lines:
        assert f"    {line}" in README.splitlines()


def test_the_example_fails_when_there_is_no_hub(tmp_path: Path) -> None:
    done = run(tmp_path, "http://127.0.0.1:1/fhir/r5")
    assert done.returncode != 0
    assert "once each" not in done.stdout


@pytest.mark.parametrize("name", ["practice.py", "run.py"])
def test_it_needs_the_standard_library_only(name: str) -> None:
    text = (EXAMPLE / name).read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)) - {"practice"}
    assert imported <= sys.stdlib_module_names
