"""What dead hosts cost the living ones on this machine. One command, figures on standard output:

    python -m tests.bench.isolation [--seconds 20] [--rounds 1]

Three runs of the same changes, each with a new ``hub serve --dev`` (embedded Redis, AOF always): without any dead host;
with 100 hosts and 1,000 Subscriptions that die at the same moment, as the measuring begins, and never answer again; and
with a tarpit: a host with 100 Subscriptions that answers a byte a second. 20 changes a second concern ten of the dead
each. Told is the time from the begin of a PUT to the arrival of its notification at a healthy receiver. Hosts are ports
on loopback, in the process that measures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.serving import run
from tests.bench.websocket import TOPIC, HubUnderTest

DEAD_HOSTS, DEAD_SUBSCRIPTIONS, TARPIT_SUBSCRIPTIONS = 100, 1000, 100
HEALTHY_HOSTS, HEALTHY_SUBSCRIPTIONS = 4, 8
CHANGES_PER_SECOND, DEAD_CHANGES_PER_SECOND = 40, 20
CONCERNED = 10
"""Dead Subscriptions that one change concerns."""
TIMEOUT_SECONDS = 5
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
DRIP = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000
MARK = b"healthy-"


@dataclass
class Scene:
    """What receivers do, and what the healthy ones saw: mark of a change -> arrivals."""

    dead: bool = False
    arrivals: dict[bytes, list[float]] = field(default_factory=dict)
    handshakes: int = 0


class Receiver(asyncio.Protocol):
    """Reads requests by their Content-Length. ``kind``: healthy, dead or tarpit; the last two once ``scene.dead``."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self._scene, self._kind, self._data = scene, kind, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        place = body.find(MARK)
        if self._kind == "healthy" and place >= 0:
            mark = body[place:].split(b'"')[0]
            self._scene.arrivals.setdefault(mark, []).append(time.perf_counter())
        elif place < 0:
            self._scene.handshakes += 1
        if self._kind == "healthy" or not self._scene.dead:
            self._transport.write(OK)
        elif self._kind == "tarpit":
            self._drip(0)

    def _drip(self, place: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(DRIP[place : place + 1])
            asyncio.get_running_loop().call_later(1, self._drip, place + 1)


async def hosts(scene: Scene, kind: str, count: int) -> tuple[list[asyncio.Server], list[int]]:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Receiver(scene, kind), "127.0.0.1", 0) for _ in range(count)]
    return servers, [server.sockets[0].getsockname()[1] for server in servers]


def subscription(name: str, port: int, practitioner: str) -> tuple[str, str, Any]:
    body = {
        "resourceType": "Subscription", "id": name, "status": "requested", "topic": TOPIC, "content": "id-only",
        "channelType": {"code": "rest-hook"}, "endpoint": f"http://127.0.0.1:{port}/{name}",
        "timeout": TIMEOUT_SECONDS,
        "filterBy": [{"filterParameter": "general-practitioner", "value": f"Practitioner/{practitioner}"}],
    }  # fmt: skip
    return ("PUT", f"Subscription/{name}", body)


def patient(name: str, practitioner: str) -> tuple[str, str, Any]:
    doctors = [{"reference": f"Practitioner/{practitioner}"}]
    return ("PUT", f"Patient/{name}", {"resourceType": "Patient", "id": name, "generalPractitioner": doctors})


async def one_run(kind: str, seconds: float) -> list[float]:
    """Milliseconds of each notification of a healthy Subscription."""
    scene, servers = Scene(), list[asyncio.Server]()
    with tempfile.TemporaryDirectory() as folder:
        hub = HubUnderTest(Path(folder))
        try:
            opened, ports = await hosts(scene, "healthy", HEALTHY_HOSTS)
            servers += opened
            wanted = [
                subscription(f"h{place}", ports[place % HEALTHY_HOSTS], "healthy")
                for place in range(HEALTHY_SUBSCRIPTIONS)
            ]
            if kind != "none":
                count = DEAD_SUBSCRIPTIONS if kind == "dead" else TARPIT_SUBSCRIPTIONS
                opened, ports = await hosts(scene, kind, DEAD_HOSTS if kind == "dead" else 1)
                servers += opened
                wanted += [
                    subscription(f"d{place}", ports[place % len(ports)], f"g{place // CONCERNED}")
                    for place in range(count)
                ]
            await hub.requests(wanted)
            while scene.handshakes < len(wanted):
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            scene.dead = True
            sent = await changes(
                hub, seconds, (TARPIT_SUBSCRIPTIONS if kind == "tarpit" else DEAD_SUBSCRIPTIONS) // CONCERNED
            )
            await asyncio.sleep(1)
        finally:
            hub.stop()
            for server in servers:
                server.close()
    missing = [mark for mark in sent if len(scene.arrivals.get(mark, ())) < HEALTHY_SUBSCRIPTIONS]
    assert not missing, f"{len(missing)} of {len(sent)} changes had not reached every healthy Subscription after 1 s"
    return [(at - began) * 1000 for mark, began in sent.items() for at in scene.arrivals[mark]]


async def changes(hub: HubUnderTest, seconds: float, groups: int) -> dict[bytes, float]:
    """Changes for healthy and for dead Subscriptions side by side; when each of the first kind was begun."""
    sent: dict[bytes, float] = {}

    async def healthy() -> None:
        for number in range(int(seconds * CHANGES_PER_SECOND)):
            mark = f"{MARK.decode()}{number}"
            sent[mark.encode()] = time.perf_counter()
            await hub.requests([patient(mark, "healthy")], connections=1)
            await asyncio.sleep(1 / CHANGES_PER_SECOND)

    async def for_the_dead() -> None:
        for number in range(DEAD_SUBSCRIPTIONS * 10):
            await hub.requests([patient(f"d{number}", f"g{number % groups}")], connections=1)
            await asyncio.sleep(1 / DEAD_CHANGES_PER_SECOND)

    beside = asyncio.create_task(for_the_dead())
    await healthy()
    beside.cancel()
    await asyncio.gather(beside, return_exceptions=True)
    return sent


def told(kind: str, times: list[float], base: tuple[float, float] | None) -> tuple[float, float]:
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    line = f"{kind:8} {len(times):6} notifications  p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  max {max(times):7.1f} ms"
    if base:
        bound = max(2 * base[1], base[1] + 50)
        verdict = "within" if p99 <= bound else "BEYOND"
        line += f"  p99 x {p99 / base[1]:.2f}  {verdict} max(2 x, + 50 ms) = {bound:.1f} ms"
    print(line, flush=True)
    return p50, p99


async def main(seconds: float, rounds: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, {seconds:g} s each")
    for _ in range(rounds):
        base = told("none", await one_run("none", seconds), None)
        for kind in ("dead", "tarpit"):
            told(kind, await one_run(kind, seconds), base)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    sys.exit(run(main(given.seconds, given.rounds)))
