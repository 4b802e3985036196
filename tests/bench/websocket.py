"""What the websocket channel carries on this machine. One command, figures on standard output:

    python -m tests.bench.websocket            everything
    python -m tests.bench.websocket write      frames of 1,000 bytes from the channel to the kernel, one process
    python -m tests.bench.websocket end        a change in by HTTP until its notifications are read from the sockets
    python -m tests.bench.websocket sockets    5,000 bound sockets in one process, and one change for all of them

Server and clients are processes of their own, on loopback. Nothing is simulated: ``end`` and ``sockets`` run
``hub serve --dev`` with its embedded Redis (AOF always). Clients count frames without reading their JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from hub.api.websocket import OpenSocket
from hub.channels.websocket import Binding, Switchboard, WebSocketChannel
from hub.channels.websocket_server import CUT
from hub.domain.delivery import Dispatch
from hub.domain.event import Notification, NotificationType
from hub.domain.subscription import Channel, Content, Status
from hub.serving import run, server_config
from hub.settings import Settings

ROOT = Path(__file__).parents[2]
BODY = b'{"resourceType":"Bundle","text":"' + b"x" * 965 + b'"}'
WRITERS, FRAMES = 200, 300
END_TO_END = ((1, 2000, 1), (10, 400, 1), (50, 200, 1), (10, 2000, 50))
"""(Subscriptions that each change concerns, changes, maxCount)."""
SOCKETS = 5000
EVENT = b'"eventNumber"'
TOPIC = "https://fhir-notification-hub.example/topics/patient-change"


class Counter(asyncio.Protocol):
    """A client that opens a websocket and counts the frames it is sent, by their heads alone."""

    def __init__(self, port: int, path: str, arrived: Callable[[int], None]) -> None:
        self.frames = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        self._arrived = arrived
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(f"{self._head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())

    def say(self, text: str) -> None:
        data = text.encode()
        self.transport.write(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._rest += data
            head, end, data = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head
            self._rest = b""
            self.opened.set_result(None)
        self._count(data)

    def _count(self, data: bytes) -> None:
        data, place = self._rest + data, 0
        while (end := _end_of_frame(data, place)) and end <= len(data):
            if data[place] & 0x0F == 1:
                self._arrived(data.count(EVENT, place, end))
                self.frames += 1
            elif data[place] & 0x0F == 9:
                self.transport.write(bytes([0x8A, 0x80 | data[place + 1]]) + bytes(4) + data[place + 2 : end])
            place = end
        self._rest = data[place:]


def _end_of_frame(data: bytes, place: int) -> int:
    """Where the frame that begins at ``place`` ends; 0 when its head is not there yet."""
    if place + 2 > len(data):
        return 0
    length = data[place + 1]
    width = {126: 2, 127: 8}.get(length, 0)
    if place + 2 + width > len(data):
        return 0
    return place + 2 + width + (int.from_bytes(data[place + 2 : place + 2 + width], "big") if width else length)


async def open_sockets(port: int, path: str, count: int, arrived: Callable[[int], None]) -> list[Counter]:
    """``count`` sockets, a hundred at a time."""
    loop, opened = asyncio.get_running_loop(), []
    for start in range(0, count, 100):
        some = [
            (await loop.create_connection(lambda: Counter(port, path, arrived), "127.0.0.1", port))[1]
            for _ in range(start, min(start + 100, count))
        ]
        await asyncio.gather(*(each.opened for each in some))
        opened += some
    return opened


# -- the write path -----------------------------------------------------------------------------------------------


async def write_server() -> int:
    """Binds every socket that opens, then delivers through the channel; tells what it took."""
    board = Switchboard("bench", lambda _: None)
    names: list[str] = []
    ready = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        name = f"default|r5|{len(names)}"
        board.put(Binding(name, "bench/1", OpenSocket(send, scope["extensions"][CUT]), 0))
        names.append(name)
        if len(names) == WRITERS:
            ready.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(server_config(application, Settings()))
    serving = asyncio.create_task(server._serve([listener]))
    print(listener.getsockname()[1], flush=True)
    await ready.wait()
    channel = WebSocketChannel(board, _nobody_else)

    async def deliver(name: str) -> None:
        for number in range(1, FRAMES + 1):
            dispatch = Dispatch(BODY, "", name, NOTIFICATION, range(number, number + 1), "bench/1")
            outcome = await channel.deliver(CHANNEL, dispatch, delivery_id="bench", deadline_seconds=15)
            assert outcome.kind == "delivered"

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(deliver(name) for name in names))
    took, used = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"seconds": took, "cpu": used}), flush=True)
    server.should_exit = True
    await serving
    return 0


async def _nobody_else(process: str, message: bytes, seconds: float) -> bytes | None:
    raise AssertionError("every socket is here")


NOTIFICATION = Notification(
    NotificationType.EVENT_NOTIFICATION, "1", TOPIC, Status.ACTIVE, Content.EMPTY, 1, "b", "s", None,  # type: ignore[arg-type]
)  # fmt: skip
CHANNEL = Channel("websocket", "")


async def write_path() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "write-server"], stdout=subprocess.PIPE, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        total, arrived = WRITERS * FRAMES, Arrivals()
        await open_sockets(port, "/", WRITERS, arrived)
        await arrived.wait_for(total)
        told = json.loads(await asyncio.to_thread(server.stdout.readline))
    seconds, cpu = told["seconds"], told["cpu"]
    print(
        f"write path: {total} frames of {len(BODY)} B to {WRITERS} sockets: {total / seconds:,.0f} messages/s "
        f"({cpu / total * 1e6:.1f} us of CPU each; {total / cpu:,.0f} per second of one core)"
    )


class Arrivals:
    """Counts frames of all sockets, and when the last came."""

    def __init__(self) -> None:
        self.count = 0
        self.events = 0
        self.at = time.perf_counter()

    def __call__(self, events: int) -> None:
        self.count += 1
        self.events += events
        self.at = time.perf_counter()

    async def wait_for(self, count: int) -> None:
        while self.count < count:
            await asyncio.sleep(0.005)

    async def wait_for_events(self, events: int) -> None:
        while self.events < events:
            await asyncio.sleep(0.005)


# -- a whole hub --------------------------------------------------------------------------------------------------


class HubUnderTest:
    """``hub serve --dev`` in a folder of its own, and a client of HTTP on a few connections."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "log").open("w", encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HUB_MAX_WAITING_CHANGES": "1000000"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hub", "serve", "--dev", "--port", "0", "--data-dir", str(folder / "data")],
            env=environment, cwd=folder, stderr=self._log,
        )  # fmt: skip
        self.port = 0
        while not self.port:
            time.sleep(0.1)
            found = re.search(r"http://127\.0\.0\.1:(\d+)/fhir/r5", (folder / "log").read_text(encoding="utf-8"))
            self.port = int(found[1]) if found else 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def resident(self) -> float:
        """MiB."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        """Of the hub's process; Redis is another."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def requests(self, wanted: list[tuple[str, str, Any]], connections: int = 64) -> list[Any]:
        """(method, path, body) each; the answers in order."""
        answers: list[Any] = [None] * len(wanted)
        left = iter(enumerate(wanted))

        async def work() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for place, (method, path, body) in left:
                data = json.dumps(body).encode() if body else b""
                head = f"{method} /fhir/r5/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nPrefer: return=minimal\r\n"
                head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert re.match(r"http/1\.1 20[01]", told), told
                size = int(re.search(r"content-length: (\d+)", told)[1])  # type: ignore[index]
                answered = await reader.readexactly(size)
                answers[place] = json.loads(answered) if answered else None
            writer.close()

        await asyncio.gather(*(work() for _ in range(connections)))
        return answers

    async def listen(self, names: list[str], arrived: Callable[[int], None], most: int = 1) -> list[Counter]:
        """A Subscription and a bound socket for each name."""
        body = {
            "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "content": "id-only",
            "channelType": {"code": "websocket"}, "timeout": 60, "maxCount": most,
        }  # fmt: skip
        await self.requests([("PUT", f"Subscription/{name}", body | {"id": name}) for name in names])
        sockets: list[Counter] = []
        for start in range(0, len(names), 100):  # a token is good for a minute, an unbound socket for ten seconds
            some = names[start : start + 100]
            opened = await open_sockets(self.port, "/fhir/r5/websocket", len(some), arrived)
            asked = [("GET", f"Subscription/{name}/$get-ws-binding-token", None) for name in some]
            for each, told in zip(opened, await self.requests(asked), strict=True):
                each.say(f"bind-with-token {told['parameter'][0]['valueString']}")
            sockets += opened
        return sockets


