"""What every test may use: a real Redis, started once by the test session itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import Layout


@pytest.fixture(scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    yield await server.start()
    await server.stop()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """An empty store with one partition and one shard: every order of events can be foreseen."""
    store = Store(redis_url, Layout(partitions=1, shards=1))
    await store.send(("FLUSHALL",))
    await store.start(durability="local", accept_unverified=False)
    yield store
    await store.close()
