"""HL7's own suite for R4: the score, and that every test that fails is listed with its reason in docs/fhirpath.md."""

from __future__ import annotations

import re
from functools import cache

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from tests.real_input.shared_data import DATA, ROOT, needs_data
from tests.unit.fhirpath.suite.cases import read_cases
from tests.unit.fhirpath.suite.inputs import read_input
from tests.unit.fhirpath.suite.judging import problem_with

FOLDER = DATA / "fhirpath"
R4 = definitions(FhirVersion.R4)
REACHED, OF = 925, 935
PAGE = ROOT / "docs" / "fhirpath.md"
LISTED = re.compile(r"^\| `(?P<name>\w+(#\d)?)` \| `.+` \| .{20,} \|$", re.MULTILINE)


@cache
def problems() -> dict[str, str]:
    """Of every test: what is wrong, "" when nothing is."""
    cases = read_cases(FOLDER / "tests-fhir-r4.xml")
    inputs = {case.input: read_input(FOLDER, case.input, R4) for case in cases if case.input} | {"": None}
    return {case.name: problem_with(case, inputs[case.input], R4) for case in cases}


def failing() -> set[str]:
    return {name for name, problem in problems().items() if problem}


@needs_data
def test_the_score_in_the_suite_of_hl7() -> None:
    passed = len(problems()) - len(failing())
    print(f"\nHL7 FHIRPath suite for R4: {passed} of {len(problems())} tests, {passed / len(problems()):.1%}")
    for name in sorted(failing()):
        print(f"  {name}: {problems()[name][:150]}")
    assert len(problems()) == OF
    assert passed >= REACHED
    assert passed / OF >= 0.97


@needs_data
def test_the_page_lists_every_failing_test_with_its_reason_and_no_other() -> None:
    assert {found["name"] for found in LISTED.finditer(PAGE.read_text(encoding="utf-8"))} == failing()


def test_the_page_tells_the_score_that_is_kept() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"**{REACHED} of {OF}**" in page
    assert len(LISTED.findall(page)) == OF - REACHED


@needs_data
def test_xml_and_json_of_one_resource_are_read_alike() -> None:
    """So that a test does not pass or fail by the reader of this suite."""
    for name in ("observation-example", "questionnaire-example"):
        from_xml, from_json = (read_input(FOLDER, f"{name}.{ending}", R4) for ending in ("xml", "json"))
        for resource in (from_xml, from_json):
            resource.pop("text", None)
        differing = {key for key in from_xml | from_json if from_xml.get(key) != from_json.get(key)}
        assert differing <= {"extension", "meta"}, name
