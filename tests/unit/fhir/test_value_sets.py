"""Which ValueSets are held, and what they contain (S-250)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.errors import Unprocessable
from hub.fhir.value_sets import NO_VALUE_SETS, HeldValueSets, hold, read_value_set

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LOCAL = "http://ehr.example/classes"


def value_set(name: str, version: str = "", **content: Any) -> dict[str, Any]:
    url = f"http://vs.example/{name}"
    versioned = {"version": version} if version else {}
    return {"resourceType": "ValueSet", "url": url, "status": "active", **versioned, **content}


def include(*codes: str, system: str = ACT, **further: Any) -> dict[str, Any]:
    concepts = {"concept": [{"code": code} for code in codes]} if codes else {}
    return {**({"system": system} if system else {}), **concepts, **further}


def composed(name: str, *includes: dict[str, Any], exclude: Any = (), version: str = "") -> dict[str, Any]:
    excluded = {"exclude": list(exclude)} if exclude else {}
    return value_set(name, version, compose={"include": list(includes), **excluded})


def held(*resources: dict[str, Any]) -> HeldValueSets:
    return hold(read_value_set(resource) for resource in resources)


def answers(value_sets: HeldValueSets, name: str, *codes: tuple[str | None, str]) -> list[bool | None]:
    return [value_sets.contains(f"http://vs.example/{name}", *code) for code in codes]


def test_listed_codes_are_members_in_their_system() -> None:
    sets = held(composed("a", include("IMP", "ACUTE"), include("x", system=LOCAL)))
    codes = [(ACT, "IMP"), (LOCAL, "x"), (ACT, "x"), (ACT, "imp"), ("", "IMP"), (None, "IMP"), (None, "y")]
    assert answers(sets, "a", *codes) == [True, True, False, False, False, True, False]


def test_a_whole_system_is_decided_only_where_the_system_is_said() -> None:
    sets = held(composed("a", include(), exclude=[include("AMB")]))
    codes = [(ACT, "IMP"), (ACT, "AMB"), (LOCAL, "IMP"), ("", "IMP"), (None, "IMP"), (None, "AMB")]
    assert answers(sets, "a", *codes) == [True, False, False, False, None, None]


def test_what_is_excluded_is_no_member() -> None:
    sets = held(composed("a", include("IMP", "AMB"), exclude=[include("AMB")]))
    assert answers(sets, "a", (ACT, "IMP"), (ACT, "AMB"), (None, "IMP"), (None, "AMB")) == [True, False, True, None]


def test_value_sets_may_be_made_of_others() -> None:
    """Within one include all that is named must hold."""
    others = {"valueSet": ["http://vs.example/a", "http://vs.example/b"]}
    sets = held(
        composed("a", include("IMP", "AMB")),
        composed("b", include("AMB", "EMER")),
        composed("both", include(system="", **others)),
        composed("either", *(include(system="", valueSet=[f"http://vs.example/{name}"]) for name in "ab")),
    )
    codes = [(ACT, "IMP"), (ACT, "AMB"), (ACT, "EMER"), (ACT, "x")]
    assert answers(sets, "both", *codes) == [False, True, False, False]
    assert answers(sets, "either", *codes) == [True, True, True, False]


def test_an_expansion_wins_over_the_compose() -> None:
    entries = [
        {"system": ACT, "code": "group", "abstract": True, "contains": [{"system": ACT, "code": "IMP"}]},
        {"system": LOCAL, "code": "x"},
    ]
    filtered = include(filter=[{"property": "concept", "op": "is-a", "value": "_Act"}])
    expansion = {"timestamp": "2026-11-20T00:00:00Z", "total": 3, "contains": entries}
    sets = held(composed("a", filtered) | {"expansion": expansion})
    codes = [(ACT, "IMP"), (ACT, "group"), (LOCAL, "x"), (None, "x"), ("", "x")]
    assert answers(sets, "a", *codes) == [True, False, True, True, False]


def test_a_canonical_without_version_means_the_newest() -> None:
    sets = held(
        composed("a", include("new"), version="1.10"),
        composed("a", include("old"), version="1.9"),
    )
    assert answers(sets, "a", (ACT, "new"), (ACT, "old")) == [True, False]
    assert answers(sets, "a|1.9", (ACT, "new"), (ACT, "old")) == [False, True]
    assert len(sets) == 2


def test_what_is_not_held_is_not_known() -> None:
    assert answers(NO_VALUE_SETS, "a", (ACT, "IMP")) == [None]
    assert not NO_VALUE_SETS.holds("http://vs.example/a")
    assert answers(held(composed("a", include("x"))), "a|2", (ACT, "x")) == [None]


IS_A = [{"property": "concept", "op": "is-a", "value": "x"}]


@pytest.mark.parametrize(
    ("resource", "where"),
    [
        (composed("a", include(filter=IS_A)), "compose.include[0].filter"),
        (composed("a", include("x"), exclude=[include(filter=IS_A)]), "compose.exclude[0].filter"),
        (composed("a", include(version="2026")), "compose.include[0].version"),
        (composed("a", include("x", system="")), "compose.include[0].system"),
        (composed("a", include(system="")), "compose.include[0]"),
        (value_set("a"), "compose"),
        (value_set("a", modifierExtension=[{"url": "http://x.example", "valueBoolean": True}]), "modifierExtension"),
        (value_set("a", expansion={"timestamp": "2026-11-20", "total": 2, "contains": [{"code": "x"}]}), "expansion"),
        (value_set("a", expansion={"timestamp": "2026-11-20", "offset": 100}), "expansion"),
        (composed("a", include() | {"concept": "x"}), "concept"),
        (composed("a", include() | {"concepts": [{"code": "x"}]}), "concepts"),
        (composed("a", include("x"), exclude=include("y")), "exclude"),
        (composed("a", include("x")) | {"url": "http://vs.example/a|1"}, "url"),
    ],
)
def test_what_only_a_terminology_server_could_tell_is_refused(resource: dict[str, Any], where: str) -> None:
    """Nothing is read as less, or as more, than it says."""
    with pytest.raises(Unprocessable) as refused:
        read_value_set(resource)
    assert any(where in issue.expression for issue in refused.value.issues), refused.value.issues
    assert all(issue.diagnostics for issue in refused.value.issues)


def test_an_expansion_that_says_it_is_not_complete_is_refused() -> None:
    unclosed = {"url": "http://hl7.org/fhir/StructureDefinition/valueset-unclosed", "valueBoolean": True}
    expansion = {"timestamp": "2026-11-20", "extension": [unclosed], "contains": [{"code": "x"}]}
    with pytest.raises(Unprocessable, match="not complete"):
        read_value_set(value_set("a", expansion=expansion))


def test_another_resource_is_no_value_set() -> None:
    with pytest.raises(Unprocessable, match="CodeSystem"):
        read_value_set({"resourceType": "CodeSystem"})


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([composed("a", include("x")), composed("a", include("y"))], "twice"),
        ([composed("a", include(system="", valueSet=["http://vs.example/b"]))], "not there"),
        (
            [
                composed("a", include(system="", valueSet=["http://vs.example/b"])),
                composed("b", include("x"), exclude=[include(system="", valueSet=["http://vs.example/a"])]),
            ],
            "of itself",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(resources: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        held(*resources)
