"""Real receivers on loopback, honest and lying ones, and senders that may call them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from hub.channels.egress import EgressPolicy
from hub.channels.sender import Sender
from tests.channels.receivers import OK, Receiver, Script, answering


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Receiver]]]:
    """Start a receiver: ``await serve(script)``, with ``tls=context`` for https."""
    servers: list[asyncio.Server] = []
    receivers: list[Receiver] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(script: Script | bytes = OK, tls: ssl.SSLContext | None = None) -> Receiver:
        receiver = Receiver(scheme="https" if tls else "http")
        run = answering(script) if isinstance(script, bytes) else script

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            receiver.connections += 1
            receiver.writers.append(writer)
            current = asyncio.current_task()
            assert current is not None
            tasks.add(current)
            with suppress(ConnectionError, asyncio.CancelledError):
                await run(receiver, reader, writer)
            tasks.discard(current)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls, limit=2**20)
        receiver.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        receivers.append(receiver)
        return receiver

    yield start
    for server in servers:
        server.close()
    for task in list(tasks):
        task.cancel()
    for receiver in receivers:
        for writer in receiver.writers:
            writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.fixture
async def make_sender() -> AsyncIterator[Callable[..., Sender]]:
    """A sender that may call loopback over http unless told otherwise; closed at the end, with nothing left open."""
    senders: list[Sender] = []

    def make(policy: EgressPolicy | None = None, **options: Any) -> Sender:
        sender = Sender(policy or EgressPolicy(allow_private=True, allow_http=True), **options)
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.aclose()
        assert sender.pool.open_count == sender.pool.idle_count == sender.pool.lane_count == 0


@pytest.fixture
def sender(make_sender: Callable[..., Sender]) -> Sender:
    return make_sender()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
