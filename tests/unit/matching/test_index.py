"""The index finds what looking at every Subscription finds, without looking at every Subscription."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hub.domain.change import Interaction, ResourceChange
from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching import filters as filters_module
from hub.matching.filters import CompiledFilters, compile_filters
from hub.matching.index import MatchIndex
from hub.matching.topics import CompiledTopic, compile_topic
from tests.unit.matching.builders import Faults, change, created, deleted, encounter, observation, unreported, updated

BASE = FhirVersion.R4
FILTERS = (
    CanFilterBy("patient"),
    CanFilterBy("class", "Encounter", modifiers=frozenset({"not", "missing"})),
    CanFilterBy("service-provider", "Encounter"),
    CanFilterBy("date", comparators=frozenset({"ge"})),
    CanFilterBy("_tag", "Resource"),
)
ANYTHING = SubscriptionTopic(
    "http://topics.example/anything", resource_triggers=(ResourceTrigger("Resource"),), can_filter_by=FILTERS
)
ENCOUNTERS = SubscriptionTopic(
    "http://topics.example/encounters",
    resource_triggers=(
        ResourceTrigger("Encounter", query=QueryCriteria(current="status=in-progress,finished")),
        ResourceTrigger("Encounter", frozenset({Interaction.DELETE})),
        ResourceTrigger("Observation", frozenset({Interaction.CREATE})),
    ),
    can_filter_by=FILTERS,
)
TOPICS = [compile_topic(topic, BASE) for topic in (ANYTHING, ENCOUNTERS)]


def name(identity: str, tenant: str = "default", base: FhirVersion = BASE) -> str:
    return str(SubscriptionKey(tenant, base, identity))


def matches_by_brute_force(
    members: dict[str, tuple[int, CompiledTopic, CompiledFilters]], announced: ResourceChange
) -> list[tuple[str, int]]:
    """The same decision without any index: the yardstick."""
    focus = announced.focus
    assert focus is not None
    return sorted(
        (key, version)
        for key, (version, topic, filters) in members.items()
        if topic.fires(announced, unreported) and filters.match(announced.key.type, focus)
    )


def some_filters(chance: random.Random) -> tuple[FilterBy, ...]:
    qualified = chance.choice(["", "", "Encounter", "Observation"])
    choices = [
        FilterBy("patient", f"Patient/{chance.randrange(6)}", resource_type=qualified),
        FilterBy("patient", f"{chance.randrange(6)},{chance.randrange(6)}"),
        FilterBy("class", chance.choice(["IMP", "AMB", "imp,|EMER"]), resource_type="Encounter"),
        FilterBy("class", "IMP", resource_type="Encounter", modifier="not"),
        FilterBy("class", "true", resource_type="Encounter", modifier="missing"),
        FilterBy("service-provider", f"Organization/{chance.randrange(3)}", resource_type="Encounter"),
        FilterBy("date", "2026-06", comparator="ge", resource_type=qualified),
        FilterBy("_tag", chance.choice(["x", "urn:t|x", "urn:t|", "|y"])),
        FilterBy("", "", resource_type=chance.choice(["Encounter", "Observation"])),
    ]
    return tuple(chance.sample(choices, chance.randrange(4)))


def some_state(chance: random.Random) -> dict[str, Any]:
    state: dict[str, Any] = {
        "subject": {"reference": chance.choice(["", "http://o.example/"]) + f"Patient/{chance.randrange(6)}"}
    }
    if chance.random() < 0.5:
        state["meta"] = {"tag": [{"system": "urn:t", "code": "x"}, {"code": "y"}][: chance.randrange(3)]}
    if chance.random() < 0.3:
        return observation(**state, effectiveDateTime=f"2026-{chance.randrange(1, 13):02}")
    state["serviceProvider"] = {"reference": f"Organization/{chance.randrange(3)}"}
    state["period"] = {"start": f"2026-{chance.randrange(1, 13):02}"}
    if chance.random() < 0.8:
        state["class"] = {"code": chance.choice(["IMP", "AMB", "EMER"])}
    return encounter(chance.choice(["planned", "in-progress", "finished"]), **state)


def some_change(chance: random.Random) -> ResourceChange:
    state = some_state(chance)
    match chance.randrange(3):
        case 0:
            return created(state)
        case 1:
            return deleted(state)
        case _:
            return updated(state | {"meta": {}}, state)


@pytest.mark.parametrize("seed", range(5))
def test_the_index_agrees_with_brute_force(seed: int) -> None:
    chance = random.Random(seed)
    index, members = MatchIndex(), {}
    for step in range(400):
        key = name(f"s{chance.randrange(120)}")
        if chance.random() < 0.6:
            topic = chance.choice(TOPICS)
            filters = compile_filters(some_filters(chance), topic)
            members[key] = (step, topic, filters)
            index.add(key, step, topic, filters)
        elif chance.random() < 0.3:
            members.pop(key, None)
            index.remove(key)
        announced = some_change(chance)
        assert index.match(announced, unreported) == matches_by_brute_force(members, announced)
    assert len(index) == len(members)
    for key in members:
        index.remove(key)
    assert len(index) == 0
    assert index._by_occasion == {}


def judged_with(subscriptions: int, monkeypatch: pytest.MonkeyPatch) -> int:
    index, topic, judged = MatchIndex(), TOPICS[1], []
    for number in range(subscriptions):
        filters = compile_filters(
            (
                FilterBy("class", "IMP", resource_type="Encounter"),
                FilterBy("service-provider", "Organization/1", resource_type="Encounter"),
                FilterBy("patient", f"Patient/{number}", resource_type="Encounter"),
            ),
            topic,
        )
        index.add(name(str(number)), 1, topic, filters)
    admitted = encounter(
        subject={"reference": "Patient/7"},
        serviceProvider={"reference": "Organization/1"},
        **{"class": {"code": "IMP"}},
    )
    match = CompiledFilters.match
    with monkeypatch.context() as patch:
        patch.setattr(CompiledFilters, "match", lambda *told: judged.append(told) or match(*told))
        assert index.match(created(admitted), unreported) == [(name("7"), 1)]
    return len(judged)


def test_the_cost_of_a_change_does_not_grow_with_subscriptions_that_do_not_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert judged_with(10, monkeypatch) == judged_with(10_000, monkeypatch) == 1


def test_one_event_for_each_change_and_subscription() -> None:
    index = MatchIndex()
    index.add(name("a"), 3, TOPICS[1], compile_filters((FilterBy("patient", "1,Patient/1"),), TOPICS[1]))
    gone = deleted(encounter("finished", subject={"reference": "Patient/1"}))
    assert index.match(gone, unreported) == [(name("a"), 3)]


def test_results_are_sorted_by_key_in_byte_order() -> None:
    index, names = MatchIndex(), ["z", "a", "Z", "é", "10", "9", "\U0001f600", "\uff5e"]
    for identity in names:
        index.add(name(identity), 1, TOPICS[0], filters_module.NO_FILTERS)
    found = [key for key, _ in index.match(created(encounter()), unreported)]
    assert found == sorted(map(name, names), key=str.encode)


def test_a_new_definition_replaces_the_old_one() -> None:
    index = MatchIndex()
    for version, patient in ((1, "Patient/1"), (2, "Patient/2")):
        index.add(name("a"), version, TOPICS[0], compile_filters((FilterBy("patient", patient),), TOPICS[0]))
    assert index.match(created(encounter(subject={"reference": "Patient/1"})), unreported) == []
    assert index.match(created(encounter(subject={"reference": "Patient/2"})), unreported) == [(name("a"), 2)]


def test_a_subscription_hears_only_of_its_own_tenant_and_base() -> None:
    index = MatchIndex()
    index.add(name("a"), 1, TOPICS[0], filters_module.NO_FILTERS)
    index.add(name("a", tenant="other"), 1, TOPICS[0], filters_module.NO_FILTERS)
    assert index.match(created(encounter()), unreported) == [(name("a"), 1)]
    assert index.match(created(encounter(), tenant="other"), unreported) == [(name("a", tenant="other"), 1)]
    assert index.match(created(encounter(), version=FhirVersion.R5), unreported) == []
    with pytest.raises(ValueError, match="another base"):
        index.add(name("b", base=FhirVersion.R5), 1, TOPICS[0], filters_module.NO_FILTERS)


def test_a_delete_whose_last_state_is_unknown_reaches_only_those_without_filters_and_is_reported() -> None:
    index, faults = MatchIndex(), Faults()
    index.add(name("all"), 1, TOPICS[0], filters_module.NO_FILTERS)
    index.add(name("one"), 1, TOPICS[0], compile_filters((FilterBy("patient", "Patient/1"),), TOPICS[0]))
    unknown = change(Interaction.DELETE, previous_known=False, resource_type="Encounter")
    assert index.match(unknown, faults) == [(name("all"), 1)]
    assert len(faults) == 1
    assert "not known" in faults[0].reason
