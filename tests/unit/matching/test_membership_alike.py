"""``:in`` and ``memberOf()`` are one question: the same code, the same answer (S-250, S-274)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhir.value_sets import hold, read_value_set
from hub.fhirpath import FHIRPathEvaluationError, compile_expression
from hub.matching.search import Undecided, compile_query

FACTS = definitions(FhirVersion.R4)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LISTED, WHOLE, EXPANDED = (f"http://vs.example/{name}" for name in ("listed", "whole", "expanded"))
CONTENT: dict[str, dict[str, Any]] = {
    LISTED: {"compose": {"include": [{"system": ACT, "concept": [{"code": "AMB"}, {"code": "planned"}]}]}},
    WHOLE: {"compose": {"include": [{"system": ACT}], "exclude": [{"system": ACT, "concept": [{"code": "AMB"}]}]}},
    EXPANDED: {"expansion": {"timestamp": "2026-01-01", "contains": [{"code": "AMB"}, {"system": ACT, "code": "IMP"}]}},
}
SETS = hold(
    read_value_set({"resourceType": "ValueSet", "url": url, "status": "active", **content})
    for url, content in CONTENT.items()
)
AMB, IMP = {"system": ACT, "code": "AMB"}, {"system": ACT, "code": "IMP"}
CODINGS: list[dict[str, Any]] = [
    AMB, IMP, {"code": "AMB"}, {"code": "IMP"}, {"system": "", "code": "AMB"},
    {"system": "http://x.example", "code": "AMB"}, {"system": ACT}, {"display": "ambulatory"},
]  # fmt: skip


def by_search(query: str, encounter: dict[str, Any]) -> bool | None:
    try:
        return compile_query(query, "Encounter", FACTS, value_sets=SETS).matches(encounter)
    except Undecided:
        return None


def by_fhirpath(expression: str, encounter: dict[str, Any]) -> bool | None:
    compiled = compile_expression(expression, FACTS, root_type="Encounter", value_sets=SETS)
    try:
        return compiled.items(encounter) == [True]
    except FHIRPathEvaluationError:
        return None


@pytest.mark.parametrize("url", CONTENT)
def test_a_coding_is_judged_alike(url: str) -> None:
    for coding in CODINGS:
        encounter = {"resourceType": "Encounter", "class": coding}
        assert by_search(f"class:in={url}", encounter) is by_fhirpath(f"class.memberOf('{url}')", encounter), coding


@pytest.mark.parametrize("url", CONTENT)
def test_a_concept_is_judged_alike(url: str) -> None:
    for first in CODINGS:
        for second in CODINGS:
            encounter = {"resourceType": "Encounter", "type": [{"coding": [first, second]}]}
            found = by_fhirpath(f"type.single().memberOf('{url}')", encounter)
            assert by_search(f"type:in={url}", encounter) is found, (first, second)


@pytest.mark.parametrize("url", CONTENT)
def test_a_code_is_judged_alike(url: str) -> None:
    """Only here the system is left to the element: of a whole system it cannot be told."""
    found = []
    for code in ("planned", "finished"):
        encounter = {"resourceType": "Encounter", "status": code}
        found.append(by_search(f"status:in={url}", encounter))
        assert found[-1] is by_fhirpath(f"status.memberOf('{url}')", encounter)
    assert found == {LISTED: [True, False], WHOLE: [None, None], EXPANDED: [False, False]}[url]


def test_a_coding_without_a_system_is_listed_only_without_one() -> None:
    encounter = {"resourceType": "Encounter", "class": {"code": "AMB"}}
    found = {url: by_search(f"class:in={url}", encounter) for url in CONTENT}
    assert found == {LISTED: False, WHOLE: False, EXPANDED: True}
