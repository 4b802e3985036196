"""Classic criteria stand in the index like any filter (S-011)."""

from __future__ import annotations

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.matching.classic import compile_criteria
from hub.matching.index import MatchIndex
from tests.unit.matching.builders import created, deleted, encounter, observation, unreported, updated


def index_with(*criteria: str) -> MatchIndex:
    index = MatchIndex()
    for number, text in enumerate(criteria):
        index.add(f"default|r4|{number}", 1, *compile_criteria(text, FhirVersion.R4))
    return index


def found(index: MatchIndex, change: object) -> list[str]:
    return [key.rpartition("|")[2] for key, _ in index.match(change, unreported)]  # type: ignore[arg-type]


def test_a_create_and_an_update_that_match_fire_and_a_delete_does_not() -> None:
    index = index_with("Encounter?status=finished")
    assert found(index, created(encounter("finished"))) == ["0"]
    assert found(index, updated(encounter("finished"), encounter("finished"))) == ["0"]
    assert found(index, updated(encounter("finished"), encounter("planned"))) == []
    assert found(index, deleted(encounter("finished"))) == []


def test_each_hears_of_its_own_type_and_its_own_values() -> None:
    index = index_with(
        "Encounter?", "Observation?", "/Observation?status=final,amended", "Observation?status:not=final"
    )
    assert found(index, created(encounter())) == ["0"]
    assert found(index, created(observation())) == ["1", "2"]
    assert found(index, created(observation(status="preliminary"))) == ["1", "3"]


@pytest.mark.parametrize(
    "criteria", ["Encunter?status=x", "Encounter?colour=blue", "Encounter?date=soon", "Resource?_id=1"]
)
def test_what_cannot_be_decided_is_refused_at_the_criteria(criteria: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        compile_criteria(criteria, FhirVersion.R4)
    assert {issue.expression for issue in refusal.value.issues} == {"Subscription.criteria"}
