"""Chains of depth one and membership in ValueSets: decided, undecided, refused (S-250, S-268, ruling 23)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.domain.explanation import Verdict
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.definitions import definitions
from hub.fhir.value_sets import NO_VALUE_SETS, hold, read_value_set
from hub.matching.chains import ChainIndex
from hub.matching.explain import explain_filters, explain_topic
from hub.matching.filters import compile_filters
from hub.matching.search import Surroundings, Undecided, compile_query
from hub.matching.topics import compile_topic
from hub.matching.triggers import compile_trigger
from tests.unit.matching.builders import Faults, created, encounter, unreported, updated

PATIENT = {
    "resourceType": "Patient",
    "id": "1",
    "gender": "female",
    "birthDate": "1980-05-01",
    "identifier": [{"system": "urn:mrn", "value": "7"}],
}
GROUP = {"resourceType": "Group", "id": "1", "identifier": [{"system": "urn:groups", "value": "7"}]}
HELD: dict[str, Any] = {"Patient/1": PATIENT, "Patient/2": None, "Group/1": GROUP}
OWN = "https://ehr.example/fhir"


def about(reference: Any, **elements: Any) -> dict[str, Any]:
    subject = {"reference": reference} if isinstance(reference, str) else reference
    return encounter(subject=subject, **elements)


def matches(query: str, resource: dict[str, Any], version: FhirVersion = FhirVersion.R4) -> bool:
    compiled = compile_query(query, "Encounter", definitions(version), source_base_url=OWN)
    return compiled.matches(resource, Surroundings(targets=HELD))


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient.gender=female", True),
        ("patient.gender=male,female", True),
        ("patient.gender=male", False),
        ("patient.gender:not=male", True),
        ("patient.gender:not=female", False),
        ("patient.gender:missing=false", True),
        ("patient.death-date:missing=true", True),
        ("patient:Patient.birthdate=ge1980", True),
        ("subject:Patient.birthdate=1981", False),
        ("subject:Group.identifier=urn:mrn|7", False),
        ("subject.identifier=urn:mrn|7", True),
        ("subject.identifier=urn:groups|7", False),
        ("subject.identifier=urn:mrn|7&subject.gender=female", True),
        ("subject.identifier=urn:mrn|7&status=finished", False),
    ],
)
def test_a_chain_is_judged_on_the_target(version: FhirVersion, query: str, expected: bool) -> None:
    """S-268."""
    assert matches(query, about("Patient/1"), version) is expected
    assert matches(query, about(f"{OWN}/Patient/1/_history/3"), version) is expected


def test_a_target_of_another_type_has_its_own_parameter() -> None:
    assert matches("subject.identifier=urn:groups|7", about("Group/1"))
    assert not matches("subject.gender=female", about("Group/1"))
    assert not matches("patient.gender=female", about("Group/1"))


def test_without_a_reference_no_chain_holds() -> None:
    assert not matches("subject.gender=female", encounter())
    assert not matches("subject.gender:not=female", encounter())


def test_a_contained_target_is_judged_where_it_stands() -> None:
    inside = about("#p", contained=[PATIENT | {"id": "p", "gender": "male"}])
    assert matches("subject.gender=male", inside)
    assert not matches("subject.gender=female", inside)
    with pytest.raises(Undecided):
        matches("subject.gender=female", about("#q", contained=[PATIENT]))


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/2",
        "Patient/3",
        "https://elsewhere.example/fhir/Patient/1",
        "urn:uuid:5c1e7e5e-0000-4000-8000-000000000001",
        {"identifier": {"system": "urn:mrn", "value": "7"}},
        {"type": "Patient", "display": "somebody"},
    ],
)
def test_a_target_that_is_not_held_is_undecided(reference: Any) -> None:
    """Ruling 23: neither true nor false."""
    for query in ("subject.gender=female", "subject.gender:not=female", "subject.gender:missing=true"):
        with pytest.raises(Undecided):
            matches(query, about(reference))


def test_what_another_condition_settles_is_decided() -> None:
    unknown = about("Patient/3", status="planned")
    assert not matches("subject.gender=female&status=finished", unknown)
    assert not matches("status=finished&subject.gender=female", unknown)
    with pytest.raises(Undecided):
        matches("status=planned&subject.gender=female", unknown)


def test_one_target_that_matches_is_enough() -> None:
    accounts = [{"reference": "Account/1"}, {"reference": "Account/2"}]
    compiled = compile_query("account.status=active", "Encounter", definitions(FhirVersion.R4))
    active = Surroundings(targets={"Account/2": {"resourceType": "Account", "id": "2", "status": "active"}})
    assert compiled.matches(encounter(account=accounts), active)
    inactive = Surroundings(targets={"Account/2": {"resourceType": "Account", "id": "2", "status": "inactive"}})
    with pytest.raises(Undecided, match="Account/1"):
        compiled.matches(encounter(account=accounts), inactive)


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("subject.gender=female", {"Patient/1"}),
        ("subject:Group.identifier=x", set()),
        ("status=finished", set()),
        ("account.status=active&subject.gender=female", {"Patient/1", "Account/1"}),
    ],
)
def test_a_query_says_what_must_be_looked_up(query: str, references: set[str]) -> None:
    compiled = compile_query(query, "Encounter", definitions(FhirVersion.R4))
    accounts = [{"reference": "Account/1"}, {"reference": "#a"}, {"display": "x"}]
    assert compiled.references(about("Patient/1", account=accounts)) == references


def test_of_many_targets_only_the_first_hundred_are_looked_up() -> None:
    compiled = compile_query("account.status=active", "Encounter", definitions(FhirVersion.R4))
    accounts = [{"reference": f"Account/{number}"} for number in range(150)]
    assert len(compiled.references(encounter(account=accounts))) == 100


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("subject.gender:text=x", "code"),
        ("subject.general-practitioner.name=x", "reference.parameter"),
        ("subject.nope=x", "one that it has"),
        ("status.name=x", "reference before the dot"),
        ("patient:Group.identifier=x", "Patient"),
        ("subject:Nothing.identifier=x", "resource type"),
        ("subject.birthdate=sometime", "not a date"),
    ],
)
def test_chains_that_cannot_be_followed_are_refused_with_advice(query: str, advice: str) -> None:
    with pytest.raises(Exception, match=advice) as refused:
        compile_query(query, "Encounter", definitions(FhirVersion.R4))
    assert refused.value.issues  # type: ignore[attr-defined]


def test_a_reference_to_anything_wants_its_type() -> None:
    facts = definitions(FhirVersion.R4)
    with pytest.raises(Unprocessable, match=r"target:\[Type\]"):
        compile_query("target.identifier=x", "Provenance", facts)
    assert compile_query("target:Encounter.identifier=x", "Provenance", facts)


STARTS = QueryCriteria(previous="status:not=finished", current="subject.gender=female", require_both=True)
EITHER = QueryCriteria(previous="status=planned", current="subject.gender=female")


def test_an_undecided_side_counts_only_where_it_matters() -> None:
    """S-034 with a side that cannot be told."""
    unknown = about("Patient/3")
    both = compile_trigger(ResourceTrigger("Encounter", query=STARTS), FhirVersion.R4)
    either = compile_trigger(ResourceTrigger("Encounter", query=EITHER), FhirVersion.R4)
    assert not both.fires(updated(encounter("finished"), unknown), unreported)
    assert either.fires(updated(encounter("planned"), unknown), unreported)
    for trigger, before in ((both, "planned"), (either, "arrived")):
        faults = Faults()
        assert not trigger.fires(updated(encounter(before), unknown), faults)
        assert [fault.reason for fault in faults] == ["Patient/3 is not held here"]


ADULTS = SubscriptionTopic(
    "http://topics.example/adults",
    resource_triggers=(ResourceTrigger("Encounter", query=QueryCriteria(current="account.status=active")),),
    can_filter_by=(
        CanFilterBy("patient.gender", modifiers=frozenset({"not"})),
        CanFilterBy("subject.birthdate", comparators=frozenset({"ge"})),
        CanFilterBy("class", modifiers=frozenset({"in", "not-in"})),
    ),
)


def test_a_filter_may_be_a_chain_and_name_the_type_of_its_target() -> None:
    """S-047."""
    topic = compile_topic(ADULTS, FhirVersion.R4)
    assert not topic.warnings
    around = Surroundings(targets=HELD)
    for by, expected in (
        (FilterBy("patient.gender", "female"), True),
        (FilterBy("patient:Patient.gender", "female", modifier="not"), False),
        (FilterBy("subject:Patient.birthdate", "1980", comparator="ge"), True),
        (FilterBy("subject.birthdate", "ge1990"), False),
    ):
        assert compile_filters((by,), topic).match("Encounter", about("Patient/1"), around) is expected, by
    with pytest.raises(Unprocessable, match="le"):
        compile_filters((FilterBy("subject.birthdate", "le1990"),), topic)


def test_the_index_of_chains_knows_what_a_change_needs() -> None:
    topic = compile_topic(ADULTS, FhirVersion.R4)
    index = ChainIndex()
    change = created(about("Patient/1", account=[{"reference": "Account/1"}]))
    assert index.references(change) == frozenset()
    index.add("default|r4|a", topic, compile_filters((FilterBy("patient.gender", "x"),), topic))
    index.add("default|r4|b", topic, compile_filters((FilterBy("class", "x"),), topic))
    assert index.references(change) == {"Patient/1", "Account/1"}
    index.add("default|r4|a", topic, compile_filters((), topic))
    assert index.references(change) == {"Account/1"}
    assert index.references(created(about("Patient/1"), tenant="other")) == frozenset()
    index.remove("default|r4|a")
    index.remove("default|r4|b")
    index.remove("default|r4|b")
    assert index.references(change) == frozenset()


def test_both_states_of_a_change_are_looked_at() -> None:
    topic = compile_topic(ADULTS, FhirVersion.R4)
    index = ChainIndex()
    index.add("default|r4|a", topic, compile_filters((FilterBy("patient.gender", "x"),), topic))
    assert index.references(updated(about("Patient/1"), about("Patient/2"))) == {"Patient/1", "Patient/2"}


def test_an_undecided_chain_is_told_as_such() -> None:
    """Ruling 23: neither yes nor failed, and with what it would have to look at."""
    topic = compile_topic(ADULTS, FhirVersion.R4)
    filters = compile_filters((FilterBy("patient.gender", "female"),), topic)
    for reference, verdict in (("Patient/1", Verdict.YES), ("Patient/3", Verdict.UNDECIDED)):
        told = explain_filters(filters, replace(created(about(reference)), targets=HELD))
        (part,) = told.parts
        assert (told.verdict, part.verdict, part.text) == (verdict, verdict, "patient.gender=female")
        assert reference in part.values[0] and (reference in part.reason) is (verdict is Verdict.UNDECIDED)


def test_an_undecided_criterion_makes_its_topic_undecided() -> None:
    topic = compile_topic(ADULTS, FhirVersion.R4)
    told = explain_topic(topic, created(encounter(account=[{"reference": "Account/1"}])))
    assert (told.verdict, told.parts[0].verdict) == (Verdict.UNDECIDED, Verdict.UNDECIDED)
    assert "Account/1 is not held here" in told.reason


INPATIENT = {
    "resourceType": "ValueSet",
    "url": "http://vs.example/inpatient",
    "status": "active",
    "compose": {"include": [{"system": "urn:classes", "concept": [{"code": "IMP"}, {"code": "ACUTE"}]}]},
}
VALUE_SETS = hold([read_value_set(INPATIENT)])


@pytest.mark.parametrize(
    ("coding", "is_in"),
    [
        ({"system": "urn:classes", "code": "IMP"}, True),
        ({"system": "urn:classes", "code": "AMB"}, False),
        ({"system": "urn:other", "code": "IMP"}, False),
        ({"code": "IMP"}, False),
        (None, False),
    ],
)
def test_in_and_not_in_a_value_set(coding: dict[str, str] | None, is_in: bool) -> None:
    """S-250: ``:not-in`` is the negation of the whole, also when the element is absent."""
    topic = compile_topic(ADULTS, FhirVersion.R4, value_sets=VALUE_SETS)
    focus = encounter(**({"class": coding} if coding else {}))
    for modifier, expected in (("in", is_in), ("not-in", not is_in)):
        filters = compile_filters((FilterBy("class", "http://vs.example/inpatient", modifier=modifier),), topic)
        assert filters.match("Encounter", focus) is expected


def test_a_code_element_takes_its_system_from_its_binding() -> None:
    statuses = INPATIENT | {"url": "http://vs.example/s", "compose": {"include": [{"system": "urn:x"}]}}
    listed = INPATIENT | {
        "url": "http://vs.example/listed",
        "compose": {"include": [{"system": "urn:x", "concept": [{"code": "finished"}]}]},
    }
    sets = hold([read_value_set(statuses), read_value_set(listed)])
    facts = definitions(FhirVersion.R4)
    assert compile_query("status:in=http://vs.example/listed", "Encounter", facts, value_sets=sets).matches(
        encounter("finished")
    )
    whole = compile_query("status:in=http://vs.example/s", "Encounter", facts, value_sets=sets)
    with pytest.raises(Undecided, match="system"):
        whole.matches(encounter("finished"))


def test_criteria_may_ask_for_a_value_set() -> None:
    """S-250."""
    criteria = QueryCriteria(current="class:in=http://vs.example/inpatient")
    trigger = compile_trigger(ResourceTrigger("Encounter", query=criteria), FhirVersion.R4, value_sets=VALUE_SETS)
    assert trigger.fires(created(encounter(**{"class": {"system": "urn:classes", "code": "IMP"}})), unreported)
    assert not trigger.fires(created(encounter(**{"class": {"system": "urn:classes", "code": "AMB"}})), unreported)
    with pytest.raises(Unprocessable, match="HUB_VALUESETS_DIR"):
        compile_trigger(ResourceTrigger("Encounter", query=criteria), FhirVersion.R4)


def test_fhirpath_asks_the_same_value_sets() -> None:
    """S-274: memberOf() of a criterion and :in of a filter."""
    criterion = "Encounter.class.memberOf('http://vs.example/inpatient')"
    trigger = compile_trigger(ResourceTrigger("Encounter", fhirpath=criterion), FhirVersion.R4, value_sets=VALUE_SETS)
    assert trigger.fires(created(encounter(**{"class": {"system": "urn:classes", "code": "IMP"}})), unreported)
    assert not trigger.fires(created(encounter(**{"class": {"system": "urn:other", "code": "IMP"}})), unreported)
    with pytest.raises(Unprocessable):
        compile_trigger(ResourceTrigger("Encounter", fhirpath=criterion), FhirVersion.R4)


def test_an_unknown_value_set_is_refused_with_the_name_of_the_setting() -> None:
    for sets in (NO_VALUE_SETS, VALUE_SETS):
        topic = compile_topic(ADULTS, FhirVersion.R4, value_sets=sets)
        with pytest.raises(Unprocessable, match="HUB_VALUESETS_DIR"):
            compile_filters((FilterBy("class", "http://vs.example/unknown", modifier="in"),), topic)
