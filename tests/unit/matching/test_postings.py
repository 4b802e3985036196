"""Places with names, and places in order, beside the plain structures that they stand for."""

from __future__ import annotations

import random

from hub.matching.postings import MOST_IN_A_BLOCK, MOST_IN_A_TUPLE, Postings, SortedPlaces


def test_sorted_places_hold_what_a_sorted_list_holds() -> None:
    chance, places, plain = random.Random(1), SortedPlaces(), set()
    for _ in range(6 * MOST_IN_A_BLOCK):
        place = chance.randrange(-(10**6), 10**6)
        if place not in plain:
            plain.add(place)
            places.add(place)
    for round_ in range(40):
        first, last = sorted(chance.randrange(-(10**6), 10**6) for _ in range(2))
        assert list(places.between(first, last)) == sorted(each for each in plain if first <= each <= last)
        for gone in chance.sample(sorted(plain), min(len(plain), 200 if round_ < 39 else len(plain))):
            plain.remove(gone)
            places.remove(gone)
    assert list(places.between(-(10**6), 10**6)) == []
    places.add(5)
    assert list(places.between(5, 5)) == [5]


def test_a_place_is_told_as_new_once_and_as_gone_once() -> None:
    postings = Postings()
    names = [f"s{number}" for number in range(3 * MOST_IN_A_TUPLE)]
    assert [postings.add(7, name) for name in names] == [True] + [False] * (len(names) - 1)
    assert postings.add(7, names[0]) is False
    assert sorted(postings.at(7)) == sorted(names)
    assert [postings.discard(7, name) for name in names] == [False] * (len(names) - 1) + [True]
    assert not postings and list(postings.at(7)) == []


def test_few_and_many_at_a_place_come_and_go_alike() -> None:
    chance, postings = random.Random(2), Postings()
    plain: dict[int, set[str]] = {place: set() for place in range(5)}
    for _ in range(3000):
        place, name = chance.randrange(5), f"s{chance.randrange(3 * MOST_IN_A_TUPLE)}"
        if chance.random() < 0.5:
            assert postings.add(place, name) is (not plain[place])
            plain[place].add(name)
        else:
            was_last = plain[place] == {name}
            plain[place].discard(name)
            assert postings.discard(place, name) is was_last
        assert set(postings.at(place)) == plain[place]
