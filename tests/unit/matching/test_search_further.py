"""Composites, approximate dates, URL paths, media types, resource-level parameters (S-241, S-251, S-257…S-270)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.change import ChangeId
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.definitions import definitions
from hub.matching.search import Surroundings, Undecided, compile_parameter, compile_query
from hub.matching.search.date import compile_date, parse_interval
from tests.unit.matching.builders import encounter, observation, quantity

LOINC = "http://loinc.org"
NOW = ChangeId.at(datetime(2026, 11, 20, tzinfo=UTC))


def matches(query: str, resource: dict[str, Any], version: FhirVersion = FhirVersion.R4) -> bool:
    compiled = compile_query(query, resource["resourceType"], definitions(version))
    found = compiled.matches(resource, Surroundings(NOW))
    for clause in compiled.clauses:
        keys = clause.equality_keys()
        if keys is not None and clause.matches(resource):
            assert keys & clause.keys_of(resource), "an index would miss it"
    return found


def coded(code: str, value: str) -> dict[str, Any]:
    unit = {"system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(value, **unit)}


PRESSURE = observation(component=[coded("8480-6", "142"), coded("8462-4", "71")])


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"component-code-value-quantity={LOINC}|8480-6$gt140", True),
        (f"component-code-value-quantity={LOINC}|8480-6$gt140|http://unitsofmeasure.org|mm[Hg]", True),
        (f"component-code-value-quantity={LOINC}|8462-4$gt140", False),
        ("component-code-value-quantity=8480-6$lt100,8462-4$lt100", True),
        ("component-code-value-quantity=8480-6$lt100,8462-4$lt60", False),
        ("combo-code-value-quantity=8480-6$142", True),
        ("code-value-quantity=8480-6$142", False),
    ],
)
def test_a_composite_holds_when_one_element_has_all_its_values(
    version: FhirVersion, query: str, expected: bool
) -> None:
    """S-266: systolic over 140 is not said by a systolic of 142 and a diastolic of 71 together."""
    assert matches(query, PRESSURE, version) is expected


@pytest.mark.parametrize("version", FhirVersion)
def test_composites_of_codes_strings_and_dates(version: FhirVersion) -> None:
    """S-266."""
    resource = observation(code={"coding": [{"code": "a$b"}]}, valueString="Rash, left arm")
    assert matches(r"code-value-string=a\$b$rash", resource, version)
    assert matches(r"code-value-string=a\$b$rash\, left", resource, version)
    assert not matches(r"code-value-string=a\$b$left", resource, version)
    dated = observation(code={"coding": [{"code": "x"}]}, valueDateTime="2026-11-20")
    assert matches("code-value-date=x$ge2026-11", dated, version)
    assert not matches("code-value-date=x$lt2026-11", dated, version)


def test_a_component_may_look_at_the_whole_resource() -> None:
    """S-266: its expression says %resource."""
    sequence = {
        "resourceType": "MolecularSequence",
        "referenceSeq": {"chromosome": {"coding": [{"code": "1"}]}},
        "variant": [{"start": 5, "end": 9}, {"start": 50, "end": 90}],
    }
    assert matches("chromosome-variant-coordinate=1$lt6$9", sequence)
    assert not matches("chromosome-variant-coordinate=1$lt6$90", sequence)


@pytest.mark.parametrize("value", ["8480-6", "8480-6$", "$5", "a$5$6", "a$five"])
def test_a_composite_takes_one_value_for_each_component(value: str) -> None:
    with pytest.raises(Malformed):
        compile_query(f"component-code-value-quantity={value}", "Observation", definitions(FhirVersion.R4))


@pytest.mark.parametrize("query", ["code-value-quantity:missing=true", "code-value-quantity:not=a$5"])
def test_composites_have_no_modifiers(query: str) -> None:
    """S-241, S-266."""
    with pytest.raises(Unprocessable, match="composite"):
        compile_query(query, "Observation", definitions(FhirVersion.R4))


@given(
    pairs=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), max_size=4),
    asked=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=3),
)
def test_a_composite_is_what_some_element_says_by_itself(
    pairs: list[tuple[str, int]], asked: list[tuple[str, int]]
) -> None:
    """S-266, against the definition: one element, all of its components."""
    resource = observation(component=[coded(code, str(value)) for code, value in pairs])
    query = "component-code-value-quantity=" + ",".join(f"{code}${value}" for code, value in asked)
    assert matches(query, resource) is bool(set(pairs) & set(asked))


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("2026-11-18", "2026-11-17", True),  # at least its own width on both sides
        ("2026-11-18", "2026-11-16", False),
        ("2026-11-18", "2026-11-19", True),
        ("2025-11-20", "2025-12-20", True),  # a year ago: a tenth is 36 days
        ("2025-11-20", "2025-12-28", False),
        ("2025-11-20", "2025-10-14", True),
        ("2027-11-20", "2027-10-15", True),
        ("2027-11-20", "2027-10-01", False),
        ("2026", "2025-02", True),
    ],
)
def test_about_a_date_means_a_tenth_of_its_distance_from_the_change(asked: str, found: str, expected: bool) -> None:
    """S-262, the change's own time standing for the present."""
    assert matches(f"date=ap{asked}", encounter(period={"start": found, "end": found})) is expected


