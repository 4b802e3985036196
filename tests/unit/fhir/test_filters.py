"""Filter criteria strings in every form in use (S-092, S-093)."""

import pytest

from hub.domain.subscription import FilterBy
from hub.fhir.filters import FilterSyntaxError, read_filter_criteria


@pytest.mark.parametrize(
    ("criteria", "conditions"),
    [
        ("patient=Patient/1", [FilterBy("patient", "Patient/1")]),
        ("status:not=planned", [FilterBy("status", "planned", modifier="not")]),
        ("date=ge2026,lt2020", [FilterBy("date", "ge2026,lt2020")]),
        ("_tag=http://x.org|a", [FilterBy("_tag", "http://x.org|a")]),
        ("Encounter.patient=Patient/1", [FilterBy("patient", "Patient/1", "Encounter")]),
        ("Encounter.status:not=planned", [FilterBy("status", "planned", "Encounter", modifier="not")]),
        ("Encounter.patient.gender=male", [FilterBy("patient.gender", "male", "Encounter")]),
        ("patient.gender=male", [FilterBy("patient.gender", "male")]),
        ("patient.gender:not=male", [FilterBy("patient.gender", "male", modifier="not")]),
        ("patient:Patient.birthdate=ge1980", [FilterBy("patient:Patient.birthdate", "ge1980")]),
        (
            "Encounter.subject:Patient.name:exact=x",
            [FilterBy("subject:Patient.name", "x", "Encounter", modifier="exact")],
        ),
        ("subject:Patient=1", [FilterBy("subject", "1", modifier="Patient")]),
        ("Encounter?", [FilterBy("", "", "Encounter")]),
        ("/Encounter?patient=1", [FilterBy("patient", "1", "Encounter")]),
        (
            "Encounter?patient=Patient/1&status:not=planned",
            [FilterBy("patient", "Patient/1", "Encounter"), FilterBy("status", "planned", "Encounter", modifier="not")],
        ),
        ("Encounter.a=1&b=2", [FilterBy("a", "1", "Encounter"), FilterBy("b", "2")]),
        ("code=a%26b%3Dc&x=y+z", [FilterBy("code", "a&b=c"), FilterBy("x", "y z")]),
        ("name=y+z", [FilterBy("name", "y+z")]),
        ("name=100%", [FilterBy("name", "100%")]),
        ("url=http://x.org/Patient?a", [FilterBy("url", "http://x.org/Patient?a")]),
        ("code=a\\,b", [FilterBy("code", "a\\,b")]),
        ("code=a=b", [FilterBy("code", "a=b")]),
    ],
)
def test_every_form_in_use_is_read(criteria: str, conditions: list[FilterBy]) -> None:
    assert list(read_filter_criteria(criteria)) == conditions


@pytest.mark.parametrize(
    "criteria",
    [
        "",
        "?",
        "patient",
        "patient=",
        "=1",
        "Encounter?patient",
        "Encounter?a=1&",
        "encounter?a=1",
        "a b=1",
        "a:=1",
        "a:b:c=1",
        "a..b=1",
        "a:patient.b=1",
        "a:B:C.d=1",
        ".a=1",
        "Encounter.=1",
        "a:b.c=1",
        "http://x.org/Patient?a=b",
        "a=%ff",
        "1=2",
        "Encounter?Encounter?a=1",
    ],
)
def test_what_has_no_known_form_is_refused_with_advice(criteria: str) -> None:
    with pytest.raises(FilterSyntaxError, match="write"):
        read_filter_criteria(criteria)
