"""The server side of one websocket connection: uvicorn's, with flow control to the last byte and bounds on everything.

uvicorn's own ``send`` comes back when the frame is in the process's buffer. Here it comes back when the operating
system has taken it, so that *delivered* means something and no frame piles up on another. What a client sends is
bounded too: frames by size and by number of fragments, pings by the answers that it does not read.
"""

from __future__ import annotations

import logging
import socket
from asyncio import BaseTransport, Task
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)

LARGEST_FRAME_BYTES = 64 * 1024
"""Of a client: its frames are commands of a line (SECURITY D1)."""
MOST_FRAGMENTS = 64
MOST_UNHANDLED = 1000
"""Frames that were read and wait for an answer; reading pauses long before, but not within one slice."""
SLICE_BYTES = 4096
MOST_UNREAD_BYTES = 64 * 1024
"""Answers to pings that a client leaves unread, beside the frame that is being written."""
SYSTEM_BUFFER_BYTES = 256 * 1024
"""The kernel would let one slow reader have megabytes; with this the memory of a socket is bounded."""
LARGEST_PONG_BYTES = 127
GOODBYE_SECONDS = 3.0
CUT = "hub.cut"
"""Name of the ASGI extension: a callable that ends the connection at once, whatever waits to be written."""


class FlowControlledWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = log  # uvicorn would write a line with the query string for each connection
        self._unread_pongs = 0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BUFFER_BYTES)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cut(self) -> None:
        """End it now. A close would wait for a peer that does not read."""
        self.transport.abort()

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[CUT] = self.cut
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Raises ClientDisconnected when the connection ends before the system has taken everything."""
        if self.close_sent:  # by the keep-alive, or by a frame that broke the rules
            raise ClientDisconnected
        await super().send(message)
        if not self.writable.is_set():
            await self.writable.wait()
            if self.disconnected:
                raise ClientDisconnected

    def data_received(self, data: bytes) -> None:
        """In slices: of tiny frames one read holds tens of thousands, and each costs a hundred times its bytes."""
        for start in range(0, len(data), SLICE_BYTES):
            super().data_received(data[start : start + SLICE_BYTES])
            if self.queue.qsize() > MOST_UNHANDLED:
                self.cut()
            if self.transport.is_closing():
                return

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > MOST_FRAGMENTS:
            self.cut()

    def handle_ping(self) -> None:
        super().handle_ping()
        self._unread_pongs = 0 if self.writable.is_set() else self._unread_pongs + LARGEST_PONG_BYTES
        if self._unread_pongs > MOST_UNREAD_BYTES:
            self.cut()

    def on_task_complete(self, task: Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(GOODBYE_SECONDS, self.cut)