def test_about_a_date_is_undecided_when_nobody_says_what_time_it_is() -> None:
    clause = compile_parameter("Encounter", "date", "", "ap", "2026", definitions(FhirVersion.R4))
    with pytest.raises(Undecided):
        clause.matches(encounter(period={"start": "2026"}))


MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))


@given(found=MOMENTS, asked=MOMENTS, comparator=st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]))
def test_instants_compare_like_the_python_ones(found: datetime, asked: datetime, comparator: str) -> None:
    """S-262 on intervals of one microsecond, against Python's own comparison."""
    expected = {
        "eq": found == asked, "ne": found != asked, "gt": found > asked, "lt": found < asked,
        "ge": found >= asked, "le": found <= asked, "sa": found > asked, "eb": found < asked,
    }[comparator]  # fmt: skip
    text = asked.isoformat(timespec="microseconds")
    compiled = compile_date(comparator, text)
    assert compiled.accepts("instant", found.isoformat(timespec="microseconds")) is expected  # type: ignore[union-attr]


@given(asked=MOMENTS, days=st.integers(-400, 400))
def test_about_a_date_agrees_with_the_rule_in_whole_days(asked: datetime, days: int) -> None:
    """S-262, computed once more with dates."""
    day, now = asked.date(), NOW.instant
    found = day + timedelta(days=days)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    distance = max(start - now, now - (start + timedelta(days=1)), timedelta(0))
    margin = max(distance / 10, timedelta(days=1))
    first = datetime(found.year, found.month, found.day, tzinfo=UTC)
    expected = first < start + timedelta(days=1) + margin and start - margin < first + timedelta(days=1)
    assert matches(f"date=ap{day}", encounter(period={"start": f"{found}", "end": f"{found}"})) is expected


@pytest.mark.parametrize(
    ("query", "found", "expected"),
    [
        ("url:below=http://acme.example/fhir", "http://acme.example/fhir", True),
        ("url:below=http://acme.example/fhir", "http://acme.example/fhir/ValueSet/1", True),
        ("url:below=http://acme.example/fhir/", "http://acme.example/fhir/ValueSet/1", True),
        ("url:below=http://acme.example/fhir", "http://acme.example/fhirs", False),
        ("url:below=http://acme.example/fhir", "http://acme.example", False),
        ("url:above=http://acme.example/fhir/ValueSet/1", "http://acme.example/fhir", True),
        ("url:above=http://acme.example/fhir/ValueSet/1", "http://acme.example/fhi", False),
        ("url:above=http://acme.example/fhir", "http://acme.example/fhir/ValueSet/1", False),
        ("url:above=http://acme.example/fhir", "urn:oid:1.2", False),
        ("url=http://acme.example/fhir", "http://acme.example/fhir/ValueSet/1", False),
    ],
)
def test_above_and_below_go_by_whole_path_segments(query: str, found: str, expected: bool) -> None:
    """S-257."""
    for version in FhirVersion:
        assert matches(query, {"resourceType": "ValueSet", "url": found}, version) is expected, version


