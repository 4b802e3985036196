"""A hub, a receiver, and one run of a tester for each base and content level; the checks look at what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.api.harness import BASES, Api, RunningHub, running_hub
from tests.api.receiver import Receiver, receiving
from tests.conformance.tester import CONTENTS, Run, heartbeat_run, run


@pytest.fixture(scope="package")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    async with running_hub(await server.start(), tmp_path_factory.mktemp("hub")) as hub:
        yield hub
    await server.stop()


@pytest.fixture(scope="package")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="package")
async def runs(running: RunningHub, receiver: Receiver) -> dict[tuple[FhirVersion, str], Run]:
    """Every run of the suite, by base and content level; ``heartbeat`` has a period, the others have none."""
    found = {}
    for base in BASES:
        for content in CONTENTS:
            found[base, content] = await run(running.api(base), receiver.inbox(), content)
    beating = await asyncio.gather(*(heartbeat_run(running.api(base), receiver.inbox()) for base in BASES))
    return found | {(base, "heartbeat"): each for base, each in zip(BASES, beating, strict=True)}


@pytest.fixture(params=BASES, ids=[base.value for base in BASES])
def base(request: pytest.FixtureRequest) -> FhirVersion:
    return FhirVersion(request.param)


@pytest.fixture
def api(running: RunningHub, base: FhirVersion) -> Api:
    return running.api(base)


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tried(runs: dict[tuple[FhirVersion, str], Run], base: FhirVersion, content: str) -> Run:
    """The run of one base at one content level."""
    return runs[base, content]
