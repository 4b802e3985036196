"""A Redis of this folder's own, and hubs that are really listened to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.sockets.harness import BASES, Served, serving


@pytest.fixture(scope="package")
async def sockets_redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="package")
async def served(sockets_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(f"{sockets_redis_url}?db=1", tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
async def serve(sockets_redis_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """``await serve(setting=value)``: a hub of the test's own; the first begins with an empty store, others join it."""
    async with AsyncExitStack() as stack:
        started = 0

        async def start(**settings: Any) -> Served:
            nonlocal started
            started += 1
            url, folder = f"{sockets_redis_url}?db=2", tmp_path / f"hub-{started}"
            return await stack.enter_async_context(serving(url, folder, fresh=started == 1, **settings))

        yield start


@pytest.fixture(params=BASES, ids=[base.value for base in BASES])
def base(request: pytest.FixtureRequest) -> FhirVersion:
    return FhirVersion(request.param)
