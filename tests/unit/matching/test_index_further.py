"""Chains, ValueSets, composites and parameters of clients in the index, which keeps filters as they were written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.domain.change import ResourceChange
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.fhir.definitions import SearchParameter, definitions
from hub.fhir.value_sets import hold, read_value_set
from hub.matching.classic import compile_criteria
from hub.matching.filters import CompiledFilters, compile_filters
from hub.matching.index import MatchIndex
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import Faults, created, encounter, observation, quantity, unreported
from tests.unit.matching.restated_further import MOMENT

BASE = FhirVersion.R4
INPATIENT = "http://vs.example/inpatient"
VALUE_SETS = hold(
    [
        read_value_set(
            {
                "resourceType": "ValueSet",
                "url": INPATIENT,
                "status": "active",
                "compose": {"include": [{"system": "urn:classes", "concept": [{"code": "IMP"}]}]},
            }
        )
    ]
)
WARD = SearchParameter("ward", ("Encounter",), "token", "Encounter.type", (), "http://own.example/ward")
FACTS = definitions(BASE).with_parameters([WARD])
TOPIC = compile_topic(
    SubscriptionTopic(
        "http://topics.example/t",
        resource_triggers=(ResourceTrigger("Encounter"), ResourceTrigger("Observation")),
        can_filter_by=(
            CanFilterBy("patient"),
            CanFilterBy("patient.birthdate", comparators=frozenset({"ge"})),
            CanFilterBy("class", "Encounter", modifiers=frozenset({"in"})),
            CanFilterBy("ward", "Encounter"),
            CanFilterBy("date", comparators=frozenset({"ge", "ap"})),
            CanFilterBy("code-value-quantity", "Observation"),
        ),
    ),
    BASE,
    facts=FACTS,
    value_sets=VALUE_SETS,
)
PATIENT = {"resourceType": "Patient", "id": "1", "birthDate": "1980-05-01"}
ADMITTED = encounter(
    subject={"reference": "Patient/1"},
    type=[{"coding": [{"code": "icu"}]}],
    period={"start": "1970-01-01", "end": "1970-01-02"},
    **{"class": {"system": "urn:classes", "code": "IMP"}},
)
MEASURED = observation(
    subject={"reference": "Patient/1"},
    code={"coding": [{"code": "hba1c"}]},
    valueQuantity=quantity("6.5"),
)


def name(number: int) -> str:
    return f"default|r4|{number}"


def index_of(*filters: FilterBy) -> MatchIndex:
    index = MatchIndex()
    for number, each in enumerate(filters):
        index.add(name(number), 1, TOPIC, compile_filters((each,), TOPIC))
    return index


def looked_up(index: MatchIndex, change: ResourceChange) -> ResourceChange:
    targets = {reference: {"Patient/1": PATIENT}.get(reference) for reference in index.references(change)}
    return replace(change, targets=targets)


def found(index: MatchIndex, change: ResourceChange) -> list[str]:
    return [key.rpartition("|")[2] for key, _ in index.match(looked_up(index, change), unreported)]


def test_what_was_written_is_compiled_again_with_what_the_topic_knows() -> None:
    index = index_of(
        FilterBy("patient.birthdate", "1980", comparator="ge"),
        FilterBy("patient:Patient.birthdate", "ge1990"),
        FilterBy("class", INPATIENT, "Encounter", modifier="in"),
        FilterBy("ward", "icu", "Encounter"),
        FilterBy("ward", "er", "Encounter"),
        FilterBy("code-value-quantity", "hba1c$gt6", "Observation"),
        FilterBy("code-value-quantity", "hba1c$gt7", "Observation"),
    )
    assert found(index, created(ADMITTED)) == ["0", "2", "3"]
    assert found(index, created(MEASURED)) == ["0", "5"]
    assert index.filters_of(name(1)) == (FilterBy("patient:Patient.birthdate", "ge1990"),)


def test_classic_criteria_are_compiled_again_with_what_their_base_knows() -> None:
    """S-011."""
    index = MatchIndex()
    for number, criteria in enumerate(
        [
            "Encounter?patient.birthdate=1980-05-01",
            "Encounter?patient:Patient.birthdate=gt1990",
            f"Encounter?class:in={INPATIENT}",
            "Encounter?ward=icu",
            "Encounter?ward=er",
            "Observation?code-value-quantity=hba1c$gt6",
        ]
    ):
        index.add(name(number), 1, *compile_criteria(criteria, BASE, facts=FACTS, value_sets=VALUE_SETS))
    assert found(index, created(ADMITTED)) == ["0", "2", "3"]
    assert found(index, created(MEASURED)) == ["5"]


def test_the_same_words_mean_to_each_what_its_base_knew() -> None:
    other = replace(WARD, expression="Encounter.priority")
    index = MatchIndex()
    for number, facts in enumerate((FACTS, definitions(BASE).with_parameters([other]))):
        index.add(name(number), 1, *compile_criteria("Encounter?ward=icu", BASE, facts=facts))
    assert found(index, created(ADMITTED)) == ["0"]
    assert found(index, created(encounter(priority={"coding": [{"code": "icu"}]}))) == ["1"]


def test_ap_is_judged_as_of_the_change() -> None:
    """S-262: half a year apart is about the same seen from 2026, not seen from 1970."""
    index = index_of(FilterBy("date", "1970-07-01", "Encounter", "ap"))
    assert found(index, created(ADMITTED)) == []
    assert found(index, replace(created(ADMITTED), id=MOMENT)) == ["0"]


@pytest.mark.parametrize(
    "filter_by",
    [
        FilterBy("date", "2026-01-01", "Encounter", "ap"),
        FilterBy("patient.birthdate", "1980", "Encounter", "ge"),
        FilterBy("code-value-quantity", "hba1c$gt6", "Observation"),
    ],
)
def test_only_plain_comparisons_are_sorted(filter_by: FilterBy) -> None:
    (clauses,) = (compile_filters((filter_by,), TOPIC).by_type or {}).values()
    assert [clause.thresholds() for clause in clauses] == [None]


def test_nothing_leads_from_a_value_behind_a_chain_to_the_focus() -> None:
    clauses = compile_filters((FilterBy("patient.birthdate", "1980"),), TOPIC).clauses("Encounter")
    assert clauses is not None and [clause.equality_keys() for clause in clauses] == [None]


def test_a_composite_is_found_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(*(FilterBy("code-value-quantity", f"c{number}$gt6", "Observation") for number in range(50)))
    judged = []
    match = CompiledFilters.match
    monkeypatch.setattr(CompiledFilters, "match", lambda *told: judged.append(told) or match(*told))
    assert found(index, created(MEASURED | {"code": {"coding": [{"code": "c7"}]}})) == ["7"]
    assert len(judged) == 1


def test_an_undecided_filter_counts_as_not_matched_and_is_told_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ruling 23; the filters are the same, so they are judged once."""
    born = FilterBy("patient.birthdate", "1980", comparator="ge")
    index, faults, judged = index_of(born, born), Faults(), []
    match = CompiledFilters.match
    monkeypatch.setattr(CompiledFilters, "match", lambda *told: judged.append(told) or match(*told))
    absent = created(encounter(subject={"reference": "Patient/2"}))
    assert index.match(looked_up(index, absent), faults) == []
    assert [(fault.subscription, fault.reason) for fault in sorted(faults, key=str)] == [
        (name(0), "Patient/2 is not held here"),
        (name(1), "Patient/2 is not held here"),
    ]
    assert len(judged) == 1
    assert len(index.match(replace(absent, targets={"Patient/2": PATIENT}), unreported)) == 2


def test_a_subscription_with_a_chain_adds_nothing_but_its_entry() -> None:
    """However many ask the same of a reference, one form and one step stand for them (decision 0010)."""
    index = index_of(*(FilterBy("patient.birthdate", f"19{number}") for number in range(10, 90)))
    change = created(ADMITTED)
    assert len(index._chains._by_key) == 1
    assert index.references(change) == {"Patient/1"}
    for number in range(79):
        index.remove(name(number))
    assert index.references(change) == {"Patient/1"}
    index.remove(name(79))
    assert index.references(change) == frozenset()
    assert not index._chains._by_key and not index._chains._uses
