"""Looking up what chains lead to, on a real store: once for a batch, and never too little (ruling 23)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.change import ChangeId, Interaction, ResourceChange
from hub.intake.chain_targets import ChainTargets
from hub.store.acceptance import Operation
from hub.store.changes import Changes
from hub.store.client import Store
from tests.store.factories import PARTITION, offer, resource_key


class Wanted:
    """Who asks for these references, by the id of the change; ``later`` is asked for from the second look on."""

    def __init__(self, references: dict[str, set[str]], later: dict[str, set[str]] | None = None) -> None:
        self._references = references
        self._later = later or {}
        self._looks = 0

    def references(self, change: ResourceChange) -> frozenset[str]:
        self._looks += 1
        more = self._later.get(change.key.id, set()) if self._looks > 1 else set()
        return frozenset(self._references.get(change.key.id, set()) | more)


def visit(identity: str) -> ResourceChange:
    return ResourceChange(ChangeId(1, 0), resource_key(f"Encounter/{identity}"), Interaction.CREATE, {}, None)


@pytest.fixture
async def changes(store: Store) -> Changes:
    changes = Changes(store, most_waiting=100)
    bodies = [f'{{"resourceType":"Patient","id":"{n}","gender":"female"}}'.encode() for n in (1, 2)]
    await changes.accept(PARTITION, [offer(f"Patient/{n}", body=body) for n, body in zip((1, 2), bodies, strict=True)])
    await changes.accept(PARTITION, [offer("Patient/2", Operation.DELETE)])
    return changes


async def completed(changes: Changes, store: Store, wanted: Wanted, *ids: str) -> list[dict[str, Any]]:
    found = await ChainTargets(changes, store.layout, wanted).completed([visit(identity) for identity in ids])
    return [dict(change.targets) for change in found]


async def test_the_present_state_is_found_and_what_is_gone_or_never_came_is_not_held(
    changes: Changes, store: Store
) -> None:
    wanted = Wanted({"a": {"Patient/1", "Patient/2", "Patient/3"}})
    (targets,) = await completed(changes, store, wanted, "a")
    assert targets.keys() == {"Patient/1", "Patient/2", "Patient/3"}
    assert targets["Patient/1"]["gender"] == "female"
    assert targets["Patient/2"] is None and targets["Patient/3"] is None


async def test_a_batch_is_one_question_to_the_store(
    changes: Changes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    send = store.send

    async def counted(*commands: Any) -> Any:
        asked.append(len(commands))
        return await send(*commands)

    monkeypatch.setattr(store, "send", counted)
    wanted = Wanted({"a": {"Patient/1"}, "b": {"Patient/1", "Patient/2"}})
    assert [targets.keys() for targets in await completed(changes, store, wanted, "a", "b", "c")] == [
        {"Patient/1"},
        {"Patient/1", "Patient/2"},
        set(),
    ]
    assert asked == [2], "each resource once, all of them together"
    asked.clear()
    await completed(changes, store, Wanted({}), "a", "b")
    assert asked == []


async def test_what_somebody_asks_for_meanwhile_is_looked_up_too(changes: Changes, store: Store) -> None:
    wanted = Wanted({"a": {"Patient/3"}}, later={"a": {"Patient/1"}})
    (targets,) = await completed(changes, store, wanted, "a")
    assert targets.keys() == {"Patient/1", "Patient/3"}
