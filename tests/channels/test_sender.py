"""The sender against honest receivers: one answer per request, connections reused, nothing left behind."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hub.channels.egress import EgressPolicy
from hub.channels.request import USER_AGENT
from hub.channels.response import Failure
from hub.channels.sender import Sender
from tests.channels.receivers import OK, Receiver, answering, closing_after, read_request


async def test_request_is_a_plain_http_1_1_post(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    response = await sender.post(receiver.url("/a?b=c"), [("X-A", "1"), (b"X-A", b"2")], b"{}", 5)
    assert (response.status, response.body, response.failure) == (200, b"ok", None)
    (request,) = receiver.requests
    assert (request.line, request.body) == ("POST /a?b=c HTTP/1.1", b"{}")
    assert request.headers == [
        ("host", f"127.0.0.1:{receiver.port}"),
        ("user-agent", USER_AGENT),
        ("accept", "application/fhir+json, */*"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("content-length", "2"),
    ]


async def test_connection_is_reused(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    for _ in range(5):
        assert (await sender.post(receiver.url(), [], b"{}", 5)).status == 200
    assert (receiver.connections, len(receiver.requests)) == (1, 5)


async def test_connection_used_last_is_taken_first(serve: Any, sender: Sender) -> None:
    release = asyncio.Event()

    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = receiver.connections
        while await read_request(reader):
            receiver.served.append(number)
            if number == 1:
                await release.wait()
            writer.write(OK)

    receiver = await serve(script)
    first = asyncio.create_task(sender.post(receiver.url(), [], b"", 5))
    while not receiver.served:
        await asyncio.sleep(0)
    await sender.post(receiver.url(), [], b"", 5)  # opens the second connection, is done first
    release.set()
    await first
    for _ in range(3):
        await sender.post(receiver.url(), [], b"", 5)
    assert receiver.served == [1, 2, 1, 1, 1]


async def test_connection_that_the_receiver_closed_is_not_written_to(serve: Any, sender: Sender) -> None:
    receiver = await serve(closing_after(OK))
    for _ in range(20):
        assert (await sender.post(receiver.url(), [], b"{}", 5)).status == 200
        await asyncio.sleep(0.001)
    assert len(receiver.requests) == receiver.connections == 20


async def test_close_that_the_event_loop_has_not_seen_yet_is_noticed(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    await sender.post(receiver.url(), [], b"{}", 5)
    (connection,) = sender.pool._open
    transport = connection._transport
    assert transport is not None
    transport.pause_reading()  # as if the loop had not come round to it
    receiver.writers[0].close()
    await asyncio.sleep(0.01)
    assert connection.stale
    assert (await sender.post(receiver.url(), [], b"{}", 5)).status == 200
    assert receiver.connections == 2


async def test_request_is_not_sent_again_when_the_connection_dies_without_answer(serve: Any, sender: Sender) -> None:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            receiver.requests.append(request)
            if len(receiver.requests) == 2:
                writer.transport.abort()
            writer.write(OK)

    receiver = await serve(script)
    assert (await sender.post(receiver.url(), [], b"1", 5)).status == 200
    lost = await sender.post(receiver.url(), [], b"2", 5)
    assert (lost.status, lost.failure) == (0, Failure.CONNECTION_LOST)
    assert [request.body for request in receiver.requests] == [b"1", b"2"]


async def test_chunked_and_interim_answers_keep_the_connection(serve: Any, sender: Sender) -> None:
    receiver = await serve(
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    for _ in range(3):
        response = await sender.post(receiver.url(), [], b"{}", 5)
        assert (response.status, response.body) == (201, b"ok")
    assert receiver.connections == 1


async def test_answer_that_ends_with_the_connection_is_read_to_its_end(serve: Any, sender: Sender) -> None:
    receiver = await serve(closing_after(b"HTTP/1.1 409 Conflict\r\n\r\n" + b"a" * 30_000))
    response = await sender.post(receiver.url(), [], b"{}", 5)
    assert (response.status, len(response.body)) == (409, 30_000)


async def test_large_body_arrives_whole(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    body = bytes(range(256)) * 32_768  # 8 MiB
    for _ in range(2):
        assert (await sender.post(receiver.url(), [], body, 10)).status == 200
    assert [request.body == body for request in receiver.requests] == [True, True]
    assert receiver.connections == 1


async def test_early_refusal_ends_the_attempt_while_the_body_is_on_its_way(serve: Any, sender: Sender) -> None:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(5)

    receiver = await serve(script)
    response = await sender.post(receiver.url(), [], b"a" * 30_000_000, 5)
    assert response.status == 413
    assert response.duration_seconds < 2
    assert sender.pool.idle_count == 0


async def test_early_success_does_not_cut_off_the_body(serve: Any, sender: Sender) -> None:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        receiver.served.append(len(await reader.readexactly(length)))

    receiver = await serve(script)
    assert (await sender.post(receiver.url(), [], b"a" * 20_000_000, 10)).status == 202
    await asyncio.sleep(0.02)
    assert receiver.served == [20_000_000]


async def test_host_has_no_more_connections_than_its_cap(serve: Any, make_sender: Callable[..., Sender]) -> None:
    now = most = 0

    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        while await read_request(reader):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1
            writer.write(OK)

    receiver = await serve(script)
    sender = make_sender(connections_per_host=3)
    responses = await asyncio.gather(*(sender.post(receiver.url(), [], b"", 10) for _ in range(60)))
    assert {response.status for response in responses} == {200}
    assert (receiver.connections, most) == (3, 3)


async def test_waiting_for_a_slot_counts_towards_the_deadline(serve: Any, make_sender: Callable[..., Sender]) -> None:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))  # type: ignore[arg-type]
        await asyncio.sleep(5)

    receiver = await serve(script)
    sender = make_sender(connections_per_host=1)
    responses = await asyncio.gather(*(sender.post(receiver.url(), [], b"", 0.1) for _ in range(5)))
    assert {response.failure for response in responses} == {Failure.TIMED_OUT}
    assert max(response.duration_seconds for response in responses) < 0.5
    assert len(receiver.requests) == 1


async def test_many_posts_to_several_hosts_each_get_their_own_answer(serve: Any, sender: Sender) -> None:
    async def echo(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            receiver.requests.append(request)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)

    receivers = [await serve(echo) for _ in range(8)]

    async def post(number: int) -> None:
        body = f"{number}".encode() * (number % 50)
        response = await sender.post(receivers[number % 8].url(), [], body, 20)
        assert (response.status, response.body) == (200, body)

    await asyncio.gather(*(post(number) for number in range(1600)))
    assert [len(receiver.requests) for receiver in receivers] == [200] * 8
    assert all(receiver.connections <= 16 for receiver in receivers)


async def test_idle_connections_are_closed_after_their_time(serve: Any, make_sender: Callable[..., Sender]) -> None:
    receiver = await serve()
    sender = make_sender(idle_seconds=0.05)
    await asyncio.gather(*(sender.post(receiver.url(), [], b"", 5) for _ in range(4)))
    assert (sender.pool.idle_count, sender.pool.lane_count) == (4, 1)
    await asyncio.sleep(0.1)
    assert (sender.pool.idle_count, sender.pool.open_count, sender.pool.lane_count) == (0, 0, 0)


async def test_oldest_idle_connection_gives_way_at_the_limit(serve: Any, make_sender: Callable[..., Sender]) -> None:
    receivers = [await serve() for _ in range(3)]
    sender = make_sender(idle_limit=2)
    for receiver in receivers:
        await sender.post(receiver.url(), [], b"", 5)
    assert sender.pool.idle_count == 2
    for receiver in (receivers[2], receivers[1], receivers[0]):
        await sender.post(receiver.url(), [], b"", 5)
    assert [receiver.connections for receiver in receivers] == [2, 1, 1]


async def test_old_connection_is_not_kept(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    await sender.post(receiver.url(), [], b"", 5)
    (connection,) = sender.pool._open
    connection.opened_at -= 301
    for _ in range(2):
        await sender.post(receiver.url(), [], b"", 5)
    assert receiver.connections == 2


async def test_cancelled_attempt_cuts_its_connection_and_frees_its_slot(
    serve: Any, make_sender: Callable[..., Sender]
) -> None:
    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))  # type: ignore[arg-type]
        if len(receiver.requests) == 1:
            receiver.served.append(len(await reader.read()))  # returns when the sender cuts
        writer.write(OK)
        await asyncio.sleep(0.1)

    receiver = await serve(script)
    sender = make_sender(connections_per_host=1)
    attempt = asyncio.create_task(sender.post(receiver.url(), [], b"", 5))
    while not receiver.requests:
        await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert (await sender.post(receiver.url(), [], b"", 1)).status == 200
    assert receiver.served == [0]


async def test_cancelled_while_connecting_leaves_nothing_open(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    for turns in range(20):
        attempt = asyncio.create_task(sender.post(receiver.url(), [("Connection-Name", str(turns))], b"", 5))
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait([attempt])
    await asyncio.sleep(0)
    assert (sender.pool.open_count, sender.pool.lane_count) == (0, 0)


async def test_close_ends_running_attempts_and_refuses_new_ones(serve: Any, make_sender: Callable[..., Sender]) -> None:
    async def silent(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    receiver = await serve(silent)
    sender = make_sender(resolve=never, connections_per_host=1)
    urls = [receiver.url(), receiver.url(), "http://slow.example/"]  # in exchange, waiting for a slot, resolving
    attempts = [asyncio.create_task(sender.post(url, [], b"", 60)) for url in urls]
    await asyncio.sleep(0.05)
    await asyncio.wait_for(sender.aclose(), 1)
    assert all(attempt.done() for attempt in attempts)
    failures = [(await attempt).failure for attempt in attempts]
    assert failures == [Failure.CONNECTION_LOST, Failure.SENDER_CLOSED, Failure.SENDER_CLOSED]
    assert (await sender.post(receiver.url(), [], b"", 5)).failure is Failure.SENDER_CLOSED
    await sender.aclose()


async def test_refused_connection_and_endpoint_and_header_are_values_not_exceptions(
    serve: Any, make_sender: Callable[..., Sender], free_port: int
) -> None:
    receiver = await serve()
    closed = make_sender(EgressPolicy(allow_http=True))
    sender = make_sender()
    cases = [
        (closed, receiver.url(), [], Failure.NOT_ALLOWED),
        (sender, "ftp://127.0.0.1/", [], Failure.NOT_ALLOWED),
        (sender, receiver.url(), [("X", "a\r\nb")], Failure.NOT_SENDABLE),
        (sender, receiver.url(), [("Transfer-Encoding", "chunked")], Failure.NOT_SENDABLE),
        (sender, f"http://127.0.0.1:{free_port}/", [], Failure.CONNECTION_FAILED),
    ]
    for client, url, headers, failure in cases:
        assert (await client.post(url, headers, b"", 5)).failure is failure
    assert receiver.connections == 0


async def test_ipv6_receiver_is_called(sender: Sender) -> None:
    receiver = Receiver()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(OK)(receiver, reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await sender.post(f"http://[::1]:{port}/", [], b"", 5)).status == 200
    assert receiver.requests[0].values("host") == [f"[::1]:{port}"]
    await sender.aclose()
    server.close()
    await asyncio.sleep(0.01)
