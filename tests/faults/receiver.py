"""A subscriber that writes down what arrives before it answers, and then behaves as badly as it is told.

The ledger of the tests lies here and in the clients: nothing is read from the hub to decide what should have arrived.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from tests.channels.receivers import read_request


class Manner(StrEnum):
    """How one notification is answered. What is TAKEN, LOST or LATE the subscriber has; the rest it has refused."""

    TAKEN = "taken"
    LOST = "answer lost"
    LATE = "answer too late"
    BUSY = "503"
    UNFIT = "422"

    @property
    def keeps(self) -> bool:
        return self in (Manner.TAKEN, Manner.LOST, Manner.LATE)


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered event as it was told; ``change`` is all that tells which change it is about."""

    number: int
    milliseconds: int
    reference: str

    @property
    def change(self) -> tuple[str, int]:
        return self.reference, self.milliseconds


@dataclass(frozen=True, slots=True)
class Focus:
    """A resource as it came along: its version, the text of its name, when it was written."""

    reference: str
    version: int
    name: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One notification. ``bodies`` are the entries beside the status, by relative reference."""

    mailbox: str
    type: str
    webhook_id: str
    events: tuple[Event, ...]
    bodies: dict[str, bytes]
    manner: Manner
    at: float = 0.0
    """Monotonic, when it had been read."""

    def focuses(self) -> Iterator[Focus]:
        """The bodies of the newest version of each resource."""
        for body in self.bodies.values():
            found = orjson.loads(body)[1]
            if found:
                reference, meta = f"{found['resourceType']}/{found['id']}", found["meta"]
                name = found.get("name", [{}])[0].get("text", "")
                yield Focus(reference, int(meta["versionId"]), name, milliseconds(meta["lastUpdated"]))

    @property
    def versions(self) -> dict[int, int]:
        """The version of the resource in the body, by event number."""
        newest = {event.reference: event.number for event in self.events}
        return {newest[focus.reference]: focus.version for focus in self.focuses()}

    @property
    def content(self) -> tuple[object, ...]:
        """What must be equal whenever the same notification comes again."""
        return self.events, tuple(sorted(self.bodies.items()))


@dataclass
class Receiver:
    """Serves every mailbox, ``/name``; a query after the name counts as the same mailbox."""

    choose: Callable[[str], Manner] = lambda mailbox: Manner.TAKEN
    arrivals: list[Arrival] = field(default_factory=list)
    late_seconds: float = 1.2
    port: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for writer in list(self._connections):
            writer.close()
        await self._server.wait_closed()

    def url(self, mailbox: str) -> str:
        return f"http://127.0.0.1:{self.port}/{mailbox}"

    def of(self, mailbox: str) -> Iterator[Arrival]:
        """The event notifications of one mailbox, in order of arrival."""
        return (each for each in self.arrivals if each.mailbox == mailbox and each.type == "event-notification")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while request := await read_request(reader):
                    mailbox = request.line.split(" ")[1].strip("/").partition("?")[0]
                    manner = self.choose(mailbox)
                    (webhook_id,) = request.values("webhook-id")
                    self.arrivals.append(read_notification(mailbox, webhook_id, request.body, manner))
                    if not await self._answer(manner, writer):
                        return
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, manner: Manner, writer: asyncio.StreamWriter) -> bool:
        if manner is Manner.LOST:
            return False
        if manner is Manner.LATE:
            await asyncio.sleep(self.late_seconds)
        status = {Manner.BUSY: 503, Manner.UNFIT: 422}.get(manner, 200)
        writer.write(f"HTTP/1.1 {status} said\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return True


def bad_manners(chance: random.Random, *, late: float = 0.01) -> Callable[[str], Manner]:
    """Refuses, loses answers and is late, each on its own chance."""

    def choose(mailbox: str) -> Manner:
        drawn = chance.random()
        for share, manner in ((0.12, Manner.BUSY), (0.06, Manner.LOST), (0.05, Manner.UNFIT), (late, Manner.LATE)):
            if drawn < share:
                return manner
            drawn -= share
        return Manner.TAKEN

    return choose


def read_notification(mailbox: str, webhook_id: str, body: bytes, manner: Manner) -> Arrival:
    """An R4 or R5 notification Bundle in the words of the ledger."""
    bundle = orjson.loads(body)
    status = bundle["entry"][0]["resource"]
    bodies = {
        _relative(entry["fullUrl"]): orjson.dumps([entry["request"], entry.get("resource")])
        for entry in bundle["entry"][1:]
    }
    kind, told = _parameters(status) if status["resourceType"] == "Parameters" else _subscription_status(status)
    events = tuple(Event(int(number), milliseconds(instant), _relative(focus)) for number, instant, focus in told)
    return Arrival(mailbox, kind, webhook_id, events, bodies, manner, time.monotonic())


def _parameters(status: dict[str, Any]) -> tuple[str, list[tuple[str, str, str]]]:
    named: dict[str, list[dict[str, Any]]] = {}
    for parameter in status["parameter"]:
        named.setdefault(parameter["name"], []).append(parameter)
    events = [{part["name"]: part for part in each["part"]} for each in named.get("notification-event", [])]
    return named["type"][0]["valueCode"], [
        (each["event-number"]["valueString"], each["timestamp"]["valueInstant"], _focus(each)) for each in events
    ]


def _focus(parts: dict[str, Any]) -> str:
    return str(parts["focus"]["valueReference"]["reference"])


def _subscription_status(status: dict[str, Any]) -> tuple[str, list[tuple[str, str, str]]]:
    events = status.get("notificationEvent", [])
    return status["type"], [(each["eventNumber"], each["timestamp"], each["focus"]["reference"]) for each in events]


def _relative(url: str) -> str:
    return "/".join(url.rsplit("/", 2)[-2:])


def milliseconds(instant: str) -> int:
    """An instant with milliseconds as a whole number."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)
