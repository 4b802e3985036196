"""Which hosts answer, kept on a real Redis."""

from __future__ import annotations

import pytest

from hub.store import hosts as hosts_module
from hub.store.client import Store
from hub.store.hosts import Hosts


async def test_hosts_come_and_go(store: Store) -> None:
    hosts = Hosts(store)
    await hosts.note({"a": True, "b": True, "c": False})
    assert sorted(await hosts.proven()) == ["a", "b"]
    await hosts.note({"a": False})
    assert await hosts.proven() == ["b"]


async def test_no_more_are_kept_than_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "MOST_HOSTS", 3)
    hosts = Hosts(store)
    for name in "abcdef":
        await hosts.note({name: True})
    assert len(await hosts.proven()) <= 4
    assert "f" in await hosts.proven()
