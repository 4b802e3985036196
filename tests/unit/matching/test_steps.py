"""Matching in steps: others have their turn in between, and may change the index; and why changes were no events."""

from __future__ import annotations

from collections import Counter

from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.filters import NO_FILTERS, compile_filters
from hub.matching.index import JUDGED_IN_ONE_STEP, MatchIndex
from hub.matching.report import Fault, NotAnEvent, Tally
from hub.matching.topics import CompiledTopic, compile_topic
from tests.unit.matching.builders import created, encounter, observation, unreported


def topic(*triggers: ResourceTrigger) -> CompiledTopic:
    allowed = (CanFilterBy("class", modifiers=frozenset({"not"})), CanFilterBy("subject:Patient.gender"),
               CanFilterBy("subject.gender"))  # fmt: skip
    return compile_topic(
        SubscriptionTopic("http://topics.example/t", resource_triggers=triggers, can_filter_by=allowed), FhirVersion.R4
    )


EVERY = topic(ResourceTrigger("Encounter"))
CHANGE = created(encounter(**{"class": {"code": "AMB"}}))


def name(number: int) -> str:
    return f"default|r4|{number:05}"


def index_of(count: int, of: CompiledTopic = EVERY) -> MatchIndex:
    """Each is judged every time, with a filter of its own."""
    index = MatchIndex()
    for number in range(count):
        filters = (FilterBy("class", f"code-{number}", modifier="not"),)
        index.add(name(number), 1, of, compile_filters(filters, of))
    return index


def steps_of(index: MatchIndex) -> int:
    steps, count = index.matching(CHANGE, unreported, Counter()), 0
    for _ in steps:
        count += 1
    return count


def test_many_candidates_are_judged_in_as_many_steps() -> None:
    few, many = steps_of(index_of(JUDGED_IN_ONE_STEP - 1)), steps_of(index_of(JUDGED_IN_ONE_STEP * 50))
    assert (few, many) == (0, 50)


def test_every_trigger_that_does_not_fire_is_a_step() -> None:
    never = ResourceTrigger("Encounter", fhirpath="%current.status = 'never'")
    index = MatchIndex()
    index.add(name(1), 1, topic(*[never] * 20), NO_FILTERS)
    assert steps_of(index) == 20


def test_who_is_removed_between_two_steps_is_passed_over_and_who_changes_is_told_as_judged() -> None:
    index = index_of(JUDGED_IN_ONE_STEP * 3)
    steps = index.matching(CHANGE, unreported, Counter())
    next(steps)
    for number in range(JUDGED_IN_ONE_STEP * 3):
        if number % 2:
            index.remove(name(number))
        else:
            index.add(name(number), 2, EVERY, NO_FILTERS)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: list[tuple[str, int]] = end.value
    versions = Counter(version for _, version in found)
    assert versions[1] == JUDGED_IN_ONE_STEP - 1, (
        "as judged before: COMMIT finds them stale"
    )
    assert versions[1] + versions[2] < JUDGED_IN_ONE_STEP * 3
    assert found == sorted(found)


def test_it_is_counted_for_each_subscription_why_a_change_was_no_event() -> None:
    ambulatory, inpatient = ((FilterBy("class", code),) for code in ("AMB", "IMP"))
    undecided = (FilterBy("subject:Patient.gender", "male"),)
    index, tally = MatchIndex(), Tally()
    for number, filters in enumerate((ambulatory, inpatient, inpatient, undecided)):
        index.add(name(number), 1, EVERY, compile_filters(filters, EVERY))
    other = topic(ResourceTrigger("Encounter", fhirpath="%current.status = 'never'"))
    failing = topic(ResourceTrigger("Encounter", fhirpath="%current.identifier.single().exists()"))
    index.add(name(10), 1, other, NO_FILTERS)
    index.add(name(11), 1, failing, NO_FILTERS)
    faults: list[Fault] = []
    focus = encounter(
        identifier=[{"value": "1"}, {"value": "2"}], subject={"reference": "Patient/1"}, **{"class": {"code": "AMB"}}
    )
    for _ in index.matching(created(focus), faults.append, tally):
        pass
    assert dict(tally) == {
        NotAnEvent.FILTER_SAID_NO: 2,
        NotAnEvent.UNDECIDED: 1,
        NotAnEvent.NO_TRIGGER: 1,
        NotAnEvent.EVALUATION_FAILED: 1,
    }
    for _ in index.matching(created(observation()), faults.append, tally):
        pass
    assert tally.total() == 5, "a change of a type that no topic is about counts nowhere"
