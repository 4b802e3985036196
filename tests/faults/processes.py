"""A real ``hub serve --dev`` on one port and one data folder, started again and again, and stubborn clients."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.e2e.serving import ROOT, Lines, clean_environment, running
from tests.faults.ledger import Change, Ledger, Wish
from tests.faults.receiver import milliseconds
from tests.servers import free_port

PATIENCE_SECONDS = 30.0


@dataclass
class Service:
    """The hub's process. ``stack`` ends whatever still runs when the test is over."""

    folder: Path
    stack: AsyncExitStack
    port: int = 0
    command: tuple[str, ...] = ("serve",)
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    lines: Lines | None = None
    logs: list[Lines] = field(default_factory=list)
    """Of all lives so far."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.launch()
        await self.until_ready()

    def launch(self) -> None:
        self.port = self.port or free_port()
        environment = clean_environment(self.folder) | {"HUB_RETRY_INITIAL_MS": "50", "HUB_RETRY_MAX_MS": "300"}
        environment |= {"PYTHONPATH": str(ROOT)} | self.settings
        arguments = [
            "-m",
            "hub",
            *self.command,
            "--dev",
            "--port",
            str(self.port),
            "--data-dir",
            str(self.folder / "data"),
        ]
        self.process, self.lines = self.stack.enter_context(running(arguments, cwd=self.folder, env=environment))
        self.logs.append(self.lines)

    async def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            while time.monotonic() < deadline:
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
        raise AssertionError(f"the hub was not ready:\n{self.lines}")

    async def end_by(self, number: signal.Signals) -> int:
        """Send the signal and wait; the exit code."""
        assert self.process
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)

    async def ready(self) -> dict[str, Any]:
        """What it tells of itself."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return dict((await client.get("/health/ready")).json())


class Address(Protocol):
    """Where clients find the hub at this moment."""

    @property
    def url(self) -> str: ...


@dataclass
class Fleet:
    """Several services that share one Redis; a client takes the next one at every try."""

    services: list[Service]
    turn: int = 0

    @property
    def url(self) -> str:
        self.turn += 1
        return self.services[self.turn % len(self.services)].url


@dataclass
class Load:
    """Clients on connections of their own that put Patients, and repeat a request until it is answered 2xx."""

    service: Address
    ledger: Ledger = field(default_factory=Ledger)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def subscribe(self, mailbox: str, endpoint: str, most: int) -> None:
        body = {
            "resourceType": "Subscription", "id": mailbox, "status": "requested", "endpoint": endpoint,
            "topic": "https://fhir-notification-hub.example/topics/patient-change", "timeout": 1, "maxCount": most,
            "channelType": {"code": "rest-hook"}, "content": "full-resource",
        }  # fmt: skip
        sent = time.monotonic()
        async with self._client() as client:
            answer = await self._until_answered(client, f"/fhir/r5/Subscription/{mailbox}", body, "")
        assert answer.status_code == 201, answer.text
        self.ledger.wish(mailbox, Wish(sent, time.monotonic(), on=True, begins=True))

    async def put_patients(self, name: str, most: int) -> None:
        """One client's share."""
        async with self._client() as client:
            for number in range(most):
                await self._put(client, f"{name}-{number}")
                await asyncio.sleep(self.chance.random() * 0.01)

    async def _put(self, client: httpx.AsyncClient, key: str) -> None:
        identity = f"p{self.chance.randrange(8)}"
        body = {"resourceType": "Patient", "id": identity, "gender": "male", "name": [{"text": key}]}
        sent = time.monotonic()
        answer = await self._until_answered(client, f"/fhir/r5/Patient/{identity}", body, key)
        assert answer.status_code in (200, 201), answer.text
        shown = answer.json()
        assert shown["name"] == body["name"]
        at, version = milliseconds(shown["meta"]["lastUpdated"]), int(shown["meta"]["versionId"])
        change = Change(f"Patient/{identity}", version, "male", sent, time.monotonic(), at)
        assert (change.reference, version) not in self.ledger.changes, "one version was given to two changes"
        self.ledger.note(change)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS)

    async def _until_answered(
        self, client: httpx.AsyncClient, path: str, body: dict[str, object], key: str
    ) -> httpx.Response:
        headers = {"Content-Type": "application/fhir+json"} | ({"Idempotency-Key": key} if key else {})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = await client.put(self.service.url + path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            if answer.status_code != 503:
                return answer
            assert answer.json()["resourceType"] == "OperationOutcome"
            await asyncio.sleep(0.02)
        raise AssertionError(f"no answer to PUT {path}")
