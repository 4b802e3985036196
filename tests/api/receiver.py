"""A subscriber on loopback: it keeps what it is sent, parsed, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.channels.receivers import Request, read_request

SECONDS = 5.0
"""How long a test waits for what must come."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the subscriber; with ``after`` it is given when that event is set."""

    status: int = 200
    headers: str = ""
    after: asyncio.Event | None = None


@dataclass(frozen=True)
class Event:
    """One notificationEvent, in any version's words."""

    number: str
    timestamp: str
    focus: str = ""


@dataclass(frozen=True)
class Notification:
    """A notification as it arrived; the three versions' carriers read alike."""

    request: Request
    answered: int

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def bundle(self) -> dict[str, Any]:
        """The notification Bundle; that of the message channel stands in a message."""
        sent = json.loads(self.body)
        return sent["entry"][1]["resource"] if sent["type"] == "message" else sent

    @property
    def carrier(self) -> dict[str, Any]:
        return carrier_of(self.bundle)

    @property
    def type(self) -> str:
        return str(self.carrier["type"])

    @property
    def events(self) -> list[Event]:
        return events_of(self.bundle)

    @property
    def numbers(self) -> list[int]:
        return [int(event.number) for event in self.events]

    @property
    def entries(self) -> list[dict[str, Any]]:
        return list(self.bundle["entry"][1:])

    def header(self, name: str) -> str:
        return ", ".join(self.request.values(name))


def carrier_of(bundle: dict[str, Any]) -> dict[str, Any]:
    return status_of(bundle["entry"][0]["resource"])


def status_of(resource: dict[str, Any]) -> dict[str, Any]:
    """A SubscriptionStatus, or the R4 Parameters that say the same (S-117)."""
    if resource["resourceType"] == "SubscriptionStatus":
        return resource
    words = {"events-since-subscription-start": "eventsSinceSubscriptionStart"}
    found: dict[str, Any] = {"error": []}
    for parameter in resource["parameter"]:
        if parameter["name"] in ("notification-event", "error"):
            continue
        value = next(value for name, value in parameter.items() if name.startswith("value"))
        found[words.get(parameter["name"], parameter["name"])] = value
    found["error"] = [each["valueCodeableConcept"] for each in resource["parameter"] if each["name"] == "error"]
    return found


def events_of(bundle: dict[str, Any]) -> list[Event]:
    resource = bundle["entry"][0]["resource"]
    if resource["resourceType"] == "SubscriptionStatus":
        return [
            Event(each["eventNumber"], each["timestamp"], each.get("focus", {}).get("reference", ""))
            for each in resource.get("notificationEvent", ())
        ]
    found = []
    for parameter in resource["parameter"]:
        if parameter["name"] == "notification-event":
            parts = {part["name"]: part for part in parameter["part"]}
            focus = parts.get("focus", {}).get("valueReference", {}).get("reference", "")
            number, timestamp = parts["event-number"]["valueString"], parts["timestamp"]["valueInstant"]
            found.append(Event(number, timestamp, focus))
    return found


@dataclass
class Inbox:
    """One endpoint. ``replies`` are given in order, then ``reply`` for ever."""

    url: str
    reply: Reply = field(default_factory=Reply)
    replies: list[Reply] = field(default_factory=list)
    everything: list[Notification] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    async def take(self, request: Request) -> Reply:
        reply = self.replies.pop(0) if self.replies else self.reply
        self.everything.append(Notification(request, reply.status))
        self._arrived.set()
        if reply.after:
            await reply.after.wait()
        return reply

    async def next(self, kind: str = "", seconds: float = SECONDS) -> Notification:
        """The next one that was not read yet; of this type when one is named, passing over heartbeats otherwise."""
        async with asyncio.timeout(seconds):
            while True:
                while self._read < len(self.everything):
                    self._read += 1
                    found = self.everything[self._read - 1]
                    if (kind or "heartbeat") == "heartbeat" or found.type != "heartbeat":
                        assert not kind or found.type == kind, f"{found.type} came instead of {kind}: {found.body!r}"
                        return found
                self._arrived.clear()
                await self._arrived.wait()

    async def event(self) -> Notification:
        return await self.next("event-notification")

    async def numbers(self, count: int) -> list[int]:
        """The event numbers of the next event notifications, at least ``count`` of them."""
        found: list[int] = []
        while len(found) < count:
            found += (await self.event()).numbers
        return found

    async def bare(self) -> Request:
        """The next request that was not read yet, whatever it carries: classic Subscriptions get no Bundle."""
        async with asyncio.timeout(SECONDS):
            while self._read >= len(self.everything):
                self._arrived.clear()
                await self._arrived.wait()
        self._read += 1
        return self.everything[self._read - 1].request

    def nothing_unread(self) -> bool:
        return all(each.type == "heartbeat" for each in self.everything[self._read :])


@dataclass
class Receiver:
    """Serves every inbox of a test session on one port."""

    port: int = 0
    inboxes: dict[str, Inbox] = field(default_factory=dict)

    def inbox(self) -> Inbox:
        path = f"/inbox/{len(self.inboxes)}"
        self.inboxes[path] = Inbox(f"http://127.0.0.1:{self.port}{path}")
        return self.inboxes[path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while request := await read_request(reader):
                path = "/".join(request.line.split()[1].split("/")[:3])  # what is PUT lies below the endpoint
                reply = await self.inboxes[path].take(request)
                writer.write(f"HTTP/1.1 {reply.status} x\r\n{reply.headers}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver, tasks = Receiver(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await receiver.serve(reader, writer)
        tasks.discard(task)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**24)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*list(tasks), return_exceptions=True)
