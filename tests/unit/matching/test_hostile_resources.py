"""Nothing validates a resource before it is matched: whatever it holds gives an answer or a fault, never a crash."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.chains import ChainIndex
from hub.matching.filters import compile_filters
from hub.matching.index import MatchIndex
from hub.matching.search import compile_query
from hub.matching.search.parameters import without_types
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import Faults, created, updated

NAMES = "system code coding value reference identifier start end low high unit comparator event repeat text extension"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "IMP", "Patient/1", "2020", "#", Decimal("1.5")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = "status class type subject period location serviceProvider length identifier meta participant id contained"
ENCOUNTERS = st.dictionaries(st.sampled_from(ELEMENTS.split()), JSON, max_size=6).map(
    lambda elements: {**elements, "resourceType": "Encounter"}
)
VALUES = {
    "patient": "Patient/1",
    "class": "IMP",
    "type": "IMP",
    "date": "2020",
    "length": "1.5",
    "identifier": "IMP",
    "location-period": "2020",
    "_tag": "IMP",
    "_id": "1",
    "patient.gender": "male",
    "subject.identifier": "IMP",
    "location:Location.status": "IMP",
}


def index(version: FhirVersion) -> tuple[MatchIndex, ChainIndex]:
    trigger = ResourceTrigger(
        "Encounter", query=QueryCriteria("status:not=x", "status:not=y"), fhirpath="class.exists()"
    )
    topic = compile_topic(
        SubscriptionTopic(
            "http://topics.example/t",
            resource_triggers=(trigger,),
            can_filter_by=tuple(CanFilterBy(without_types(name), modifiers=frozenset({"missing"})) for name in VALUES),
        ),
        version,
    )
    filled, chains = MatchIndex(), ChainIndex()
    for name, value in VALUES.items():
        for modifier, text in (("", value), ("missing", "false")):
            key = str(SubscriptionKey("default", version, f"{name}-{modifier}"))
            filters = compile_filters((FilterBy(name, text, modifier=modifier),), topic)
            filled.add(key, 1, topic, filters)
            chains.add(key, topic, filters)
    return filled, chains


INDEXES = {version: index(version) for version in FhirVersion}


@given(ENCOUNTERS, ENCOUNTERS, ENCOUNTERS, st.sampled_from(FhirVersion))
@settings(max_examples=300, deadline=None)
def test_no_resource_breaks_matching(
    previous: dict[str, Any], current: dict[str, Any], target: dict[str, Any], version: FhirVersion
) -> None:
    filled, chains = INDEXES[version]
    for announced in (created(current, version=version), updated(previous, current, version=version)):
        wanted = chains.references(announced)
        faults = Faults()
        found = filled.match(replace(announced, targets=dict.fromkeys(wanted, target)), faults)
        assert found == sorted(found)
        assert not [fault for fault in faults if "inside the hub" in fault.reason]


COMPOSITES = [
    compile_query(query, "Observation", definitions(version))
    for version in FhirVersion
    for query in ("component-code-value-quantity=IMP$1.5", "combo-code-value-concept=IMP$IMP", "code-value-date=a$2020")
]
OBSERVATIONS = st.dictionaries(
    st.sampled_from(["component", "code", "valueQuantity", "valueCodeableConcept", "valueDateTime", "id"]),
    JSON,
    max_size=5,
).map(lambda elements: {**elements, "resourceType": "Observation"})


@given(OBSERVATIONS)
@settings(max_examples=200, deadline=None)
def test_no_resource_breaks_a_composite(resource: dict[str, Any]) -> None:
    for query in COMPOSITES:
        with suppress(FHIRPathEvaluationError):
            (clause,) = query.clauses
            found = query.matches(resource)
            assert not found or clause.equality_keys() is None or clause.equality_keys() & clause.keys_of(resource)


def test_an_element_that_is_not_built_as_its_type_says_is_a_fault_not_a_silence() -> None:
    faults = Faults()
    found = INDEXES[FhirVersion.R4][0].match(
        created({"resourceType": "Encounter", "status": "planned", "identifier": [{"system": 7, "value": "IMP"}]}),
        faults,
    )
    assert "default|r4|identifier-" not in [key for key, _ in found]
    assert [fault.criterion for fault in faults if "not built" in fault.reason] == ["identifier"]
