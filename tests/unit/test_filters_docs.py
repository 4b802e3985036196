"""docs/filters.md says of each type of parameter what the code decides, and its examples are taken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import definitions
from hub.fhir.search_parameters import read_search_parameter
from hub.fhir.value_sets import hold, read_value_set
from hub.matching.search import compile_query
from hub.matching.search.parameters import MODIFIERS

TEXT = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(found) for found in re.findall(r"^    (\{.*?\})\n(?=\n)", TEXT, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("type_", MODIFIERS)
def test_the_modifiers_of_each_type_are_those_that_are_decided(type_: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| {type_} |")]
    listed = set(re.findall(r"`:([a-z-]+)`", row.rsplit("|", 2)[1]))
    assert listed == MODIFIERS[type_]


def test_the_examples_are_taken() -> None:
    value_set, parameter = EXAMPLES
    assert hold([read_value_set(value_set)]).contains(value_set["url"], None, "AMB")
    assert read_search_parameter(parameter, FhirVersion.R5).code == "eyes"


@pytest.mark.parametrize(
    "query",
    [
        *("code:text=x", "code:code-text=x", "code:above=x", "code:below=x", "subject:above=Patient/1"),
        *("subject:in=Group/1", "subject:not-in=Group/1", "_in=Group/1", "_list=x", "_has:Observation:patient:code=x"),
        *("_text=x", "_content=x", "_filter=x", "_query=x", "_type=Observation", "subject:iterate=x"),
        *("subject.general-practitioner.name=x", "code-value-quantity:missing=true", "code-value-date=x$ap2020"),
    ],
)
def test_what_the_page_calls_refused_is_refused_with_advice(query: str) -> None:
    assert any(word in TEXT for word in re.findall(r":[a-z-]+|_[a-z]+|ap", query)) or "." in query
    for version in FhirVersion:
        with pytest.raises(Unprocessable) as refused:
            compile_query(query, "Observation", definitions(version))
        assert ";" in refused.value.issues[0].diagnostics, "what is wrong; what to write instead"
