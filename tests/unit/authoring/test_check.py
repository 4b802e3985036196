"""``hub topics check`` without a process: what is read, what is said, for which versions."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hub.authoring.report import FINE, REFUSED, UNREADABLE, check_files
from hub.domain.versions import FhirVersion
from hub.fhir.basic_topics import write_basic_topic
from tests.unit.matching.lint.builders import PATIENT, query, topic, triggers

R4, R4B, R5 = FhirVersion
WRONG = topic(resourceTrigger=triggers({"fhirPathCriteria": "status"}))
R5_ONLY = topic(resourceTrigger=[{"resource": "Transport"}])
AS_R4B = topic(
    canFilterBy=[
        {"resource": "Encounter", "filterParameter": "length", "modifier": ["gt"]}
        | {"filterDefinition": "http://hl7.org/fhir/SearchParameter/Encounter-length"}
    ]
)
AS_R6 = {name: value for name, value in topic().items() if name != "resourceTrigger"} | {
    "trigger": [{"resource": "Encounter", "fhirPathCriteria": "status"}]
}


class Desk:
    """A folder, and what was said of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out, self.err = "", ""

    def put(self, name: str, *resources: Any) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in resources))
        return str(path)

    def check(self, *names: str, bases: tuple[FhirVersion, ...] = (), as_json: bool = False) -> int:
        out, err = io.StringIO(), io.StringIO()
        code = check_files(names, bases, as_json, out, err)
        self.out, self.err = out.getvalue().replace(f"{self.folder}/", ""), err.getvalue()
        return code

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_good_topic_is_offered_everywhere(desk: Desk) -> None:
    assert desk.check(desk.put("a.json", topic())) == FINE
    assert desk.lines == [
        "a.json: offered on r4, r4b, r5: http://ehr.example/topics/a|1.0.0, written as R5",
        "1 topic checked: 0 errors, 0 warnings, 0 hints",
    ]


def test_an_error_in_every_version_is_told_once_with_its_place(desk: Desk) -> None:
    assert desk.check(desk.put("a.json", WRONG)) == REFUSED
    assert desk.lines[0].startswith(
        "a.json: error SubscriptionTopic.resourceTrigger[0].fhirPathCriteria: This gives code"
    )
    assert desk.lines[1].startswith("a.json: refused on r4, r4b, r5: ")
    assert desk.lines[2:] == ["1 topic checked: 1 error, 0 warnings, 0 hints"]


def test_an_error_in_some_versions_names_them_and_refuses_there_only(desk: Desk) -> None:
    """Ruling 22."""
    path = desk.put("a.json", R5_ONLY)
    assert desk.check(path) == FINE
    assert desk.lines[0].endswith(" (r4, r4b)") and "FHIR 4.0.1, 4.3.0" in desk.lines[0]
    assert desk.lines[1].startswith("a.json: offered on r5, refused on r4, r4b: ")
    assert desk.check(path, bases=(R4,)) == REFUSED
    assert desk.check(path, bases=(R5,)) == FINE


def test_notes_refuse_nothing(desk: Desk) -> None:
    bare = {name: value for name, value in PATIENT.items() if name != "filterDefinition"}
    path = desk.put("a.json", topic(canFilterBy=[bare], notificationShape=[{"resource": "Patient"}]))
    assert desk.check(path) == FINE
    assert [line.split(" ")[1] for line in desk.lines[:2]] == ["warning", "hint"]
    assert desk.lines[-1] == "1 topic checked: 0 errors, 1 warning, 1 hint"


@pytest.mark.parametrize(
    ("resource", "form", "bases"),
    [
        (topic(), "R5", "r4, r4b, r5"),
        (AS_R4B, "R4B", "r4b"),
        (AS_R6 | {"trigger": [{"resource": "Encounter"}]}, "R6 ballot", "r4, r4b, r5"),
        (write_basic_topic(topic()), "R4 Basic", "r4"),
    ],
    ids=["R5", "R4B", "R6", "R4"],
)
def test_every_form_is_recognised_and_checked_where_it_can_be_offered(
    desk: Desk, resource: dict[str, Any], form: str, bases: str
) -> None:
    assert desk.check(desk.put("a.json", resource)) == FINE
    assert desk.lines[-2] == f"a.json: offered on {bases}: http://ehr.example/topics/a|1.0.0, written as {form}"


def test_what_is_said_of_a_form_has_its_place_in_that_form(desk: Desk) -> None:
    assert desk.check(desk.put("r6.json", AS_R6)) == REFUSED
    assert "r6.json: error SubscriptionTopic.trigger[0].fhirPathCriteria: " in desk.out
    assert desk.check(desk.put("r4.json", write_basic_topic(WRONG))) == REFUSED
    assert "r4.json: error Basic.extension[" in desk.out


