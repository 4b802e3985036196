"""Which written ValueSets of a base can be asked, and by which name (S-018, S-250)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.change import ChangeId
from hub.domain.subscription import Channel, FilterBy, Subscription
from hub.domain.versions import FhirVersion
from hub.fhir.value_sets import hold, read_value_set
from hub.intake import value_set_book
from hub.intake.held_value_sets import ValueSetUsers
from hub.intake.value_set_book import BaseValueSets, ValueSetBook, read_written

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VS = "http://vs.example/"


def resource(name: str, *codes: str, made_of: tuple[str, ...] = (), **elements: Any) -> dict[str, Any]:
    include: list[dict[str, Any]] = [{"valueSet": [VS + other]} for other in made_of]
    if codes:
        include.append({"system": ACT, "concept": [{"code": code} for code in codes]})
    return {
        "resourceType": "ValueSet", "url": VS + name, "status": "active", "compose": {"include": include}, **elements
    }  # fmt: skip


UNFIT = {
    "compose": {"include": [{"system": ACT, "filter": [{"property": "concept", "op": "is-a", "value": "_ActClass"}]}]}
}


class Base:
    """A base's ValueSets, written one after the other."""

    def __init__(self, *folder: dict[str, Any]) -> None:
        self.sets = BaseValueSets(hold(read_value_set(each) for each in folder))
        self._clock = 0

    def write(self, identity: str, body: dict[str, Any], at: int = 0) -> frozenset[str]:
        self._clock += 1
        written = read_written(identity, ChangeId(at or self._clock, 0), body)
        assert written is not None
        self.sets.put(written)
        return self.sets.settle()

    def delete(self, identity: str) -> frozenset[str]:
        self.sets.drop(identity)
        return self.sets.settle()

    def has(self, name: str, code: str) -> bool | None:
        return self.sets.contains(VS + name, ACT, code)

    def why_not(self, name: str) -> str:
        return self.sets.why_not(VS + name)


@pytest.fixture
def base() -> Base:
    return Base()


def test_it_is_told_whose_answer_appears_or_ceases(base: Base) -> None:
    """A change of what it contains concerns nobody who was compiled with it: they ask anew each time."""
    assert base.write("a", resource("a", "AMB", version="1")) == {VS + "a", VS + "a|1"}
    assert base.write("a", resource("a", "IMP", version="1")) == frozenset()
    assert (base.has("a", "AMB"), base.has("a|1", "IMP")) == (False, True)
    assert base.delete("a") == {VS + "a", VS + "a|1"}
    assert base.has("a", "IMP") is None and base.why_not("a") == ""


def test_the_newest_active_version_is_meant_and_no_older_one_stands_in_for_it(base: Base) -> None:
    base.write("a", resource("a", "AMB", version="1.9"))
    base.write("b", resource("a", "IMP", version="1.10"))
    base.write("c", resource("a", "VR", version="2", status="draft"))
    assert [base.has("a", code) for code in ("AMB", "IMP", "VR")] == [False, True, False]
    unfit = resource("a", version="1.10") | UNFIT
    assert base.write("b", unfit) == {VS + "a", VS + "a|1.10"}
    assert base.has("a", "AMB") is None and base.why_not("a").startswith("ValueSet/b: ")
    assert base.has("a|1.9", "AMB") is True


def test_two_that_say_different_things_under_one_name_are_not_asked(base: Base) -> None:
    """While they say the same, it does not matter which is meant."""
    base.write("a", resource("a", "AMB"))
    assert base.write("b", resource("a", "AMB")) == frozenset() and base.has("a", "AMB") is True
    assert base.write("b", resource("a", "IMP")) == {VS + "a"}
    assert base.has("a", "AMB") is None and "ValueSet/a" in base.why_not("a") and "ValueSet/b" in base.why_not("a")
    assert base.delete("a") == {VS + "a"} and base.has("a", "IMP") is True


def test_one_without_a_url_has_no_name() -> None:
    for url in ("", "http://vs.example/a|1", None):
        assert read_written("a", ChangeId(1, 0), resource("a", "AMB") | {"url": url}) is None


def test_one_made_of_others_comes_and_goes_with_them(base: Base) -> None:
    base.write("a", resource("a", made_of=("b",)))
    assert "vs.example/b" in base.why_not("a")
    assert base.write("b", resource("b", "AMB")) == {VS + "a", VS + "b"}
    assert base.has("a", "AMB") is True
    base.write("b", resource("b", "IMP"))
    assert (base.has("a", "AMB"), base.has("a", "IMP")) == (False, True)
    assert base.delete("b") == {VS + "a", VS + "b"}
    assert base.has("a", "IMP") is None


