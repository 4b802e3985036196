"""The same hub behind its real HTTP server: what only shows on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient
from tests.api.harness import RunningHub
from tests.api.receiver import SECONDS

BODY = b'{"resourceType":"Patient","id":"%s","active":true}'


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(scope="module")
async def port(running: RunningHub) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        running.app, log_config=None, access_log=False, loop="none", http="httptools", ws="none", lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield int(listener.getsockname()[1])
    server.should_exit = True
    await task
    listener.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection, on which any bytes can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, raw: bytes) -> None:
        self._writer.write(raw)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        async with asyncio.timeout(SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def ended(self) -> bool:
        async with asyncio.timeout(SECONDS):
            return await self._reader.read() == b""


@pytest.fixture
async def wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Wire(reader, writer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def put(base: FhirVersion, identity: str, *headers: str, body: bytes = b"") -> bytes:
    body = body or BODY % identity.encode()
    lines = [
        f"PUT {base.path}/Patient/{identity} HTTP/1.1", "Host: h", "Content-Type: application/fhir+json",
        *(headers or [f"Content-Length: {len(body)}"]), "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


async def test_one_connection_carries_many_requests_with_and_without_bodies(wire: Wire, base: FhirVersion) -> None:
    """204, 304 and HEAD have no body: a wrong length here would shift every answer after it."""
    identity = fresh_id()
    path = f"{base.path}/Patient/{identity}"
    wire.write(put(base, identity))
    assert (await wire.answer()).status == 201
    wire.write(f"HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert (await wire.answer(bodiless=True)).status == 200
    wire.write(f'GET {path} HTTP/1.1\r\nHost: h\r\nIf-None-Match: W/"1"\r\n\r\n'.encode())
    assert (await wire.answer()).status == 304
    wire.write(f"DELETE {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert (await wire.answer()).status == 204
    wire.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    gone = await wire.answer()
    assert (gone.status, json.loads(gone.body)["resourceType"]) == (410, "OperationOutcome")


async def test_a_body_in_chunks_is_one_body(wire: Wire, base: FhirVersion) -> None:
    identity = fresh_id()
    body = BODY % identity.encode()
    parts = [body[start : start + 7] for start in range(0, len(body), 7)] + [b""]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    wire.write(put(base, identity, "Transfer-Encoding: chunked", body=chunks))
    answer = await wire.answer()
    assert answer.status == 201 and json.loads(answer.body)["active"] is True


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_limit_is_413_before_it_was_read(
    wire: Wire, running: RunningHub, base: FhirVersion, announced: bool
) -> None:
    """SECURITY E1. The rest is not taken in: the connection ends."""
    most = running.hub.settings.max_body_bytes
    header = f"Content-Length: {most * 100}" if announced else "Transfer-Encoding: chunked"
    first = b"x" * 10 if announced else b"%x\r\n%s\r\n" % (most + 1, b"x" * (most + 1))
    wire.write(put(base, fresh_id(), header, body=first))
    answer = await wire.answer()
    assert (answer.status, json.loads(answer.body)["resourceType"]) == (413, "OperationOutcome")


async def test_a_body_that_breaks_off_changes_nothing(port: int, running: RunningHub, base: FhirVersion) -> None:
    identity = fresh_id()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(put(base, identity, "Content-Length: 4000"))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert (await running.api(base).get(f"Patient/{identity}")).status_code == 404
    assert (await running.api(base).put(f"Patient/{identity}", patient(identity))).headers["etag"] == 'W/"1"'


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", NO_HTTP)
async def test_what_is_not_http_is_refused_by_the_server(wire: Wire, raw: bytes) -> None:
    wire.write(raw)
    assert 400 <= (await wire.answer()).status < 500
    assert await wire.ended()
