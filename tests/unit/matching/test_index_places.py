"""Where each kind of Subscription lies in the index, and that only those are judged that a change can concern."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.change import ResourceChange
from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.entries import filters_in, values_in, write_entry
from hub.matching.filters import CompiledFilters, compile_filters
from hub.matching.forms import FilterForm
from hub.matching.index import MatchIndex
from hub.matching.topics import compile_topic
from tests.unit.matching.builders import Faults, created, encounter, observation, quantity, unreported

BASE = FhirVersion.R4
ORDERED = frozenset({"gt", "ge", "lt", "le", "sa", "eb", "ne", "ap"})
TOPIC = compile_topic(
    SubscriptionTopic(
        "http://topics.example/everything",
        resource_triggers=(ResourceTrigger("Resource"),),
        can_filter_by=(
            CanFilterBy("patient"),
            CanFilterBy("_id"),
            CanFilterBy("code", "Observation", modifiers=frozenset({"not", "missing"})),
            CanFilterBy("category", "Observation"),
            CanFilterBy("value-string", "Observation", modifiers=frozenset({"contains"})),
            CanFilterBy("value-quantity", "Observation", comparators=ORDERED),
            CanFilterBy("date", comparators=ORDERED),
        ),
    ),
    BASE,
)
JUNE = {"effectiveDateTime": "2026-06-15"}
GLUCOSE = {"code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}}


def on_observations(parameter: str, value: str, **rest: str) -> FilterBy:
    return FilterBy(parameter, value, "Observation", **rest)


class Indexed:
    """An index, and a count of the filters that were judged by a match."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.index = MatchIndex()
        self.judged = 0
        match = CompiledFilters.match

        def counted(filters: CompiledFilters, *told: Any) -> bool:
            self.judged += 1
            return match(filters, *told)

        monkeypatch.setattr(CompiledFilters, "match", counted)

    def add(self, name: str, *filters: FilterBy, version: int = 1) -> None:
        self.index.add(key(name), version, TOPIC, compile_filters(filters, TOPIC))

    def concerned(self, change: ResourceChange, report: Any = unreported) -> list[str]:
        self.judged = 0
        return [found.rpartition("|")[2] for found, _ in self.index.match(change, report)]

    def observed(self, **elements: Any) -> list[str]:
        return self.concerned(created(observation(**elements)))


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> Indexed:
    return Indexed(monkeypatch)


def key(name: str) -> str:
    return str(SubscriptionKey("default", BASE, name))


def test_an_equality_is_looked_up(indexed: Indexed) -> None:
    for number in range(100):
        indexed.add(f"s{number}", on_observations("patient", f"Patient/{number}"))
    assert indexed.observed(subject={"reference": "Patient/42"}) == ["s42"] and indexed.judged == 1
    assert indexed.observed(subject={"reference": "Patient/100"}) == [] and indexed.judged == 0


def test_a_comma_list_lies_under_each_of_its_values_and_is_told_once(indexed: Indexed) -> None:
    indexed.add("s", on_observations("patient", "Patient/1,Patient/2,2"))
    indexed.add("other", on_observations("patient", "Patient/3"))
    for number in (1, 2):
        assert indexed.observed(subject={"reference": f"Patient/{number}"}) == ["s"] and indexed.judged == 1
    indexed.index.remove(key("s"))
    assert indexed.observed(subject={"reference": "Patient/2"}) == [] and indexed.judged == 0


def test_of_several_equalities_the_one_of_a_patient_finds(indexed: Indexed) -> None:
    for number in range(50):
        indexed.add(f"s{number}", on_observations("code", "4548-4"), on_observations("patient", f"Patient/{number}"))
    assert indexed.observed(**GLUCOSE, subject={"reference": "Patient/7"}) == ["s7"] and indexed.judged == 1


def test_of_equalities_of_one_kind_the_one_that_fewer_share_finds(indexed: Indexed) -> None:
    for number in range(50):
        indexed.add(f"s{number}", on_observations("category", "laboratory"), on_observations("code", f"c{number}"))
    laboratory = {"category": [{"coding": [{"code": "laboratory"}]}]}
    assert indexed.observed(**laboratory, code={"coding": [{"code": "c7"}]}) == ["s7"]
    assert indexed.judged <= 2  # the very first one had nothing to choose by


