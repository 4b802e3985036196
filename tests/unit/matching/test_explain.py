"""Every decision of matching is told, and the named clause flips when its input does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.domain.change import EventCode, Interaction, Occasion, ResourceChange
from hub.domain.explanation import Finding, Verdict, decisive
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, EventTrigger, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.explain import explain_filters, explain_topic
from hub.matching.filters import NO_FILTERS, CompiledFilters, compile_filters
from hub.matching.topics import CompiledTopic, compile_topic
from tests.unit.matching.builders import (
    change,
    created,
    deleted,
    encounter,
    observation,
    quantity,
    unreported,
    updated,
)

URL = "http://topics.example/t"
FINISHED = QueryCriteria("status:not=finished", "status=finished", False, None, require_both=True)


def topic(*triggers: ResourceTrigger, **more: Any) -> CompiledTopic:
    allowed = (
        CanFilterBy("patient"),
        CanFilterBy("class", modifiers=frozenset({"not"})),
        CanFilterBy("length", comparators=frozenset({"gt"})),
        CanFilterBy("value-quantity", "Observation", comparators=frozenset({"gt"})),
    )
    written = SubscriptionTopic(URL, resource_triggers=triggers, can_filter_by=allowed, **more)
    return compile_topic(written, FhirVersion.R4)


def filters(of: CompiledTopic, *conditions: FilterBy) -> CompiledFilters:
    return compile_filters(conditions, of)


def because(finding: Finding) -> tuple[str, str]:
    found = decisive(finding)
    assert found is not None
    return found.subject, found.text


def leaves(finding: Finding) -> list[Finding]:
    return [leaf for part in finding.parts for leaf in leaves(part)] if finding.parts else [finding]


ENDS = topic(ResourceTrigger("Encounter", frozenset({Interaction.CREATE, Interaction.UPDATE}), FINISHED))
FIRES = updated(encounter("in-progress"), encounter("finished"))


def test_all_that_let_it_through_is_told() -> None:
    found = explain_topic(ENDS, FIRES)
    assert found.verdict is Verdict.YES and decisive(found) is None
    assert [(leaf.text, leaf.values, leaf.verdict) for leaf in leaves(found)] == [
        ("Encounter", ("Encounter",), Verdict.YES),
        ("create, update", ("update",), Verdict.YES),
        ("status:not=finished", ('"in-progress"',), Verdict.YES),
        ("status=finished", ('"finished"',), Verdict.YES),
    ]


@pytest.mark.parametrize(
    ("mutated", "subject", "text"),
    [
        (updated(observation(), observation()), "resource", "Encounter"),
        (deleted(encounter("finished")), "supportedInteraction", "create, update"),
        (updated(encounter("finished"), encounter("finished")), "queryCriteria.previous.clause[0]",
         "status:not=finished"),
        (updated(encounter("planned"), encounter("in-progress")), "queryCriteria.current.clause[0]", "status=finished"),
        (created(encounter("finished")), "queryCriteria.previous", "status:not=finished"),
    ],
)  # fmt: skip
def test_the_clause_whose_input_was_mutated_is_the_one_that_said_no(
    mutated: ResourceChange, subject: str, text: str
) -> None:
    found = explain_topic(ENDS, mutated)
    assert found.verdict is Verdict.NO and not ENDS.fires(mutated, unreported)
    assert because(found) == (f"resourceTrigger[0].{subject}", text)


def test_a_side_whose_state_is_not_known_is_left_out() -> None:
    unknown = change(Interaction.UPDATE, encounter("finished"), previous_known=False)
    found = explain_topic(ENDS, unknown)
    assert found.verdict is Verdict.YES
    previous = found.parts[0].parts[2].parts[0]
    assert (previous.verdict, previous.reason) == (
        Verdict.LEFT_OUT, "the state is not known (nothing was held of it)"
    )  # fmt: skip


def test_of_several_triggers_the_one_that_came_furthest_is_named() -> None:
    both = topic(ResourceTrigger("Patient"), ResourceTrigger("Encounter", query=QueryCriteria(current="class=IMP")))
    assert because(explain_topic(both, FIRES)) == ("resourceTrigger[1].queryCriteria.current.clause[0]", "class=IMP")


BECAME = "(%previous.status = 'planned' or %previous.empty()) and %current.status = 'arrived'"


@pytest.mark.parametrize(
    ("mutated", "text", "values"),
    [
        (updated(encounter("planned"), encounter("in-progress")), "%current.status = 'arrived'", ("false",)),
        (updated(encounter("arrived"), encounter("arrived")), "%previous.status = 'planned'", ("false",)),
        (created(encounter("in-progress")), "%current.status = 'arrived'", ("false",)),
    ],
)
def test_of_a_fhirpath_criterion_the_condition_that_said_no_is_named(
    mutated: ResourceChange, text: str, values: tuple[str, ...]
) -> None:
    by_path = topic(ResourceTrigger("Encounter", fhirpath=BECAME))
    found = decisive(explain_topic(by_path, mutated))
    assert found is not None and (found.text, found.values) == (text, values)
    assert decisive(explain_topic(by_path, updated(encounter("planned"), encounter("arrived")))) is None


def test_what_a_condition_compares_is_told_with_its_value() -> None:
    by_path = topic(ResourceTrigger("Encounter", fhirpath="%current.status = 'arrived'"))
    criterion = explain_topic(by_path, created(encounter("planned"))).parts[0].parts[2]
    assert [(part.text, part.values, part.verdict) for part in criterion.parts] == [
        ("%current.status", ('"planned"',), Verdict.LEFT_OUT)
    ]


def test_what_cannot_be_evaluated_says_why() -> None:
    by_path = topic(ResourceTrigger("Encounter", fhirpath="%current.identifier.single().exists()"))
    two = encounter(identifier=[{"value": "1"}, {"value": "2"}])
    found = explain_topic(by_path, created(two))
    assert found.verdict is Verdict.FAILED and found.reason
    assert decisive(found) is not None


def test_an_event_trigger_tells_its_codings() -> None:
    told = topic(event_triggers=(EventTrigger("Encounter", (EventCode("s", "A01"),)),))
    other = replace(change(Interaction.EVENT, encounter()), occasion=Occasion(codes=(EventCode("s", "A02"),)))
    found = decisive(explain_topic(told, other))
    assert found is not None and (found.text, found.values) == ("s|A01", ('"s|A02"',))


CONDITIONS = (FilterBy("patient", "Patient/1"), FilterBy("class", "IMP,ACUTE"))
PATIENT_1 = {"subject": {"reference": "Patient/1"}}


@pytest.mark.parametrize(
    ("focus", "text"),
    [
        (encounter(**PATIENT_1, **{"class": {"code": "IMP"}}), None),
        (encounter(subject={"reference": "Patient/2"}, **{"class": {"code": "IMP"}}), "patient=Patient/1"),
        (encounter(**PATIENT_1, **{"class": {"code": "AMB"}}), "class=IMP,ACUTE"),
        (encounter(**PATIENT_1), "class=IMP,ACUTE"),
    ],
)
def test_the_filter_that_said_no_is_named_with_what_it_looked_at(focus: dict[str, Any], text: str | None) -> None:
    compiled = filters(ENDS, *CONDITIONS)
    found = explain_filters(compiled, created(focus))
    assert (found.verdict is Verdict.YES) is compiled.match("Encounter", focus) is (text is None)
    if text is not None:
        assert because(found)[1] == text


def test_without_filters_everything_passes() -> None:
    assert explain_filters(NO_FILTERS, FIRES).verdict is Verdict.YES


def test_a_type_that_no_filter_names_is_said_so() -> None:
    both = topic(ResourceTrigger("Encounter"), ResourceTrigger("Observation"))
    compiled = filters(both, FilterBy("class", "IMP", "Encounter"))
    found = explain_filters(compiled, created(observation()))
    assert (found.verdict, found.values, found.reason) == (
        Verdict.NO, ("Observation",), "it is told of Encounter only"
    )  # fmt: skip


def test_numbers_keep_their_digits() -> None:
    labs = topic(ResourceTrigger("Observation"))
    compiled = filters(labs, FilterBy("value-quantity", "7", comparator="gt"))
    found = explain_filters(compiled, created(observation(valueQuantity=quantity("6.30"))))
    assert decisive(found) is not None
    assert decisive(found).values == ('{"value":6.30}',)  # type: ignore[union-attr]


def test_many_and_long_values_are_cut() -> None:
    compiled = filters(ENDS, FilterBy("patient", "Patient/1"))
    long = encounter(subject={"reference": "Patient/2", "display": "x" * 500})
    (value,) = explain_filters(compiled, created(long)).parts[0].values
    assert len(value) == 120 and value.endswith("…")
