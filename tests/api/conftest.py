"""One hub for most tests of this folder; a test that needs other settings or an empty store makes its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.api.harness import BASES, Api, RunningHub, running_hub
from tests.api.receiver import Inbox, Receiver, receiving


@pytest.fixture(scope="package")
async def api_redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Redis of this folder's own: other folders empty theirs."""
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="package")
async def running(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    async with running_hub(f"{api_redis_url}?db=1", tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
async def start_hub(api_redis_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[RunningHub]]]:
    """``await start_hub(setting=value)``: a hub of the test's own on an empty store."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> RunningHub:
            return await stack.enter_async_context(running_hub(f"{api_redis_url}?db=2", tmp_path, **settings))

        yield start


@pytest.fixture(params=BASES, ids=[base.value for base in BASES])
def base(request: pytest.FixtureRequest) -> FhirVersion:
    return FhirVersion(request.param)


@pytest.fixture
def api(running: RunningHub, base: FhirVersion) -> Api:
    return running.api(base)


@pytest.fixture(scope="package")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def inbox(receiver: Receiver) -> Inbox:
    return receiver.inbox()
