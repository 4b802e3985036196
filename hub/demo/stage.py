"""Everything the story is played with: hub, receiver, hospital, ledger; made at the start, cleared away after."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from hub.demo.client import Client
from hub.demo.hospital import Change, Hospital
from hub.demo.hub_process import HubProcess
from hub.demo.ledger import Ledger
from hub.demo.narration import Notification, narrate, read_notification
from hub.demo.receiver import Receiver
from hub.demo.screen import Screen
from hub.demo.witness import NotSeen, Witness

SEED = 1
SECONDS = 50.0
"""For the whole story; it takes a third of that on a quiet machine."""


class Stage:
    """The props, and the few gestures that the chapters share."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self.screen = screen
        self.witness = Witness(SECONDS)
        self.hospital = Hospital(SEED)
        self.ledger = Ledger()
        self.receiver = Receiver(self._heard)
        self.hub = HubProcess(folder, self._logged)
        self.client = Client(self.hub.url)
        self.subscription = ""
        """Its id, once there is one."""
        self.failed_attempts = 0
        self.expected: list[str] = []
        """The references that the numbers 1, 2, … must tell of."""

    async def start_hub(self) -> None:
        await self.hub.start()
        await self.witness.see("the hub is ready", self._ready_or_dead, lambda: "no answer of 200 from /health/ready")
        if self.hub.ended:
            await self.hub.wait()
            raise NotSeen("the hub runs", f"it ended with exit code {self.hub.exit_code}")

    async def write(self, change: Change) -> None:
        self.screen.sent(f"PUT {change.reference}  {change.told}")
        await self.client.write(change)

    async def admit(self) -> None:
        """An admission: the one kind of change that must become an event."""
        change = self.hospital.admit()
        await self.write(change)
        self.expected.append(change.reference)

    async def see_all_delivered(self) -> None:
        """Every admission so far has arrived, as 1..n in order and under its own number."""
        count = len(self.expected)
        await self.witness.see(f"number {count} arrives", self._arrived, lambda: str(self.ledger))
        self.witness.insist(
            f"numbers 1 to {count} in order, once each", self.ledger.is_gapless_up_to(count), str(self.ledger)
        )
        told = [self.ledger.reference(number) for number in range(1, count + 1)]
        self.witness.insist(f"events about {self.expected}", told == self.expected, str(told))

    async def see_status(self, code: str) -> Notification:
        """``$status`` says so; what it says comes back."""
        answer = await self.client.status(self.subscription)

        async def look() -> bool:
            nonlocal answer
            answer = await self.client.status(self.subscription)
            return answer.status == code

        await self.witness.see(f"$status says {code}", look, lambda: str(answer))
        return answer

    async def _ready_or_dead(self) -> bool:
        return self.hub.ended or await self.client.ready()

    async def _arrived(self) -> bool:
        return len(self.ledger.numbers) >= len(self.expected)

    def _heard(self, bundle: dict[str, Any]) -> None:
        notification = read_notification(bundle)
        fresh = self.ledger.note(notification)
        if not notification.events:
            self.screen.received(notification.type)
        for event in notification.events:
            again = "" if event in fresh else "  (again: same number, so it is taken once)"
            self.screen.received(narrate(event) + again)

    def _logged(self, line: dict[str, Any]) -> None:
        """One log line of the hub; failed attempts are part of the story."""
        if line.get("what") == "attempt" and line.get("outcome") != "delivered":
            self.failed_attempts += 1
            wait = float(line.get("next_attempt_in_seconds", 0))
            self.screen.trouble(f"attempt {self.failed_attempts} failed ({line.get('error')}); again in {wait:.1f} s")


@asynccontextmanager
async def set_stage(screen: Screen) -> AsyncIterator[Stage]:
    """A stage in a temporary folder; whatever happens on it, no process and no file stays behind."""
    with tempfile.TemporaryDirectory(prefix="hub-demo-", ignore_cleanup_errors=True) as folder:
        stage = Stage(screen, Path(folder))
        async with AsyncExitStack() as clearing:  # each, even when another fails
            for close in (stage.hub.close, stage.client.close, stage.receiver.close):
                clearing.push_async_callback(close)
            yield stage
