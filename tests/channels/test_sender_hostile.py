"""The sender against receivers that lie, drip, flood and lure (SECURITY B4, B5)."""

import asyncio
import resource
from typing import Any

import pytest

from hub.channels.answer import BODY_LIMIT_BYTES
from hub.channels.response import Failure
from hub.channels.sender import Sender
from tests.channels.receivers import OK, Receiver, closing_after, read_request


def dripping(head: bytes, drop: bytes, every_seconds: float) -> Any:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while not writer.is_closing():
            writer.write(drop)
            await asyncio.sleep(every_seconds)

    return script


def flooding(head: bytes, drop: bytes, sent: list[int]) -> Any:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(drop)
            sent[0] += len(drop)
            await writer.drain()

    return script


async def test_dripped_headers_end_on_time(serve: Any, sender: Sender) -> None:
    receiver = await serve(dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", 0.02))
    response = await sender.post(receiver.url(), [], b"{}", 0.3)
    assert response.failure is Failure.TIMED_OUT
    assert 0.29 < response.duration_seconds < 0.6


async def test_dripped_body_ends_on_time_and_the_status_counts(serve: Any, sender: Sender) -> None:
    receiver = await serve(
        dripping(b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 100000\r\n\r\n", b"a", 0.02)
    )
    response = await sender.post(receiver.url(), [], b"{}", 0.3)
    assert (response.status, response.headers) == (503, {"retry-after": "9"})
    assert 0.29 < response.duration_seconds < 0.6
    assert sender.pool.open_count == 0 or sender.pool.idle_count == 0


async def test_silent_receiver_ends_on_time(serve: Any, sender: Sender) -> None:
    async def silent(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    receiver = await serve(silent)
    response = await sender.post(receiver.url(), [], b"{}", 0.2)
    assert response.failure is Failure.TIMED_OUT
    assert 0.19 < response.duration_seconds < 0.5


async def test_receiver_that_does_not_read_ends_on_time(serve: Any, sender: Sender) -> None:
    async def deaf(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)

    receiver = await serve(deaf)
    response = await sender.post(receiver.url(), [], b"a" * 30_000_000, 0.3)
    assert response.failure is Failure.TIMED_OUT
    assert response.duration_seconds < 1


@pytest.mark.parametrize(
    ("head", "drop", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"a" * 65536, 200),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"a" * 65536, 500),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"a" * 4096 + b"\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 65536, 200),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 8192, 0),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 65536, 0),
        (b"HTTP/1.1 200 ", b"a" * 65536, 0),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4096, 0),
    ],
    ids=["length", "until-close", "chunked", "extension", "headers", "one-header", "reason", "interim"],
)
async def test_endless_answer_is_cut_and_memory_stays_flat(
    serve: Any, sender: Sender, head: bytes, drop: bytes, status: int
) -> None:
    sent = [0]
    receiver = await serve(flooding(head, drop, sent))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = await sender.post(receiver.url(), [], b"{}", 10)
    assert response.status == status
    assert response.failure is (None if status else Failure.HEADERS_TOO_LARGE)
    assert len(response.body) <= BODY_LIMIT_BYTES
    assert response.duration_seconds < 5
    await asyncio.sleep(0.02)
    assert sender.pool.open_count == 0
    assert sent[0] < 40_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000  # KiB, the receiver's buffers included


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nok\r\n0\r\n\r\n", b"ffffffffffffffff0\r\n", b"2\r\nokXX0\r\n\r\n", b"-2\r\nok\r\n"]
)
async def test_invalid_chunks_close_the_connection_and_the_status_counts(
    serve: Any, sender: Sender, chunks: bytes
) -> None:
    receiver = await serve(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    for connections in (1, 2):
        assert (await sender.post(receiver.url(), [], b"{}", 5)).status == 500
        assert receiver.connections == connections


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_connection_closed_before_the_headers_end_is_a_failed_attempt(
    serve: Any, sender: Sender, answer: bytes
) -> None:
    receiver = await serve(closing_after(answer))
    response = await sender.post(receiver.url(), [], b"{}", 5)
    assert (response.failure, len(receiver.requests)) == (Failure.CONNECTION_LOST, 1)


async def test_receiver_of_another_protocol_is_no_http(serve: Any, sender: Sender) -> None:
    for banner in (b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail.example ESMTP\r\n", b"-ERR unknown command\r\n"):
        receiver = await serve(banner)
        assert (await sender.post(receiver.url(), [], b"{}", 5)).failure is Failure.NOT_HTTP


async def test_answers_sent_ahead_never_answer_the_next_request(serve: Any, sender: Sender) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    honest = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

    async def late(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(honest)
            await asyncio.sleep(0.01)
            writer.write(forged)

    for receiver in (await serve(honest + forged), await serve(late)):
        for _ in range(3):
            response = await sender.post(receiver.url(), [], b"{}", 5)
            assert (response.status, response.body) == (503, b"")
            await asyncio.sleep(0.03)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(serve: Any, sender: Sender, status: int) -> None:
    canary = await serve()
    location = f"HTTP/1.1 {status} Moved\r\nLocation: {canary.url()}\r\nContent-Length: 0\r\n\r\n"
    receiver = await serve(location.encode())
    assert (await sender.post(receiver.url(), [], b"{}", 5)).status == status
    assert (len(receiver.requests), canary.connections) == (1, 0)


async def test_cookie_is_not_sent_back(serve: Any, sender: Sender) -> None:
    receiver = await serve(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):
        await sender.post(receiver.url(), [], b"{}", 5)
    assert [request.values("cookie") for request in receiver.requests] == [[], []]


async def test_proxy_of_the_environment_is_ignored(serve: Any, sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    canary, receiver = await serve(), await serve()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, canary.url("/"))
        monkeypatch.setenv(name.upper(), canary.url("/"))
    monkeypatch.delenv("no_proxy", raising=False)
    assert (await sender.post(receiver.url(), [], b"{}", 5)).status == 200
    assert (len(receiver.requests), canary.connections) == (1, 0)


async def test_slow_host_does_not_hold_up_another(serve: Any, sender: Sender) -> None:
    async def silent(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    slow, quick = await serve(silent), await serve(OK)
    waiting = [asyncio.create_task(sender.post(slow.url(), [], b"", 0.5)) for _ in range(100)]
    await asyncio.sleep(0.05)
    responses = await asyncio.gather(*(sender.post(quick.url(), [], b"", 0.4) for _ in range(100)))
    assert {response.status for response in responses} == {200}
    assert {(await attempt).failure for attempt in waiting} == {Failure.TIMED_OUT}
