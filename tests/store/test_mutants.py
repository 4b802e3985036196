"""Every guard of ``guards/table.py`` does its work, and nothing else does it: without it the same scenario breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.store.client import Store
from hub.store.confirmation import READING_SCRIPTS
from hub.store.keys import Layout
from hub.store.scripts import DIGESTS, SCRIPTS
from tests.servers import Server, replicas_online, replicated
from tests.store.factories import Lab
from tests.store.guards.mutation import Broken, Edit, Guard
from tests.store.guards.table import CONFIRMING, GUARDS


@asynccontextmanager
async def empty_lab(redis_url: str) -> AsyncIterator[Lab]:
    """Connections of its own, so that an emptied store is not taken for one that went backwards."""
    store = Store(redis_url, Layout(partitions=1, shards=1))
    try:
        await store.send(("FLUSHALL",))
        yield Lab(store)
    finally:
        await store.close()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
async def test_a_guard_holds_and_its_mutant_is_found(
    guard: Guard, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with empty_lab(redis_url) as lab:
        await guard.scenario(lab)
    for mutate in guard.mutations:
        mutate(monkeypatch)
    async with empty_lab(redis_url) as lab:
        with pytest.raises(Broken):
            await guard.scenario(lab)


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Server]]:
    async with replicated(Path(tmp_path_factory.mktemp("confirming")), min_replicas_to_write="0") as servers:
        yield servers


async def _empty(servers: list[Server]) -> None:
    await servers[0].until(replicas_online(1))
    await servers[0].say("FLUSHALL")


@pytest.mark.parametrize("guard", CONFIRMING, ids=lambda guard: guard.name)
async def test_a_guard_of_confirmation_holds_and_its_mutant_is_found(
    guard: Guard, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _empty(servers)
    await guard.scenario(servers)
    await _empty(servers)
    for mutate in guard.mutations:
        mutate(monkeypatch)
    with pytest.raises(Broken):
        await guard.scenario(servers)


def test_every_guard_has_a_name_of_its_own() -> None:
    assert len({guard.name for guard in (*GUARDS, *CONFIRMING)}) == len(GUARDS) + len(CONFIRMING)


def test_every_script_that_writes_has_a_guard() -> None:
    edits = [mutate for guard in GUARDS for mutate in guard.mutations if isinstance(mutate, Edit)]
    reading = {name for name, digest in DIGESTS.items() if digest in READING_SCRIPTS}
    assert set(SCRIPTS) - reading <= {edit.script for edit in edits}
