"""A whole hub behind a real port, and clients on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hub.app import Hub, create_app
from hub.domain.versions import FhirVersion
from hub.serving import server_config
from hub.settings import DEV_DEFAULTS, Settings
from tests.api.builders import PATIENT_CHANGE, fresh_id, subscription
from tests.api.harness import Api

BASES = tuple(FhirVersion)
PATIENCE_SECONDS = 20.0
"""For anything at all on a busy machine; nothing waits for it when all is well."""


@dataclass
class Served:
    """A hub that listens at ``url``."""

    hub: Hub
    url: str
    client: httpx.AsyncClient

    def api(self, base: FhirVersion) -> Api:
        return Api(self.client, base)


@asynccontextmanager
async def serving(redis_url: str, folder: Path, *, fresh: bool = True, **settings: Any) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port = listener.getsockname()[1]
    quick = {"retry_initial_ms": 20, "retry_max_ms": 100, "shutdown_seconds": 1, "port": port}
    given = Settings(redis_url=redis_url, data_dir=folder, **(DEV_DEFAULTS | quick | settings))
    hub = Hub(given, dev=True)
    if fresh:
        await hub.store.send(("FLUSHDB",))
    await hub.start()
    guard, _ = await hub.guard()
    server = uvicorn.Server(server_config(create_app(hub, guard), given))
    task = asyncio.create_task(server._serve([listener]))
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS) as client:
        yield Served(hub, url, client)
    server.should_exit = True
    await task
    await hub.stop()
    listener.close()


@dataclass
class Board:
    """A client that keeps what it was told, as a bed board would: by Subscription, numbers and references."""

    socket: ClientConnection
    frames: list[Any] = field(default_factory=list)

    async def say(self, written: Any) -> None:
        await self.socket.send(written if isinstance(written, str | bytes) else json.dumps(written))

    async def next(self) -> Any:
        """The next frame: JSON as an object, else its text. Raises ConnectionClosed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await self.socket.recv()
        frame = json.loads(text) if text[:1] == "{" else text
        self.frames.append(frame)
        return frame

    async def next_of(self, kind: str) -> dict[str, Any]:
        """The next notification, which must be of this type; what it says."""
        told = status_of(await self.next())
        assert told["type"] == kind, told
        return told

    async def numbers(self, upto: int, identity: str = "") -> list[int]:
        """The event numbers in the order of arrival until ``upto``, of one Subscription when there are several."""
        found: list[int] = []
        while not found or found[-1] < upto:
            told = status_of(await self.next())
            if told["type"] == "event-notification" and told["id"].startswith(identity):
                found += told["numbers"]
        return found

    async def closed(self) -> int:
        """Read until it is closed; the code."""
        while True:
            try:
                await self.next()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd else 1006

    async def outcome(self) -> str:
        """The code of the next frame, which must be an OperationOutcome."""
        frame = await self.next()
        assert frame["resourceType"] == "OperationOutcome", frame
        return str(frame["issue"][0]["code"])


@asynccontextmanager
async def board(url: str, base: FhirVersion, **options: Any) -> AsyncIterator[Board]:
    address = f"ws{url.removeprefix('http')}{base.path}/websocket"
    async with connect(address, proxy=None, compression=None, max_size=None, **options) as connection:
        yield Board(connection)


def status_of(frame: Any) -> dict[str, Any]:
    """What a notification says, in one shape for all versions."""
    assert isinstance(frame, dict) and frame["resourceType"] == "Bundle", frame
    status = frame["entry"][0]["resource"]
    if status["resourceType"] == "SubscriptionStatus":
        events = status.get("notificationEvent", [])
        return {
            "type": status["type"], "status": status["status"], "count": int(status["eventsSinceSubscriptionStart"]),
            "id": status["subscription"]["reference"].rpartition("/")[2],
            "numbers": [int(each["eventNumber"]) for each in events],
            "errors": [each["coding"][0]["code"] for each in status.get("error", [])],
        }  # fmt: skip
    given = status["parameter"]
    value = {each["name"]: next((v for k, v in each.items() if k.startswith("value")), None) for each in given}
    parts = [each["part"] for each in given if each["name"] == "notification-event"]
    numbers = [int(part["valueString"]) for each in parts for part in each if part["name"] == "event-number"]
    return {
        "type": value["type"], "status": value["status"], "count": int(value["events-since-subscription-start"]),
        "id": value["subscription"]["reference"].rpartition("/")[2], "numbers": numbers,
        "errors": [each["valueCodeableConcept"]["coding"][0]["code"] for each in given if each["name"] == "error"],
    }  # fmt: skip


def listened(base: FhirVersion, topic: str = PATIENT_CHANGE, **options: Any) -> dict[str, Any]:
    """A Subscription over a websocket: no endpoint."""
    written = subscription(base, "", topic, **options)
    if base is FhirVersion.R5:
        del written["endpoint"]
        written["channelType"]["code"] = "websocket"
    else:
        del written["channel"]["endpoint"]
        written["channel"]["type"] = "websocket"
    return written


def classic_listened(criteria: str, **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "test", "criteria": criteria,
        "channel": {"type": "websocket"}, **elements,
    }  # fmt: skip


async def subscribe(api: Api, **options: Any) -> str:
    """Create one for a patient of its own; its id, which is the patient's too."""
    identity = fresh_id("s")
    body = listened(api.base, filters=(f"Patient?_id={identity}",), **options) | {"id": identity}
    created = await api.put(f"Subscription/{identity}", body)
    assert created.status_code == 201, created.text
    assert created.json()["status"] == "active"
    return identity


async def change(api: Api, identity: str, times: int = 1, start: int = 0) -> None:
    """Put the patient of this Subscription; each makes one event."""
    for number in range(start, start + times):
        body = {"resourceType": "Patient", "id": identity, "name": [{"text": f"version {number}"}]}
        answer = await api.put(f"Patient/{identity}", body)
        assert answer.status_code in (200, 201), answer.text


async def token(api: Api, *ids: str) -> str:
    query = "&".join(f"id={each}" for each in ids)
    answer = await api.get(f"Subscription/$get-ws-binding-token?{query}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["parameter"][0]["valueString"])


async def until(question: Any, what: str = "") -> None:
    """Ask until it is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await question():
            await asyncio.sleep(0.01)
