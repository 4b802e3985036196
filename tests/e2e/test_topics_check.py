"""``hub topics check`` as a command: exit codes and streams. It needs no hub, no settings and no network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import ROOT, clean_environment
from tests.unit.matching.lint.builders import topic, triggers


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "topics", "check", *arguments],
        cwd=folder,
        env=clean_environment(folder) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.json").write_text(json.dumps(topic()))
    wrong = topic(url="http://ehr.example/topics/b", resourceTrigger=triggers({"fhirPathCriteria": "status"}))
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def test_a_good_file_ends_with_0(folder: Path) -> None:
    done = check(folder, "good.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("good.json: offered on r4, r4b, r5: ")


def test_a_file_refused_everywhere_ends_with_1(folder: Path) -> None:
    done = check(folder, "good.json", "wrong.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "wrong.json: error SubscriptionTopic.resourceTrigger[0].fhirPathCriteria: " in done.stdout


def test_a_file_that_cannot_be_read_ends_with_2(folder: Path) -> None:
    done = check(folder, "broken.json", "absent.json")
    assert done.returncode == 2 and done.stdout == ""
    broken, absent = done.stderr.splitlines()
    assert broken.startswith("hub: broken.json: The body is not JSON: ")
    assert absent == "hub: absent.json: no such file or folder"


def test_json_and_a_single_base_can_be_asked_for(folder: Path) -> None:
    done = check(folder, "--json", "--base", "r5", "good.json")
    (only,) = json.loads(done.stdout)["topics"]
    assert done.returncode == 0 and only["checked"] == only["offered"] == ["r5"]


def test_without_files_the_command_says_how_it_is_used(folder: Path) -> None:
    done = check(folder)
    assert done.returncode == 2 and "hub topics check" in done.stderr


def test_the_shipped_topics_leave_nothing_to_say(folder: Path) -> None:
    done = check(folder, str(ROOT / "topics"))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "9 topics checked: 0 errors, 0 warnings, 0 hints"