@given(st.lists(st.sampled_from("ab"), max_size=4), st.lists(st.sampled_from("ab"), max_size=4))
def test_above_is_below_the_other_way_round(one: list[str], other: list[str]) -> None:
    """S-257, against lists of segments."""
    urls = ["/".join(["http://x.example", *path]) for path in (one, other)]
    held = [{"resourceType": "ValueSet", "url": url} for url in urls]
    assert matches(f"url:below={urls[0]}", held[1]) is (other[: len(one)] == one)
    assert matches(f"url:above={urls[1]}", held[0]) is (other[: len(one)] == one)


def test_profiles_lie_below_a_url_whatever_their_version() -> None:
    resource = encounter(meta={"profile": ["http://p.example/StructureDefinition/e|2"]})
    assert matches("_profile:below=http://p.example", resource)
    assert matches("_profile:below=http://p.example/StructureDefinition/e", resource)


@pytest.mark.parametrize(
    "query", ["url:below=urn:oid:1.2.3", "url:above=urn:uuid:1", "url:below=x", "url:below=http://a|1"]
)
def test_above_and_below_are_for_urls_only(query: str) -> None:
    """S-257."""
    with pytest.raises(Refused):
        compile_query(query, "ValueSet", definitions(FhirVersion.R4))


def test_contains_on_a_uri_is_of_r5() -> None:
    """S-257."""
    assert matches("url:contains=acme", {"resourceType": "ValueSet", "url": "http://acme.example"}, FhirVersion.R5)
    assert not matches("url:contains=ACME", {"resourceType": "ValueSet", "url": "http://acme.example"}, FhirVersion.R5)
    with pytest.raises(Unprocessable):
        compile_query("url:contains=acme", "ValueSet", definitions(FhirVersion.R4))


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("text/xml", "text/xml; charset=utf-8", True),
        ("text/xml", "text/xml", True),
        ("text/xml", "text/xml2", False),
        ("image", "image/png", True),
        ("IMAGE", "image/png", True),
        ("image", "images/png", False),
    ],
)
def test_below_on_a_media_type_leaves_its_parameters_out(asked: str, found: str, expected: bool) -> None:
    """S-251."""
    document = {"resourceType": "DocumentReference", "content": [{"attachment": {"contentType": found}}]}
    for version in FhirVersion:
        assert matches(f"contenttype:below={asked}", document, version) is expected, version


def test_below_on_a_media_type_takes_a_media_type() -> None:
    with pytest.raises(Malformed):
        compile_query("contenttype:below=a/b/c", "DocumentReference", definitions(FhirVersion.R4))


META = {
    "lastUpdated": "2026-11-20T10:00:00.000Z",
    "source": "http://ehr.example/feed#message-7",
    "profile": ["http://p.example/e|1.0"],
    "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
    "tag": [{"system": "urn:tags", "code": "Pilot"}],
}


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_id=E1", True),
        ("_id=e1", False),
        ("_id:not=E1", False),
        ("_id:not=E2,E3", True),
        ("_lastUpdated=2026-11-20", True),
        ("_lastUpdated=gt2026-11-20T09:59:59Z", True),
        ("_lastUpdated=gt2026-11-20T10:00:00.000Z", False),
        ("_lastUpdated=ge2026-11-20T10:00:00.000Z", True),
        ("_lastUpdated=lt2026-11-20", False),
        ("_tag=Pilot", True),
        ("_tag=urn:tags|", True),
        ("_tag:not=urn:tags|Pilot", False),
        ("_tag:missing=false", True),
        ("_security=R", True),
        ("_security=r", False),
        ("_security:missing=true", False),
        ("_profile=http://p.example/e", True),
        ("_profile=http://p.example/e|1.0", True),
        ("_profile=http://p.example/e|2.0", False),
        ("_source=http://ehr.example/feed", True),
        ("_source=http://ehr.example/feed#message-7", True),
        ("_source=http://ehr.example/feed#message-8", False),
        ("_source=http://ehr.example/fee", False),
    ],
)
def test_what_every_resource_has_can_be_asked_for(version: FhirVersion, query: str, expected: bool) -> None:
    """S-247, S-270."""
    assert matches(query, encounter(meta=META) | {"id": "E1"}, version) is expected


@given(
    codes=st.lists(st.sampled_from("abc"), max_size=3),
    asked=st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)
