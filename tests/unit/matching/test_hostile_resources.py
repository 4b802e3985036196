"""Nothing validates a resource before it is matched: whatever it holds gives an answer or a fault, never a crash."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.filters import compile_filters
from hub.matching.index import MatchIndex
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import Faults, created, updated

NAMES = "system code coding value reference identifier start end low high unit comparator event repeat text extension"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "IMP", "Patient/1", "2020", "#", Decimal("1.5")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = "status class type subject period location serviceProvider length identifier meta participant id"
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
}


def index(version: FhirVersion) -> MatchIndex:
    trigger = ResourceTrigger(
        "Encounter", query=QueryCriteria("status:not=x", "status:not=y"), fhirpath="class.exists()"
    )
    topic = compile_topic(
        SubscriptionTopic(
            "http://topics.example/t",
            resource_triggers=(trigger,),
            can_filter_by=tuple(CanFilterBy(name, modifiers=frozenset({"missing"})) for name in VALUES),
        ),
        version,
    )
    filled = MatchIndex()
    for name, value in VALUES.items():
        for modifier, text in (("", value), ("missing", "false")):
            key = str(SubscriptionKey("default", version, f"{name}-{modifier}"))
            filled.add(key, 1, topic, compile_filters((FilterBy(name, text, modifier=modifier),), topic))
    return filled


INDEXES = {version: index(version) for version in FhirVersion}


@given(ENCOUNTERS, ENCOUNTERS, st.sampled_from(FhirVersion))
@settings(max_examples=300, deadline=None)
def test_no_resource_breaks_matching(previous: dict[str, Any], current: dict[str, Any], version: FhirVersion) -> None:
    for announced in (created(current, version=version), updated(previous, current, version=version)):
        found = INDEXES[version].match(announced, Faults())
        assert found == sorted(found)


def test_an_element_that_is_not_built_as_its_type_says_is_a_fault_not_a_silence() -> None:
    faults = Faults()
    found = INDEXES[FhirVersion.R4].match(
        created({"resourceType": "Encounter", "status": "planned", "identifier": [{"system": 7, "value": "IMP"}]}),
        faults,
    )
    assert "default|r4|identifier-" not in [key for key, _ in found]
    assert [fault.criterion for fault in faults if "not built" in fault.reason] == ["identifier"]