def test_circles_and_too_many_levels_or_parts_are_not_asked(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    base.write("a", resource("a", "AMB", made_of=("b",)))
    base.write("b", resource("b", "AMB", made_of=("a",)))
    assert base.why_not("a") and base.why_not("b")
    base.write("b", resource("b", "AMB"))
    assert base.has("a", "AMB") is True
    base.write("l0", resource("l0", "AMB"))
    for level in range(1, value_set_book.MOST_LEVELS + 1):
        base.write(f"l{level}", resource(f"l{level}", made_of=(f"l{level - 1}",)))
    assert base.has(f"l{value_set_book.MOST_LEVELS - 1}", "AMB") is True
    assert "levels" in base.why_not(f"l{value_set_book.MOST_LEVELS}")
    monkeypatch.setattr(value_set_book, "MOST_PARTS", 3)
    base.write("w", resource("w", made_of=("b", "b")))
    assert base.has("w", "AMB") is True
    base.write("w", resource("w", made_of=("b", "b", "b")))
    assert "the most is 3" in base.why_not("w")


def test_what_is_made_of_one_that_asks_a_server_says_so(base: Base) -> None:
    base.write("b", resource("b") | UNFIT)
    base.write("a", resource("a", made_of=("b",)))
    assert "terminology server" in base.why_not("a")


def test_the_folder_wins_by_its_canonical_and_its_url() -> None:
    base = Base(resource("a", "AMB", version="1"))
    base.write("a", resource("a", "IMP", version="1"))
    assert base.write("b", resource("a", "IMP", version="2")) == {VS + "a|2"}
    assert [base.has(name, "AMB") for name in ("a", "a|1", "a|2")] == [True, True, False]
    base.write("c", resource("c", made_of=("a",)))
    assert base.has("c", "AMB") is True
    base.write("b", resource("a", version="2") | UNFIT)
    assert base.has("a", "AMB") is True and base.why_not("a") == "" and base.why_not("a|2")


def test_one_that_is_too_large_is_not_asked(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_set_book, "MOST_CODES", 2)
    base.write("a", resource("a", "AMB", "IMP"))
    assert base.has("a", "AMB") is True
    base.write("a", resource("a", "AMB", "IMP", "VR"))
    assert "it lists 3 codes; 2 are the most" in base.why_not("a")


def test_what_was_written_last_is_left_out_when_the_base_is_full(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is to be read again when there is room: in whichever order a process learns of them, it comes to the same."""
    monkeypatch.setattr(value_set_book, "MOST_CODES_IN_ALL", 7)
    third, first, second = (("c", 30), ("a", 10), ("b", 20))
    for name, at in (third, first, second):
        base.write(name, resource(name, "AMB"), at)
    assert [base.has(name, "AMB") for name in "abc"] == [True, True, None]
    assert "fill what this base can hold" in base.why_not("c") and base.sets.to_read_again == []
    base.delete("a")
    assert base.sets.to_read_again == ["c"]
    assert base.write("c", resource("c", "AMB"), 30) == {VS + "c"} and base.sets.to_read_again == []
    assert [base.has(name, "AMB") for name in "bc"] == [True, True]


def test_each_base_has_its_own() -> None:
    book = ValueSetBook()
    one, other = book.of("default", FhirVersion.R4), book.of("default", FhirVersion.R5)
    written = read_written("a", ChangeId(1, 0), resource("a", "AMB"))
    assert written is not None
    one.put(written)
    one.settle()
    assert one is book.of("default", FhirVersion.R4)
    assert (one.holds(VS + "a"), other.holds(VS + "a")) == (True, False)
    assert list(book.names()) == ["default|r4|a"]


def asking(*filters: FilterBy, criteria: str = "") -> Subscription:
    return Subscription("" if criteria else "t", Channel("rest-hook", "http://x"), filters=filters, criteria=criteria)


def test_those_who_ask_a_value_set_are_found_by_its_name() -> None:
    users, home = ValueSetUsers(), ("default", FhirVersion.R4)
    users.note("default|r4|a", asking(FilterBy("class", f"{VS}a,{VS}b", modifier="in")))
    users.note("default|r4|b", asking(criteria=f"Encounter?class:not-in={VS}b"))
    users.note("default|r4|c", asking(FilterBy("class", f"{VS}a")))
    users.note("default|r4|d", asking(criteria="Encounter?class:in"))
    users.note("default|r5|a", asking(FilterBy("class", f"{VS}a", modifier="in")))
    assert users.of({home: frozenset({VS + "a"})}) == {"default|r4|a"}
    assert users.of({home: frozenset({VS + "b"})}) == {"default|r4|a", "default|r4|b"}
    users.note("default|r4|a", asking())
    users.forget("default|r4|b")
    users.forget("default|r4|unknown")
    assert users.of({home: frozenset({VS + "a", VS + "b"})}) == set()