def test_not_is_the_negation_of_the_whole_set(codes: list[str], asked: list[str]) -> None:
    """S-249: no element is one of them, also when there is no element."""
    resource = encounter(type=[{"coding": [{"code": code}]} for code in codes])
    query = ",".join(asked)
    assert matches(f"type:not={query}", resource) is not matches(f"type={query}", resource)
    assert matches(f"type:not={query}", resource) is not bool(set(codes) & set(asked))


@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(-20, 20))
def test_a_number_stands_for_all_that_rounds_to_it(whole: int, digits: int, tenths: int) -> None:
    """S-258, in whole tenths of the last digit that was written."""
    text = f"{whole}" if not digits else f"{whole // 10**digits}.{whole % 10**digits:0{digits}d}"
    found = (whole * 10 + tenths) / 10 ** (digits + 1)
    resource = {
        "resourceType": "RiskAssessment",
        "status": "final",
        "prediction": [{"probabilityDecimal": quantity(f"{found:.6f}")["value"]}],
    }
    assert matches(f"probability={text}", resource) is (-5 <= tenths < 5)
    assert matches(f"probability=ne{text}", resource) is not (-5 <= tenths < 5)


MMOL = {"system": "http://unitsofmeasure.org", "code": "mmol/L", "unit": "mmol per litre"}


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("6.3", "6.25", True),
        ("6.3", "6.349", True),
        ("6.3", "6.35", False),
        ("6.30", "6.304", True),
        ("6.30", "6.31", False),
        ("ne6.3", "6.349", False),
        ("ne6.3", "6.35", True),
        ("gt6.3", "6.3", False),
        ("gt6.3", "6.3000001", True),
        ("ge6.3", "6.3", True),
        ("lt6.3", "6.3", False),
        ("le6.3", "6.3", True),
        ("sa6.3", "6.3", False),
        ("eb6.3", "6.2", True),
        ("ap6.3", "6.93", True),
        ("ap6.3", "6.94", False),
        ("ap6.3", "5.67", True),
        ("ap6.3", "5.66", False),
        ("6.3||mmol/L", "6.3", True),
        ("6.3||mmol per litre", "6.3", True),
        ("6.3|http://unitsofmeasure.org|mmol/L", "6.3", True),
        ("6.3|http://unitsofmeasure.org|mg/dL", "6.3", False),
        ("6.3|urn:other|mmol/L", "6.3", False),
    ],
)
def test_quantities_at_their_bounds(asked: str, found: str, expected: bool) -> None:
    """S-258, S-260, S-261."""
    for version in FhirVersion:
        resource = observation(valueQuantity=quantity(found, **MMOL))
        assert matches(f"value-quantity={asked}", resource, version) is expected, version


@pytest.mark.parametrize(
    ("asked", "period", "expected"),
    [
        ("eq2013-03", ("2013-03-01", "2013-03-31"), True),
        ("eq2013-03", ("2013-02-28", "2013-03-31"), False),
        ("ne2013-03", ("2013-02-28", "2013-03-31"), True),
        ("gt2013-03", ("2013-03-31", "2013-04-01"), True),
        ("gt2013-03", ("2013-03-31", "2013-03-31"), False),
        ("lt2013-03", ("2013-02-28", "2013-03-31"), True),
        ("lt2013-03", ("2013-03-01", "2013-04-30"), False),
        ("ge2013-03", ("2013-03-01", "2013-03-02"), True),
        ("ge2013-03", ("2013-02-01", "2013-03-02"), False),  # the strict reading of S-264
        ("le2013-03", ("2013-03-30", "2013-03-31"), True),
        ("le2013-03", ("2013-03-30", "2013-04-01"), False),
        ("sa2013-03", ("2013-04-01", None), True),
        ("sa2013-03", ("2013-03-31", None), False),
        ("eb2013-03", (None, "2013-02-28"), True),
        ("eb2013-03", (None, "2013-03-01"), False),
        ("eq2013-03", (None, None), False),
    ],
)
def test_periods_at_the_bounds_of_a_month(asked: str, period: tuple[str | None, str | None], expected: bool) -> None:
    """S-262…S-264."""
    limits = {name: value for name, value in zip(("start", "end"), period, strict=True) if value}
    for version in FhirVersion:
        assert matches(f"date={asked}", observation(effectivePeriod=limits or {"id": "x"}), version) is expected, (
            version
        )


def test_an_interval_is_needed_to_speak_of_a_date() -> None:
    assert parse_interval("2026-11-31") is None
