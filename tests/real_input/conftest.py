"""A Redis of this folder's own, and a hub that a test starts with the settings it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.embedded import EmbeddedRedis
from tests.api.receiver import Receiver, receiving


@pytest.fixture(scope="package")
async def real_input_redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="package")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
