"""The index beside two ways of doing without it, at random: each Subscription judged on its own, and `restated.py`.

    python -m tests.unit.matching.test_differential --cases 100000 [--first 0]

One case is one change among some dozens of Subscriptions, of which some come and go. A failure prints what to give to
the command to see it again.
"""

from __future__ import annotations

import argparse
import random
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from hub.domain.change import ResourceChange
from hub.domain.subscription import SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching import index, pieces, postings
from hub.matching.filters import CompiledFilters, compile_filters
from hub.matching.index import MatchIndex
from hub.matching.search import Surroundings
from hub.matching.topics import CompiledTopic, compile_topic
from tests.unit.matching.builders import Faults, created, deleted, updated
from tests.unit.matching.restated import (
    KINDS,
    OWN_BASE,
    Announced,
    Asked,
    Kind,
    passes,
    some_filters,
    some_state,
    some_topic,
    spoiled,
)
from tests.unit.matching.restated_further import ALLOWED, FACTS, FURTHER_KINDS, HELD, MOMENT, VALUE_SETS

TOPICS = 40
CASES_PER_WORLD = 25
SUBSCRIPTIONS = 40
MOVED_PER_CASE = 2
PARTS, CASES_PER_PART = 5, 1000

Matched = list[tuple[str, int]]


@dataclass(frozen=True)
class Member:
    """A Subscription as the index has it, and as it was meant."""

    version: int
    announced: Announced
    topic: CompiledTopic
    asked: tuple[Asked, ...]
    filters: CompiledFilters


@pytest.fixture(scope="module")
def topics() -> list[tuple[Announced, CompiledTopic]]:
    return random_topics()


def random_topics() -> list[tuple[Announced, CompiledTopic]]:
    """Compiled once for all cases."""
    chance = random.Random("topics")
    made = [some_topic(chance, number, ALLOWED) for number in range(TOPICS)]
    return [
        (
            each,
            compile_topic(each.topic, FhirVersion.R4, source_base_url=OWN_BASE, facts=FACTS, value_sets=VALUE_SETS),
        )
        for each in made
    ]


class World:
    """An index and what is in it."""

    def __init__(self, seed: int, topics: list[tuple[Announced, CompiledTopic]]) -> None:
        self.chance = random.Random(seed)
        self.topics = self.chance.sample(topics, 3)
        self.index = MatchIndex()
        self.members: dict[str, Member] = {}
        for _ in range(SUBSCRIPTIONS):
            self.move()

    def move(self) -> None:
        """One Subscription comes, changes, or goes."""
        key = str(SubscriptionKey("default", FhirVersion.R4, str(self.chance.randrange(2 * SUBSCRIPTIONS))))
        if key in self.members and self.chance.random() < 0.5:
            del self.members[key]
            self.index.remove(key)
            return
        (announced, topic), asked = self.chance.choice(self.topics), some_filters(self.chance, KINDS + FURTHER_KINDS)
        try:
            filters = compile_filters(tuple(each.filter_by for each in asked), topic)
        except Unprocessable:  # a type or a parameter that this topic does not have
            return
        version = self.chance.randrange(1, 1000)
        self.members[key] = Member(version, announced, topic, asked, filters)
        self.index.add(key, version, topic, filters)

    def some_change(self) -> tuple[ResourceChange, bool]:
        """With what the index asks to be looked up; and whether it is built as its types say."""
        change, sound = self._bare_change()
        targets = {reference: HELD.get(reference) for reference in self.index.references(change)}
        return replace(change, id=MOMENT, targets=targets), sound

    def _bare_change(self) -> tuple[ResourceChange, bool]:
        state, sound = some_state(self.chance), self.chance.random() < 0.9
        if not sound:
            state = spoiled(self.chance, state)
        match self.chance.randrange(3):
            case 0:
                return created(state), sound
            case 1:
                return updated({**some_state(self.chance), "resourceType": state["resourceType"]}, state), sound
            case _:
                return deleted(state), sound

    def judged_one_by_one(self, change: ResourceChange) -> tuple[Matched, bool]:
        """Without an index; and whether the only filter of anybody could not be judged."""
        focus, matched, failed = change.focus, [], False
        assert focus is not None
        for key, member in self.members.items():
            try:
                if member.topic.fires(change, Faults()) and member.filters.match(
                    change.key.type, focus, Surroundings.of(change)
                ):
                    matched.append((key, member.version))
            except FHIRPathEvaluationError:
                failed = failed or len(member.asked) == 1
        return sorted(matched), failed

    def restated(self, change: ResourceChange) -> Matched:
        return sorted(
            (key, member.version)
            for key, member in self.members.items()
            if member.announced.concerns(change) and passes(member.asked, dict(change.focus or {}))
        )


def check_world(seed: int, topics: list[tuple[Announced, CompiledTopic]]) -> int:
    """The cases of one world; how many matches they had."""
    world, matches = World(seed, topics), 0
    for step in range(CASES_PER_WORLD):
        case = f"case {seed * CASES_PER_WORLD + step}: --first {seed * CASES_PER_WORLD} --cases {CASES_PER_WORLD}"
        for _ in range(MOVED_PER_CASE):
            world.move()
        change, sound = world.some_change()
        faults = Faults()
        found = world.index.match(change, faults)
        expected, failed = world.judged_one_by_one(change)
        assert found == expected, (case, change)
        assert faults or not failed, (case, change, "a filter that could not be judged was not told")
        if sound:
            assert found == world.restated(change), (case, change)
            assert all("not held here" in fault.reason for fault in faults), (case, faults)
        matches += len(found)
    for key in world.members:
        world.index.remove(key)
    assert world.index._by_occasion == {} == world.index._forms, f"seed {seed} leaves something behind"
    assert world.index._chains._steps == {} == world.index._chains._by_key, f"seed {seed} leaves a chain behind"
    return matches


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS + FURTHER_KINDS))
def test_each_kind_of_filter_takes_part(kind: Kind, topics: list[tuple[Announced, CompiledTopic]]) -> None:
    """A filter that every topic refuses would be compared with nothing."""
    everything, taken = next(topic for _, topic in topics if len(topic.focus_types) > 3), 0
    for seed in range(20):
        with suppress(Unprocessable):  # of a type that lacks the parameter
            taken += bool(compile_filters((kind(random.Random(seed)).filter_by,), everything).written)
    assert taken


@pytest.mark.parametrize("part", range(PARTS))
def test_the_index_finds_what_judging_each_one_finds(part: int, topics: list[tuple[Announced, CompiledTopic]]) -> None:
    worlds = CASES_PER_PART // CASES_PER_WORLD
    matches = sum(check_world(seed, topics) for seed in range(part * worlds, (part + 1) * worlds))
    assert matches > CASES_PER_PART  # the cases are not about nothing


def test_small_pieces_make_no_difference(
    topics: list[tuple[Announced, CompiledTopic]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dictionaries of these small indexes would never be divided otherwise."""
    for module in (pieces, postings, index):
        monkeypatch.setattr(module, "MOST_IN_ONE", 3)
    assert sum(check_world(seed, topics) for seed in range(10_000, 10_010)) > 10 * CASES_PER_WORLD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first case, in steps of a world")
    wanted = parser.parse_args()
    topics, matches = random_topics(), 0
    first, last = wanted.first // CASES_PER_WORLD, (wanted.first + wanted.cases - 1) // CASES_PER_WORLD
    for seed in range(first, last + 1):
        matches += check_world(seed, topics)
    print(f"{(last + 1 - first) * CASES_PER_WORLD:,} cases, {matches:,} matches, no difference")


if __name__ == "__main__":
    main()
