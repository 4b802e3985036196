"""Sockets that misbehave: each ends as documented, memory stays flat, and the others go on."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from hub.domain.versions import FhirVersion
from tests.api.harness import Api
from tests.sockets.harness import PATIENCE_SECONDS, Served, board, change, subscribe, token, until
from tests.sockets.processes import hub_processes

R5 = FhirVersion.R5
Serve = Callable[..., Awaitable[Served]]
TEXT, BYTES, PING, CONTINUATION = 1, 2, 9, 0


class RawSocket:
    """A client that keeps no rule: it writes what bytes it likes and reads only if it wants to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def frame(self, opcode: int, payload: bytes = b"", *, final: bool = True, announced: int | None = None) -> bytes:
        size = len(payload) if announced is None else announced
        head = bytes([opcode | (0x80 if final else 0)])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        return head + bytes(4) + payload  # a mask of zeros leaves the payload as it is

    async def write(self, data: bytes) -> bool:
        """False when the hub has ended it, or takes no more."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(1):
                await self.writer.drain()
                await asyncio.sleep(0)  # below its high-water mark drain does not look at the connection
        except (OSError, TimeoutError):
            return False
        return True

    async def write_until_ended(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.write(data):
                pass

    async def close_code(self) -> int:
        """Read frames of the hub until its close frame; 1006 when it just ended."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    opcode, size = await self.reader.readexactly(2)
                    if size == 126:
                        (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                    elif size == 127:
                        (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
                    payload = await self.reader.readexactly(size)
                    if opcode & 0x0F == 8:
                        return int.from_bytes(payload[:2], "big")
        except (OSError, asyncio.IncompleteReadError):
            return 1006


@asynccontextmanager
async def raw_socket(url: str, receive_buffer: int = 4096) -> AsyncIterator[RawSocket]:
    host, port = url.removeprefix("http://").split(":")
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    end.setblocking(False)
    await asyncio.get_running_loop().sock_connect(end, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=end, limit=2**16)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET /fhir/r5/websocket HTTP/1.1", f"Host: {host}:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    writer.write("\r\n".join(lines).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()


async def test_a_reader_that_stops_is_cut_and_goes_on_where_it_was(serve: Serve) -> None:
    served = await serve()
    api = served.api(R5)
    slow = await subscribe(api, content="full-resource", timeout=1)
    honest = await subscribe(api)
    async with raw_socket(served.url) as stuck, board(served.url, R5) as client:
        await stuck.write(stuck.frame(TEXT, f"bind-with-token {await token(api, slow)}".encode()))
        await client.say(f"bind-with-token {await token(api, honest)}")
        await client.next_of("handshake")
        name = f"default|r5|{slow}"
        await until(lambda: _is(served, name, deaf=False))
        for number in range(6):  # 3 MB: more than all buffers on the way hold
            body = {"resourceType": "Patient", "id": slow, "name": [{"text": f"{number}" + "x" * 500_000}]}
            await api.put(f"Patient/{slow}", body)
            await change(api, honest, start=number)
            assert await client.numbers(number + 1) == [number + 1], "others are not held up"
        await until(lambda: _is(served, name, deaf=True))
        (record,) = await served.hub.subscriptions.records([name])
        assert record is not None
        assert (record.failures, record.error, str(record.status)) == (0, None, "active")
    async with board(served.url, R5) as client:
        await client.say(f"bind-with-token {await token(api, slow)} {slow}=0")
        assert await client.numbers(6) == [1, 2, 3, 4, 5, 6]


async def _is(served: Served, name: str, *, deaf: bool) -> bool:
    (record,) = await served.hub.subscriptions.records([name])
    return record is not None and record.deaf is deaf


async def test_a_flood_of_frames_ends_with_4429(served: Served) -> None:
    async with board(served.url, R5) as client:
        for _ in range(200):
            await client.say("hello")
        assert await client.closed() == 4429
        assert client.frames[-1]["issue"][0]["code"] == "throttled"


async def test_bytes_end_with_4400_and_a_frame_too_large_with_1009(served: Served) -> None:
    async with board(served.url, R5) as client:
        await client.say(b"bind-with-token")
        assert await client.outcome() == "structure"
        assert await client.closed() == 4400
    async with board(served.url, R5) as client:
        await client.say("x" * 70_000)
        assert await client.closed() == 1009
    async with raw_socket(served.url) as raw:
        await raw.write(raw.frame(TEXT, b"x", announced=2**40))
        assert await raw.close_code() == 1009


async def test_what_is_no_websocket_frame_ends_it(served: Served) -> None:
    for nonsense in (b"\xff\xff\xff\xff", b"\x81\x01x", b"\xc1\x80\x00\x00\x00\x00", b"\x81\x81\x00\x00\x00\x00\xff"):
        async with raw_socket(served.url) as raw:
            await raw.write(nonsense)
            assert await raw.close_code() in (1002, 1007)


async def test_pieces_of_a_frame_without_end_are_cut(served: Served) -> None:
    async with raw_socket(served.url) as raw:
        await raw.write(raw.frame(TEXT, b"", final=False))
        piece = raw.frame(CONTINUATION, b"", final=False)
        await raw.write_until_ended(piece * 1000)


async def test_who_answers_no_pings_is_closed_and_that_is_no_failure(serve: Serve) -> None:
    served = await serve(ws_ping_seconds=1)
    api = served.api(R5)
    identity = await subscribe(api)
    async with raw_socket(served.url) as raw:
        await raw.write(raw.frame(TEXT, f"bind-with-token {await token(api, identity)}".encode()))
        name = f"default|r5|{identity}"
        await until(lambda: _is(served, name, deaf=False))
        number = 0
        while not await _is(served, name, deaf=True):  # events keep coming while the hub closes it
            await change(api, identity, start=number)
            number += 1
        assert await raw.close_code() == 1011
        (record,) = await served.hub.subscriptions.records([name])
        assert record is not None and (record.failures, record.error) == (0, None)
    async with board(served.url, R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {identity}=0")
        assert await client.numbers(number) == list(range(1, number + 1))


async def test_there_are_only_so_many_sockets(serve: Serve) -> None:
    served = await serve(ws_max_sockets=2)
    async with board(served.url, R5), board(served.url, R5):
        with pytest.raises(InvalidStatus) as refusal:
            async with board(served.url, R5):
                pass
        assert refusal.value.response.status_code == 503
        assert refusal.value.response.headers["Retry-After"] == "2"
    await until(lambda: _no_sockets(served))
    async with board(served.url, R5):
        pass


async def _no_sockets(served: Served) -> bool:
    return not served.hub.listening.board.all()


async def test_there_is_nothing_at_other_addresses(served: Served) -> None:
    for path in ("/", "/fhir/r6/websocket", "/fhir/r5/Patient", "/fhir/r5/websocket/x"):
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws{served.url.removeprefix('http')}{path}", proxy=None):
                pass
        assert refusal.value.response.status_code == 404


async def test_floods_of_every_kind_leave_memory_flat_and_others_unharmed(tmp_path: Path) -> None:
    """Pings whose answers are not read, frames without end, tiny frames, and readers that stop: together, for long."""
    async with hub_processes(tmp_path) as start:
        hub = await start("flooded", HUB_WS_BIND_SECONDS="5")
        api = hub.api(R5)
        honest = await subscribe(api)
        async with board(hub.url, R5) as client:
            await client.say(f"bind-with-token {await token(api, honest)}")
            await client.next_of("handshake")
            await _flood(hub.url, api, 5)
            before = hub.resident_bytes()
            flood = asyncio.create_task(_flood(hub.url, api, 60))
            number = 0
            while not flood.done() or not number:
                await change(api, honest, start=number)
                number += 1
                assert await client.numbers(number) == [number]
            await flood
            assert hub.resident_bytes() - before < 48 * 2**20
        assert "Traceback" not in str(hub.lines)


async def _flood(url: str, api: Api, count: int) -> None:
    async def one(number: int) -> None:
        kinds = (
            lambda raw: raw.frame(PING, b"p" * 125) * 500,
            lambda raw: raw.frame(TEXT, b"x") * 5000,
            lambda raw: raw.frame(TEXT, b"x" * 60_000, final=False),
            lambda raw: raw.frame(BYTES, b"x" * 1000) * 50,
        )
        async with raw_socket(url) as raw:
            if number % 5 == 4:
                slow = await subscribe(api, content="full-resource", timeout=1)
                await raw.write(raw.frame(TEXT, f"bind-with-token {await token(api, slow)}".encode()))
                for size in range(4):
                    body = {"resourceType": "Patient", "id": slow, "name": [{"text": f"{size}" + "x" * 300_000}]}
                    await api.put(f"Patient/{slow}", body)
                return
            await raw.write_until_ended(kinds[number % 4](raw))

    await asyncio.gather(*(one(number) for number in range(count)))
