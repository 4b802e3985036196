"""A hub among receivers that do everything wrong, for as long as you like. One command; exits 0 only when all held:

    python -m tests.bench.soak [--minutes 10]

``hub serve --dev`` (embedded Redis, AOF always) with healthy Subscriptions and with three of each kind in ``KINDS``,
which shake hands and then hang, drip, reset, lie, send without end or speak no HTTP. Changes go on all the time. Every
line tells the hub's memory and how long healthy notifications took. At the end: every healthy Subscription had every
number once and in order, each other one is in the state that docs/receivers.md says, memory is flat, and the log has no
fault of the hub's own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from hub.serving import run
from tests.bench.websocket import TOPIC, HubUnderTest

EACH, HEALTHY, CHANGES_PER_SECOND = 3, 8, 20
TIMEOUT_SECONDS, PAUSE_SECONDS = 2, 10
QUICK = {
    "HUB_RETRY_INITIAL_MS": "200", "HUB_RETRY_MAX_MS": "2000", "HUB_ERROR_AFTER_FAILURES": "3",
    "HUB_OFF_AFTER_SECONDS": "0", "HUB_LOG": "json",
}  # fmt: skip
MOST_GROWTH = 1.15
"""Median memory of the last third over that of the second."""
HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 0\r\n\r\n"
FAILS, ANSWERS, OFF = ("error", "no-response"), ("error", "error-response"), ("off", "error-response")
WELL = ("active", "")
KINDS: dict[str, tuple[bytes, str, tuple[str, str]]] = {
    "hang": (b"", "", FAILS),
    "drip": (HEAD + b"X: " + b"x" * 99, "drip", FAILS),
    "reset": (b"", "reset", FAILS),
    "no-http": (b"220 mail.example.org ready\r\n", "", FAILS),
    "endless-headers": (b"X: " + b"x" * 8000 + b"\r\n", "for-ever", FAILS),
    "lie": (HEAD + b"Content-Length: 100\r\n\r\n{", "reset", WELL),
    "ten-gigabytes": (b"x" * 60_000, "for-ever", WELL),
    "broken-chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "", WELL),
    "redirect": (b"HTTP/1.1 307 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "", ANSWERS),
    "fault": (b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", "", ANSWERS),
    "busy": (b"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", "", ANSWERS),
    "gone": (b"HTTP/1.1 410 x\r\nContent-Length: 0\r\n\r\n", "", OFF),
}
"""What it says, how it goes on, and what $status says then. 2xx is a delivery, whatever becomes of the body."""
FIRST = {"endless-headers": HEAD, "ten-gigabytes": HEAD + b"Content-Length: 10000000000\r\n\r\n"}


@dataclass
class Scene:
    wrong: bool = False
    handshakes: int = 0
    sent: dict[bytes, float] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)


class Receiver(asyncio.Protocol):
    """Healthy, or of one of KINDS once the scene is wrong."""

    def __init__(self, scene: Scene, kind: str = "") -> None:
        self._scene, self._kind, self._data, self._flowing = scene, kind, b"", True

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self._flowing = False

    def resume_writing(self) -> None:
        self._flowing = True
        if self._scene.wrong and self._kind in FIRST:
            self._flow()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            whole = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            self._answer(head.split(b" ")[1].decode()[1:], body)

    def _answer(self, name: str, body: bytes) -> None:
        if b'"handshake"' in body:
            self._scene.handshakes += 1
        elif not self._kind:
            self._scene.numbers.setdefault(name, []).append(int(re.search(rb'"eventNumber":"(\d+)"', body)[1]))  # type: ignore[index]
            began = self._scene.sent[re.search(rb"Patient/(h\d+)", body)[1]]  # type: ignore[index]
            self._scene.milliseconds.append((time.perf_counter() - began) * 1000)
        if not (self._kind and self._scene.wrong):
            self._transport.write(OK)
            return
        said, then, _ = KINDS[self._kind]
        if then == "for-ever":
            self._transport.write(FIRST[self._kind])
            self._flow()
        elif then == "drip":
            self._drip(said)
        else:
            self._transport.write(said)
            if then == "reset":
                self._transport.abort()

    def _flow(self) -> None:
        while self._flowing and not self._transport.is_closing():
            self._transport.write(KINDS[self._kind][0])

    def _drip(self, left: bytes) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left[:1])
            asyncio.get_running_loop().call_later(1, self._drip, left[1:])


async def endpoints(scene: Scene, servers: list[asyncio.Server]) -> dict[str, str]:
    """Name of a Subscription -> its endpoint. ``wrong-name-…`` have a certificate of nobody that the hub knows."""
    loop, found = asyncio.get_running_loop(), dict[str, str]()
    for kind in ("", *KINDS):
        server = await loop.create_server(lambda kind=kind: Receiver(scene, kind), "127.0.0.1", 0)  # type: ignore[misc]
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        for place in range(EACH if kind else HEALTHY):
            name = f"{kind or 'healthy'}-{place}"
            found[name] = f"http://127.0.0.1:{port}/{name}"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("somebody-else.example").configure_cert(tls)
    servers.append(await loop.create_server(lambda: Receiver(scene), "127.0.0.1", 0, ssl=tls))
    port = servers[-1].sockets[0].getsockname()[1]
    return found | {f"wrong-name-{place}": f"https://127.0.0.1:{port}/" for place in range(EACH)}


def subscription(name: str, endpoint: str) -> tuple[str, str, Any]:
    body = {
        "resourceType": "Subscription", "id": name, "status": "requested", "topic": TOPIC, "content": "id-only",
        "channelType": {"code": "rest-hook"}, "endpoint": endpoint, "timeout": TIMEOUT_SECONDS,
    }  # fmt: skip
    return ("PUT", f"Subscription/{name}", body)


async def soak(hub: HubUnderTest, scene: Scene, minutes: float) -> list[float]:
    """The memory of the hub, MiB, every PAUSE_SECONDS."""
    ends, memory, told = time.monotonic() + minutes * 60, list[float](), time.monotonic()
    for number in itertools.count():
        if time.monotonic() >= ends:
            return memory
        name = f"h{number}"
        scene.sent[name.encode()] = time.perf_counter()
        await hub.requests([("PUT", f"Patient/{name}", {"resourceType": "Patient", "id": name})], connections=1)
        await asyncio.sleep(1 / CHANGES_PER_SECOND)
        if time.monotonic() - told >= PAUSE_SECONDS:
            told = time.monotonic()
            memory.append(hub.resident())
            times, scene.milliseconds = scene.milliseconds or [0.0, 0.0], []
            p99 = statistics.quantiles(times, n=100)[98]
            p50 = statistics.median(times)
            print(f"{number:7} changes  {memory[-1]:6.1f} MiB  p50 {p50:6.1f} ms  p99 {p99:7.1f} ms", flush=True)
    return memory


async def complaints(hub: HubUnderTest, scene: Scene, memory: list[float], log: str, names: list[str]) -> list[str]:
    """Everything that did not hold."""
    found = []
    for place in range(HEALTHY):
        numbers = scene.numbers.get(f"healthy-{place}", [])
        if numbers != list(range(1, len(scene.sent) + 1)):
            found.append(f"healthy-{place} had {len(numbers)} of {len(scene.sent)} numbers, or not in order")
    answers = await hub.requests([("GET", f"Subscription/{name}/$status", None) for name in names])
    for name, answer in zip(names, answers, strict=True):
        told = answer["entry"][0]["resource"]
        code = told["error"][0]["coding"][0]["code"] if told.get("error") else ""
        kind = name.rpartition("-")[0]
        expected = {"healthy": WELL, "wrong-name": FAILS}.get(kind) or KINDS[kind][2]
        if expected != (told["status"], code) and not (expected == WELL and told["status"] == "active"):
            found.append(f"{name} is {told['status']} {code}, not {' '.join(expected)}")
    third = len(memory) // 3
    if third and statistics.median(memory[-third:]) > MOST_GROWTH * statistics.median(memory[third : 2 * third]):
        found.append(f"memory grew: {', '.join(f'{each:.0f}' for each in memory)} MiB")
    faults = [line for line in log.splitlines() if "inside the hub" in line]
    return found + faults[:3]


async def main(minutes: float) -> int:
    os.environ.update(QUICK)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {minutes:g} minutes")
    scene, servers = Scene(), list[asyncio.Server]()
    with tempfile.TemporaryDirectory() as folder:
        hub = HubUnderTest(Path(folder))
        try:
            where = await endpoints(scene, servers)
            await hub.requests([subscription(name, endpoint) for name, endpoint in where.items()])
            while scene.handshakes < len(where) - EACH:
                await asyncio.sleep(0.1)
            scene.wrong = True
            memory = await soak(hub, scene, minutes)
            await asyncio.sleep(5)
            wrong = await complaints(hub, scene, memory, hub.log(), list(where))
        finally:
            hub.stop()
            for server in servers:
                server.close()
    held = f"All held: {len(scene.sent)} changes, {HEALTHY} healthy Subscriptions, {len(where) - HEALTHY} others."
    print("\n".join(wrong) or held)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    sys.exit(run(main(parser.parse_args().minutes)))
