"""A dictionary in pieces beside a plain one, and UUIDs that take half of their room."""

from __future__ import annotations

import random
import uuid

import pytest

from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.entries import filters_in, values_in, write_entry
from hub.matching.filters import compile_filters
from hub.matching.index import MatchIndex
from hub.matching.pieces import MOST_IN_ONE, Pieces
from hub.matching.postings import Postings
from hub.matching.topics import compile_topic
from hub.matching.uuids import lengthened, shortened
from tests.unit.matching.builders import created, observation, quantity, unreported

BASE = FhirVersion.R4
TOPIC = compile_topic(
    SubscriptionTopic(
        "http://topics.example/results",
        resource_triggers=(ResourceTrigger("Observation"),),
        can_filter_by=(
            CanFilterBy("patient"),
            CanFilterBy("code", modifiers=frozenset({"not"})),
            CanFilterBy("value-quantity", comparators=frozenset({"gt"})),
        ),
    ),
    BASE,
)
MORE_THAN_ONE_HOLDS = MOST_IN_ONE + 100
KINDS = {
    "equality": lambda number: (FilterBy("patient", f"Patient/{number}"),),
    "comparison": lambda number: (FilterBy("value-quantity", f"{number}", comparator="gt"),),
    "negation": lambda number: (FilterBy("code", "x", modifier="not"),),
    "no filter": lambda number: (),
}


def key(number: int) -> str:
    return str(SubscriptionKey("default", BASE, f"s{number}"))


def sizes(pieces: Pieces[str, int] | Pieces[int, int]) -> list[int]:
    return [len(piece) for piece in pieces._pieces]


def test_pieces_hold_what_one_dictionary_holds() -> None:
    chance = random.Random(1)
    pieces: Pieces[str, int] = Pieces()
    plain: dict[str, int] = {}
    for number in range(6 * MOST_IN_ONE):
        name = f"s{chance.randrange(3 * MOST_IN_ONE)}"
        if chance.random() < 0.3:
            assert pieces.of(name).pop(name, None) == plain.pop(name, None)
        else:
            pieces.put(name, number)
            plain[name] = number
        assert pieces.get(name) == plain.get(name) and (name in pieces) is (name in plain)
    assert sorted(pieces) == sorted(plain) and sorted(pieces.values()) == sorted(plain.values())
    assert len(pieces) == len(plain) > MOST_IN_ONE and pieces
    for name in plain:
        del pieces.of(name)[name]
    assert not pieces and len(pieces) == 0 and list(pieces) == []


def test_few_entries_are_one_dictionary() -> None:
    pieces: Pieces[int, int] = Pieces()
    for number in range(MOST_IN_ONE - 1):
        pieces.put(number, number)
    assert len(sizes(pieces)) == 1
    pieces.put(MOST_IN_ONE, 0)
    assert len(sizes(pieces)) > 1 and len(pieces) == MOST_IN_ONE


@pytest.mark.parametrize("step", [1, 4, 2**8, 4 * 10**6, 86_400 * 4 * 10**6])
def test_pieces_have_their_shares_whatever_lies_between_places(step: int) -> None:
    """The largest share is twice the smallest, so that they do not grow at one moment."""
    pieces: Pieces[int, int] = Pieces()
    for number in range(4 * MOST_IN_ONE):
        pieces.put((number - MOST_IN_ONE) * step, number)
    smallest, largest = min(sizes(pieces)), max(sizes(pieces))
    assert 1.7 * smallest < largest < 2.3 * smallest and largest * 8 < len(pieces)


def test_postings_divide_and_lose_nothing() -> None:
    postings = Postings()
    for place in range(MORE_THAN_ONE_HOLDS):
        assert postings.add(place, f"s{place}")
    assert len(postings._few._pieces) > 1 and postings.places == MORE_THAN_ONE_HOLDS
    assert [next(iter(postings.at(place))) for place in range(MORE_THAN_ONE_HOLDS)] == [
        f"s{place}" for place in range(MORE_THAN_ONE_HOLDS)
    ]
    assert all(postings.discard(place, f"s{place}") for place in range(MORE_THAN_ONE_HOLDS))
    assert not postings and not postings._few


def test_very_many_at_one_place_are_in_pieces_too() -> None:
    postings, names = Postings(), [f"s{number}" for number in range(MORE_THAN_ONE_HOLDS)]
    assert [postings.add(7, name) for name in names].count(True) == 1
    many = postings._many[7]
    assert isinstance(many, Pieces) and len(many._pieces) > 1 and sorted(postings.at(7)) == sorted(names)
    assert postings.add(7, names[0]) is False and len(postings.at(7)) == len(names)
    assert [postings.discard(7, name) for name in names].count(True) == 1
    assert not postings and not postings._many


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_more_than_one_piece_finds_and_forgets(kind: str) -> None:
    """Whatever they filter by; the pieces are those of names, of places, or of those that share a place."""
    index, filters = MatchIndex(), KINDS[kind]
    for number in range(MORE_THAN_ONE_HOLDS):
        index.add(key(number), 1, TOPIC, compile_filters(filters(number), TOPIC))
    assert len(index) == MORE_THAN_ONE_HOLDS
    change = created(observation(subject={"reference": "Patient/7"}, valueQuantity=quantity("7.5")))
    everybody = sorted(key(number) for number in range(MORE_THAN_ONE_HOLDS))
    expected = {
        "equality": [key(7)],
        "comparison": sorted(key(number) for number in range(8)),
        "negation": everybody,
        "no filter": everybody,
    }
    assert [name for name, _ in index.match(change, unreported)] == expected[kind]
    for number in range(MORE_THAN_ONE_HOLDS):
        index.remove(key(number))
    assert not len(index) and not index._groups and index.match(change, unreported) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Patient/1",
        "Patient/6f1ed002-ab59-4d5c-8a3f-0a1b2c3d4e5f",
        "6f1ed002-ab59-4d5c-8a3f-0a1b2c3d4e5f,ffffffff-ffff-ffff-ffff-ffffffffffff,é\U0001f600\ud800",
        "6F1ED002-AB59-4D5C-8A3F-0A1B2C3D4E5F",
        "6f1ed002ab594d5c8a3f0a1b2c3d4e5f",
        "06f1ed002-ab59-4d5c-8a3f-0a1b2c3d4e5f0",
        "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a" * 3,
    ],
)
def test_uuids_come_back_as_they_were_written(text: str) -> None:
    written = text.encode("utf-8", "surrogatepass")
    assert lengthened(shortened(written)) == written


def test_any_uuid_may_stand_beside_any_other() -> None:
    chance = random.Random(3)
    for _ in range(300):
        spelled = [str(uuid.UUID(bytes=bytes(chance.choices(b"\xff\x00\n-,", k=16)))) for _ in range(3)]
        text = chance.choice(("", ",", "Patient/")).join(spelled).encode()
        assert lengthened(shortened(text)) == text


def test_a_list_of_patients_takes_half_of_its_room() -> None:
    patients = [f"Patient/{uuid.UUID(int=number)}" for number in range(10)]
    values = (",".join(patients), "Patient/1")
    filters = filters_in(write_entry(1, [(1, 2)], 7, values))
    assert values_in(filters, 2) == values and len(filters) < 10 * 26 + 30
