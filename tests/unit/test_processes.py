"""What becomes of the processes of HUB_WORKERS when one of them ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass, field

import pytest

from hub import processes
from hub.errors import Away
from hub.processes import UNFIT, Workers


@dataclass
class Child:
    """A process that ends by itself with this code; ``last``: when it is told to, which it is at once."""

    code: int
    last: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self) -> int:
        if self.last:
            os.kill(os.getpid(), signal.SIGTERM)
            await self.told.wait()
        return self.code

    def tell(self, number: signal.Signals) -> None:
        self.told.set()


class Scripted(Workers):
    def __init__(self, children: list[Child]) -> None:
        with socket.socket() as listener:
            super().__init__([], 1, listener, {})
        self.children = children

    async def _spawn(self) -> Child:  # type: ignore[override]
        return self.children.pop(0)


async def test_a_process_whose_redis_was_away_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSE_SECONDS", 0)
    workers = Scripted([Child(Away.exit_code), Child(Away.exit_code), Child(-signal.SIGKILL), Child(0, last=True)])
    assert await workers.run() == 0
    assert workers.children == []


async def test_a_process_that_can_never_start_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSE_SECONDS", 0)
    workers = Scripted([Child(Away.exit_code), Child(UNFIT), Child(0)])
    assert await workers.run() == UNFIT
    assert len(workers.children) == 1