async def end_to_end(fan_out: int, changes: int, most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hub = HubUnderTest(Path(folder))
        try:
            arrived = Arrivals()
            await hub.listen([f"s{number}" for number in range(fan_out)], arrived, most)
            await arrived.wait_for(fan_out)  # the handshakes
            body = {"resourceType": "Patient", "gender": "female", "name": [{"text": "x" * 500}]}
            wanted = [("PUT", f"Patient/p{number}", body | {"id": f"p{number}"}) for number in range(changes)]
            began, used, total = time.perf_counter(), hub.cpu_seconds(), fan_out * changes
            await hub.requests(wanted, connections=64)
            accepted = time.perf_counter() - began
            await arrived.wait_for_events(total)
            took, used = arrived.at - began, hub.cpu_seconds() - used
        finally:
            hub.stop()
    messages = arrived.count - fan_out
    print(
        f"end to end: {changes} changes x {fan_out} Subscriptions, maxCount {most}: {total} events in {messages} "
        f"messages in {took:.2f} s: {total / took:,.0f} events/s, {messages / took:,.0f} messages/s "
        f"({changes / accepted:,.0f} changes/s accepted; {used / messages * 1e6:.0f} us of the hub's CPU for each "
        f"message: {messages / used:,.0f} per second of one core)"
    )


async def many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(SOCKETS, soft - 200)
    print(f"open files: ulimit -n is {soft} (hard {hard}); {wanted} sockets in one process")
    with tempfile.TemporaryDirectory() as folder:
        hub = HubUnderTest(Path(folder))
        try:
            before, arrived, began = hub.resident(), Arrivals(), time.perf_counter()
            sockets = await hub.listen([f"s{number}" for number in range(wanted)], arrived)
            await arrived.wait_for(wanted)
            bound, took = hub.resident(), time.perf_counter() - began
            began = time.perf_counter()
            await hub.requests([("PUT", "Patient/1", {"resourceType": "Patient", "id": "1"})])
            await arrived.wait_for(2 * wanted)
            sent, peak = arrived.at - began, hub.resident()
            assert all(each.frames == 2 for each in sockets)
        finally:
            hub.stop()
    print(
        f"sockets: {wanted} subscribed, opened and bound in {took:.1f} s; memory {before:.0f} -> {bound:.0f} MiB "
        f"({(bound - before) * 1024 / wanted:.1f} KiB each, with its Subscription), {peak:.0f} MiB after one change "
        "for all"
    )
    print(f"sockets: one change reached all {wanted} in {sent:.2f} s: {wanted / sent:,.0f} messages/s")


async def main(what: str) -> int:
    if what == "write-server":
        return await write_server()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    if what in ("", "write"):
        await write_path()
    if what in ("", "end"):
        for configuration in END_TO_END:
            await end_to_end(*configuration)
    if what in ("", "sockets"):
        await many_sockets()
    return 0


if __name__ == "__main__":
    sys.exit(run(main(sys.argv[1] if len(sys.argv) > 1 else "")))