def test_a_topic_that_no_form_reads_is_told_by_the_nearest(desk: Desk) -> None:
    assert desk.check(desk.put("a.json", topic(resourceTriger=[]))) == REFUSED
    assert "error SubscriptionTopic.resourceTriger: " in desk.out and "Did you mean 'resourceTrigger'?" in desk.out
    assert desk.check(desk.put("b.json", AS_R4B | {"status": "on"})) == REFUSED
    assert "status" in desk.lines[0] and "written as R4B" in desk.lines[-2]


def test_bundles_ndjson_folders_and_patterns_are_read(desk: Desk) -> None:
    other = topic(url="http://ehr.example/topics/b")
    third = topic(url="http://ehr.example/topics/c")
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": "Patient"}}, {"resource": other}, 5, {}],
    }
    desk.put("set/deep/bundle.json", bundle)
    desk.put("set/lines.ndjson", topic(), "", {"resourceType": "Patient"}, third)
    desk.put("set/package.json", {"name": "no topic"})
    desk.put("set/readme.md", "no topic")
    assert desk.check(str(desk.folder / "set")) == FINE
    sources = [line.partition(": ")[0] for line in desk.lines[:-1]]
    assert sources == ["set/deep/bundle.json entry[1]", "set/lines.ndjson:1", "set/lines.ndjson:4"]
    assert desk.check(str(desk.folder / "s*" / "*.ndjson")) == FINE
    assert desk.lines[-1].startswith("2 topics checked")


def test_what_cannot_be_read_is_told_and_the_rest_is_checked(desk: Desk) -> None:
    good, broken = desk.put("a.json", topic()), desk.put("b.json", '{"resourceType":')
    assert desk.check(good, broken, str(desk.folder / "absent.json")) == UNREADABLE
    assert "a.json: offered" in desk.out
    assert "b.json: The body is not JSON" in desk.err and "absent.json: no such file" in desk.err


@pytest.mark.parametrize(
    "resource", [{"resourceType": "Patient"}, {"resourceType": "Bundle"}, {"resourceType": "Basic"}]
)
def test_a_named_file_without_a_topic_is_unreadable(desk: Desk, resource: dict[str, Any]) -> None:
    assert desk.check(desk.put("a.json", resource)) == UNREADABLE
    assert "no SubscriptionTopic in it" in desk.err and desk.out == ""


def test_an_empty_folder_is_unreadable(desk: Desk) -> None:
    assert desk.check(str(desk.folder)) == UNREADABLE
    assert "no SubscriptionTopic in a .json or .ndjson file" in desk.err


def test_two_topics_with_one_canonical_are_an_error_at_the_second(desk: Desk) -> None:
    first, second = desk.put("a.json", topic()), desk.put("b.json", topic())
    assert desk.check(first, second) == REFUSED
    assert desk.lines[0].startswith("a.json: offered")
    assert "b.json: error SubscriptionTopic.version: " in desk.out and "a.json has the canonical" in desk.out
    assert desk.check(first, desk.put("c.json", topic(version="1.0.1"))) == FINE


def test_one_canonical_on_different_bases_is_no_conflict(desk: Desk) -> None:
    """Ruling 22."""
    assert desk.check(desk.put("r4.json", write_basic_topic(topic())), desk.put("r4b.json", AS_R4B)) == FINE


def test_a_derived_topic_is_held_against_its_base_when_both_are_there(desk: Desk) -> None:
    """S-022."""
    base = desk.put("base.json", topic(canFilterBy=[PATIENT]))
    derived = topic(url="http://ehr.example/topics/b", derivedFrom=["http://ehr.example/topics/a"])
    poorer = desk.put("poorer.json", derived)
    assert desk.check(base, poorer) == REFUSED
    assert "poorer.json: error SubscriptionTopic.canFilterBy: " in desk.out
    assert desk.check(poorer) == FINE
    assert desk.check(base, desk.put("richer.json", derived | {"canFilterBy": [PATIENT]})) == FINE


def test_json_tells_the_same_to_machines(desk: Desk) -> None:
    code = desk.check(desk.put("a.json", R5_ONLY), str(desk.folder / "absent"), as_json=True)
    (only,) = desk.told["topics"]
    assert code == UNREADABLE and desk.err == ""
    assert only["offered"] == ["r5"] and only["checked"] == ["r4", "r4b", "r5"] and only["form"] == "R5"
    (issue,) = only["issues"]
    assert (issue["level"], issue["expression"], issue["bases"]) == (
        "error",
        "SubscriptionTopic.resourceTrigger[0].resource",
        ["r4", "r4b"],
    )
    assert [each["reason"] for each in desk.told["unreadable"]] == ["no such file or folder"]


def test_nothing_of_a_file_can_command_a_terminal(desk: Desk) -> None:
    desk.check(desk.put("a.json", topic(resourceTrigger=triggers(query(current="\x1b[2Jx=1")))))
    assert desk.lines and "\x1b" not in desk.out
