"""docs/topics.md says what is so: its examples are linted, its tables name every rule at its level."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.authoring.check import check_written
from hub.authoring.files import Written
from hub.authoring.report import check_files
from hub.domain.versions import FhirVersion
from hub.errors import Refused
from hub.fhir.definitions import definitions
from hub.fhir.topics import read_topic
from hub.matching.lint.check import RULES
from hub.matching.lint.subject import subject_of
from hub.matching.topics import compile_topic
from tests.unit.matching.lint.builders import topic

PAGE = (Path(__file__).parents[2] / "docs" / "topics.md").read_text(encoding="utf-8")
TOPICS = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
*GOOD, WRONG = TOPICS
LEVELS = {"error": "error", "warning": "warning", "hint": "information"}


@dataclass(frozen=True)
class Row:
    """One rule as the page tells it."""

    level: str
    wrong: dict[str, Any]
    right: dict[str, Any]


def whole(section: str, members: dict[str, Any]) -> dict[str, Any]:
    """The topic that members of a part of it, as the tables write them, stand for."""
    part = {"resource": "Encounter"} | members
    changes = {
        "a trigger": {"resourceTrigger": [part]},
        "queryCriteria": {"resourceTrigger": [{"resource": "Encounter", "queryCriteria": members}]},
        "canFilterBy": {"canFilterBy": [part]},
        "notificationShape": {"notificationShape": [part]},
        "the topic": members,
    }[section]
    return {name: value for name, value in topic(**changes).items() if value is not None}


def rows() -> list[Row]:
    found = []
    for section in PAGE.split("\n### Of ")[1:]:
        name = section.partition("\n")[0]
        for line in re.findall(r"^\| (?:error|warning|hint) \|.*$", section, re.MULTILINE):
            level, _, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            wrong, right = (json.loads("{" + cell.strip("`").replace(r"\|", "|") + "}") for cell in cells)
            found.append(Row(LEVELS[level], whole(name, wrong), whole(name, right)))
    return found


ROWS = rows()


def said_of(resource: dict[str, Any]) -> set[tuple[str, str]]:
    """(level, what is said), on any version."""
    (finding,) = check_written([Written("page", resource)])
    return {(said.issue.severity, said.issue.diagnostics) for said in finding.said}


@pytest.mark.parametrize("resource", GOOD, ids=lambda resource: str(resource["id"]))
def test_the_lint_has_nothing_to_say_of_an_example_on_any_version(resource: dict[str, Any]) -> None:
    assert resource["resourceType"] == "SubscriptionTopic"
    (finding,) = check_written([Written("page", resource)])
    assert finding.said == () and finding.offered == tuple(FhirVersion)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: json.dumps(row.wrong)[110:170])
def test_what_the_page_warns_of_is_told_at_its_level_and_what_it_advises_is_fine(row: Row) -> None:
    assert row.level in {level for level, _ in said_of(row.wrong)}
    assert said_of(row.right) == set()


def test_the_tables_name_every_rule() -> None:
    unused = {rule.__name__ for rule in RULES} - {"filters_can_be_decided"}  # told in a sentence below its table
    for row in ROWS:
        try:
            read = read_topic(row.wrong, FhirVersion.R5)
        except Refused:
            continue
        compiled = None
        with contextlib.suppress(Refused):
            compiled = compile_topic(read, FhirVersion.R4)
        subject = subject_of(read, definitions(FhirVersion.R4), compiled)
        unused -= {rule.__name__ for rule in RULES if any(rule(subject))}
    assert unused == set()


def test_the_page_shows_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-topic.json").write_text(json.dumps(WRONG))
    out, err = io.StringIO(), io.StringIO()
    assert check_files(["my-topic.json"], (), False, out, err) == 1
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert out.getvalue() == shown
