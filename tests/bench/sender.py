"""What the sender of notifications carries on this machine, beside aiohttp. One command, figures on standard output:

    python -m tests.bench.sender [--deliveries 20000] [--rounds 3]

POSTs of 3,000 bytes to a sink of raw sockets in a process of its own, over 32 connections to one host, plain and over
TLS. Sender and aiohttp (extra ``bench``; left out when it is not installed) take turns in one process. Told are the
medians of all rounds: deliveries a second by the clock, for which sink and sender share the machine, and per second of
the sending process's own CPU, which is what one core would carry.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trustme

from hub.channels.egress import EgressPolicy
from hub.channels.sender import Sender
from hub.serving import run

ROOT = Path(__file__).parents[2]
CONNECTIONS = 32
BODY = b'{"resourceType":"Bundle","text":"' + b"x" * 2965 + b'"}'
HEADERS = [("Content-Type", "application/fhir+json"), ("X-Request-ID", "0b0f7f0e-6f0a-5c3e-8d3a-4a1f6d2c9b55")]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
Post = Callable[[], Awaitable[int]]


class Sink(asyncio.Protocol):
    """Answers 200 to every request of whatever length it says."""

    def __init__(self) -> None:
        self._data = bytearray()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            whole = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(self._data) < whole:
                return
            del self._data[:whole]
            self._transport.write(OK)


async def sink() -> int:
    """Tells its ports and its authority's certificate, then serves until its standard input ends."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(Sink, "127.0.0.1", 0)
    secure = await loop.create_server(Sink, "127.0.0.1", 0, ssl=tls)
    ports = [each.sockets[0].getsockname()[1] for each in (plain, secure)]
    print(json.dumps([*ports, authority.cert_pem.bytes().decode()]), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return 0


async def measure(post: Post, deliveries: int) -> tuple[float, float]:
    """Seconds and CPU seconds for so many deliveries, all of which must answer 200."""
    left = iter(range(deliveries))

    async def work() -> None:
        for _ in left:
            assert await post() == 200

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return time.perf_counter() - began, time.process_time() - used


def by_sender(url: str, tls: ssl.SSLContext) -> tuple[Post, Callable[[], Awaitable[None]]]:
    policy = EgressPolicy(allow_private=True, allow_http=True)
    sender = Sender(policy, tls=tls, connections_per_host=CONNECTIONS)

    async def post() -> int:
        return (await sender.send("POST", url, HEADERS, BODY, 15)).status

    return post, sender.aclose


def by_aiohttp(url: str, tls: ssl.SSLContext) -> tuple[Post, Callable[[], Awaitable[None]]]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=15)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls)
    session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
    headers = dict(HEADERS)

    async def post() -> int:
        async with session.post(url, data=BODY, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return int(answer.status)

    return post, session.close


async def compare(url: str, tls: ssl.SSLContext, deliveries: int, rounds: int) -> None:
    makers = {"sender": by_sender}
    if importlib.util.find_spec("aiohttp"):
        makers["aiohttp"] = by_aiohttp
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            post, close = make(url, tls)
            await measure(post, deliveries // 10)  # connections are made
            figures[name].append(await measure(post, deliveries))
            await close()
    per_core = {}
    for name, found in figures.items():
        seconds, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        per_core[name] = deliveries / cpu
        print(
            f"  {name:8} {deliveries / seconds:8,.0f} deliveries/s by the clock, {per_core[name]:8,.0f} per second of "
            f"one core ({cpu / deliveries * 1e6:.1f} us of CPU each)",
            flush=True,
        )
    if "aiohttp" in per_core:
        print(f"  per core: {per_core['sender'] / per_core['aiohttp']:.1f} x aiohttp")
    else:
        print("  aiohttp is not installed here (extra bench)")


async def main(deliveries: int, rounds: int) -> int:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", __spec__.name, "--sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin and process.stdout
        plain, secure, certificate = json.loads(process.stdout.readline())
        tls = ssl.create_default_context(cadata=certificate)
        for url in (f"http://127.0.0.1:{plain}/notify", f"https://127.0.0.1:{secure}/notify"):
            print(f"{url.split(':')[0]}, {CONNECTIONS} connections, {len(BODY)} bytes, median of {rounds}:")
            await compare(url, tls, deliveries, rounds)
        process.stdin.close()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.exit(run(sink() if given.sink else main(given.deliveries, given.rounds)))