def test_many_that_share_a_value_are_all_found_and_their_filter_is_judged_once(indexed: Indexed) -> None:
    names = sorted(f"s{number}" for number in range(40))
    for name in names:
        indexed.add(name, on_observations("patient", "Patient/1"))
    assert indexed.observed(subject={"reference": "Patient/1"}) == names and indexed.judged == 1
    for name in names[1:]:
        indexed.index.remove(key(name))
    assert indexed.observed(subject={"reference": "Patient/1"}) == names[:1]


def test_a_negation_is_judged_every_time(indexed: Indexed) -> None:
    indexed.add("s", on_observations("code", "4548-4", modifier="not"))
    assert indexed.observed() == ["s"] and indexed.judged == 1
    assert indexed.observed(**GLUCOSE) == [] and indexed.judged == 1
    assert indexed.concerned(created(encounter())) == [] and indexed.judged == 0


def test_what_is_judged_every_time_is_not_compiled_every_time(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        indexed.add(f"s{number}", on_observations("code", f"c{number}", modifier="not"))
    assert len(indexed.observed()) == 20
    monkeypatch.setattr(FilterForm, "filled", lambda *told: pytest.fail("compiled again"))
    assert len(indexed.observed()) == 20


def test_a_negation_beside_an_equality_is_looked_up(indexed: Indexed) -> None:
    indexed.add("s", on_observations("code", "4548-4", modifier="not"), on_observations("patient", "Patient/1"))
    assert indexed.observed(subject={"reference": "Patient/2"}) == [] and indexed.judged == 0
    assert indexed.observed(subject={"reference": "Patient/1"}) == ["s"]


def test_absence_and_text_are_judged_every_time(indexed: Indexed) -> None:
    indexed.add("absent", on_observations("code", "true", modifier="missing"))
    indexed.add("text", on_observations("value-string", "gluc", modifier="contains"))
    assert indexed.observed(valueString="Glucose") == ["absent", "text"] and indexed.judged == 2


def test_one_without_filters_is_told_of_every_event_and_never_judged(indexed: Indexed) -> None:
    indexed.add("s")
    assert indexed.observed() == ["s"] and indexed.concerned(created(encounter())) == ["s"] and indexed.judged == 0
    indexed.index.remove(key("s"))
    assert indexed.observed() == []


def test_a_filter_that_names_a_type_only_is_no_condition_but_the_type(indexed: Indexed) -> None:
    indexed.add("s", FilterBy("", "", "Encounter"))
    assert indexed.concerned(created(encounter())) == ["s"] and indexed.observed() == []


def test_a_filter_on_every_type_is_filed_once(indexed: Indexed) -> None:
    indexed.add("s", FilterBy("_id", "1"))
    (entry,) = indexed.index._entries.values()
    assert len(entry) < 100
    assert indexed.observed() == ["s"] and indexed.concerned(created(encounter())) == ["s"]
    assert indexed.concerned(created({"resourceType": "Basic", "id": "2"})) == []


def test_filters_of_several_types_are_looked_up_by_the_type_of_the_focus(indexed: Indexed) -> None:
    indexed.add("s", on_observations("patient", "Patient/1"), FilterBy("patient", "Patient/2", "Encounter"))
    for resource, patients in ((observation, [1]), (encounter, [2])):
        for number in (1, 2):
            found = indexed.concerned(created(resource(subject={"reference": f"Patient/{number}"})))
            assert found == (["s"] if number in patients else [])


@pytest.mark.parametrize(
    ("comparator", "matching"),
    [
        ("gt", range(54)), ("ge", range(55)), ("lt", range(55, 100)), ("le", range(54, 100)),
        ("sa", range(54)), ("eb", range(55, 100)), ("eq", [54]), ("", [54]), ("ap", range(50, 61)),
    ],
)  # fmt: skip
def test_a_comparison_is_found_in_order(indexed: Indexed, comparator: str, matching: Any) -> None:
    """Limits 0.0, 0.1 … 9.9; the value is 5.4 (ap: ten per cent of what was asked)."""
    for number in range(100):
        limit = on_observations("value-quantity", str(Decimal(number).scaleb(-1)), comparator=comparator)
        indexed.add(f"{number:02}", limit)
    assert indexed.observed(valueQuantity=quantity("5.4")) == [f"{number:02}" for number in matching]
    assert indexed.judged <= 2 * len(matching) + 3


def test_a_comparison_that_cannot_hold_is_not_judged(indexed: Indexed) -> None:
    for number in range(1000):
        indexed.add(f"s{number}", on_observations("value-quantity", f"{100 + number}", comparator="gt"))
    assert indexed.observed(valueQuantity=quantity("100")) == [] and indexed.judged == 0
    assert indexed.observed(valueQuantity=quantity("100.0000001")) == ["s0"]
    assert indexed.observed() == [] and indexed.judged == 0


def test_a_comparison_is_looked_up_by_the_unit_that_it_asks_for(indexed: Indexed) -> None:
    indexed.add("any", on_observations("value-quantity", "5", comparator="gt"))
    indexed.add("mg", on_observations("value-quantity", "5||mg", comparator="gt"))
    indexed.add("ucum", on_observations("value-quantity", "5|http://unitsofmeasure.org|mg", comparator="gt"))
    assert indexed.observed(valueQuantity=quantity("6")) == ["any"] and indexed.judged == 1
    assert indexed.observed(valueQuantity=quantity("6", unit="mg")) == ["any", "mg"] and indexed.judged == 2
    coded = quantity("6", unit="milligram", code="mg", system="http://unitsofmeasure.org")
    assert indexed.observed(valueQuantity=coded) == ["any", "mg", "ucum"]


def test_limits_on_both_sides_are_one_window(indexed: Indexed) -> None:
    for month in range(1, 12):
        first, next_one = f"2026-{month:02}", f"2026-{month + 1:02}"
        limits = (on_observations("date", first, comparator="ge"), on_observations("date", next_one, comparator="lt"))
        indexed.add(first, *limits)
    assert indexed.observed(**JUNE) == ["2026-06"] and indexed.judged <= 3


def test_limits_the_wrong_way_round_can_be_met_by_two_elements(indexed: Indexed) -> None:
    """Each filter is a condition of its own (S-096): another element may fulfil each."""
    topic = compile_topic(
        SubscriptionTopic(
            "http://topics.example/risks",
            resource_triggers=(ResourceTrigger("RiskAssessment"),),
            can_filter_by=(CanFilterBy("probability", comparators=ORDERED),),
        ),
        BASE,
    )
    limits = (FilterBy("probability", "0.8", comparator="gt"), FilterBy("probability", "0.2", comparator="lt"))
    indexed.index.add(key("s"), 1, topic, compile_filters(limits, topic))
    predictions = [{"probabilityDecimal": Decimal(each)} for each in ("0.9", "0.1")]
    risk = {"resourceType": "RiskAssessment", "id": "1", "prediction": predictions}
    assert indexed.concerned(created(risk)) == ["s"]
    assert indexed.concerned(created(risk | {"prediction": predictions[:1]})) == []


def test_a_comparison_beside_an_equality_is_looked_up_by_the_equality(indexed: Indexed) -> None:
    for number in range(20):
        limit = on_observations("value-quantity", "5", comparator="gt")
        indexed.add(f"s{number}", limit, on_observations("patient", f"Patient/{number}"))
    found = indexed.observed(valueQuantity=quantity("6"), subject={"reference": "Patient/3"})
    assert found == ["s3"] and indexed.judged == 1


def test_an_open_period_meets_every_limit_on_its_open_side(indexed: Indexed) -> None:
    for year in (1990, 2050, 9999):
        indexed.add(f"after {year}", FilterBy("date", str(year), "Encounter", comparator="gt"))
        indexed.add(f"before {year}", FilterBy("date", str(year), "Encounter", comparator="lt"))
    found = indexed.concerned(created(encounter(period={"start": "2026-01-01"})))
    assert found == ["after 1990", "after 2050", "after 9999", "before 2050", "before 9999"]


def test_a_period_that_ends_before_it_starts_is_judged_as_without_an_index(indexed: Indexed) -> None:
    comparators = ("eq", "ge", "le", "gt", "lt", "sa", "eb")
    backwards = encounter(period={"start": "2026-03-02", "end": "2026-02-27"})
    filters = {name: FilterBy("date", "2026-03", "Encounter", name) for name in comparators}
    for name, filter_by in filters.items():
        indexed.add(name, filter_by)
    alone = [
        name for name, each in sorted(filters.items()) if compile_filters((each,), TOPIC).match("Encounter", backwards)
    ]
    assert indexed.concerned(created(backwards)) == alone != []


@pytest.mark.parametrize("value", ["1e13", "-1e13", "1e-40", "-1e-40", "0.00000001", "123456789.123456789", "0"])
def test_no_size_and_no_precision_hides_a_comparison(indexed: Indexed, value: str) -> None:
    for comparator in ("ge", "le", "eq", "ap"):
        indexed.add(comparator, on_observations("value-quantity", value, comparator=comparator))
    assert indexed.observed(valueQuantity=quantity(value)) == ["ap", "eq", "ge", "le"]


def test_what_cannot_be_read_finds_nobody_and_is_told(indexed: Indexed) -> None:
    indexed.add("patient", on_observations("patient", "Patient/1"))
    indexed.add("date", FilterBy("date", "2026", "Encounter", comparator="gt"))
    faults = Faults()
    assert indexed.concerned(created(encounter(period={"start": 5})), faults) == []
    assert [fault.criterion for fault in faults] == ["date"] and indexed.judged == 0


def test_a_range_with_a_broken_end_is_compared_by_those_who_ask_for_no_unit_and_told_to_the_others(
    indexed: Indexed,
) -> None:
    topic = compile_topic(
        SubscriptionTopic(
            "http://topics.example/conditions",
            resource_triggers=(ResourceTrigger("Condition"),),
            can_filter_by=(CanFilterBy("onset-age", comparators=ORDERED),),
        ),
        BASE,
    )
    for name, value in (("any", "5"), ("years", "5||a")):
        filters = compile_filters((FilterBy("onset-age", value, comparator="gt"),), topic)
        indexed.index.add(key(name), 1, topic, filters)
    broken = {"resourceType": "Condition", "id": "1", "onsetRange": {"low": 5}}
    faults = Faults()
    assert indexed.concerned(created(broken), faults) == ["any"]
    assert [fault.criterion for fault in faults] == ["onset-age"]


def test_nothing_is_left_behind(indexed: Indexed) -> None:
    everything = [
        (),
        (FilterBy("", "", "Encounter"),),
        (FilterBy("patient", "1,2"),),
        (on_observations("code", "x", modifier="not"),),
        (FilterBy("date", "2026", comparator="ge"),),
        (FilterBy("date", "2026-01", comparator="ge"), FilterBy("date", "2026-02", comparator="lt")),
        (on_observations("value-quantity", "5,6||mg", comparator="lt"),),
    ]
    for number, filters in enumerate(everything):
        indexed.add(str(number), *filters)
    (group,) = indexed.index._groups.values()
    for number in range(len(everything)):
        indexed.index.remove(key(str(number)))
    shelf = group.shelf
    assert not any(
        (shelf._unfiltered, shelf._sources, shelf._by_type, shelf._by_extraction, shelf._every_time, shelf._lists)
    )
    assert not any((indexed.index._entries, indexed.index._forms, indexed.index._groups, indexed.index._by_occasion))


def test_the_filters_of_a_subscription_can_be_had_back(indexed: Indexed) -> None:
    filters = (FilterBy("patient", "Patient/1"), on_observations("code", "é,\U0001f600\ud800", modifier="not"))
    indexed.add("s", *filters)
    assert indexed.index.filters_of(key("s")) == filters and indexed.index.filters_of(key("t")) is None


def test_an_entry_keeps_any_text() -> None:
    values = ("", "a|b,c", "é\U0001f600\ud800", "x" * 70_000)
    entry = write_entry(3, [(1, -5), (2, 2**59)], 7, values)
    assert values_in(filters_in(entry), len(values)) == values


def test_the_garbage_collector_has_nothing_to_do_with_single_subscriptions(indexed: Indexed) -> None:
    """However many there are: what is kept of each is no container."""
    gc.collect()
    before = len(gc.get_objects())
    for number in range(2000):
        indexed.add(f"s{number}", on_observations("patient", f"Patient/{number}"))
        indexed.add(f"t{number}", on_observations("value-quantity", f"{number}", comparator="gt"))
        indexed.add(f"u{number}", on_observations("patient", f"Patient/of-ten-{number // 10}"))
    gc.collect()
    assert len(gc.get_objects()) - before < 500
