"""The subscriber's side: a little HTTP server on loopback that can go down and come back on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from hub.demo.ports import LOOPBACK, ReservedPort

PATH = "/notifications"
_ANSWERS = {
    True: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    False: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


class Receiver:
    """Hands every notification to ``heard`` and then answers 200; what ``heard`` cannot read is answered 400."""

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        self._heard = heard
        self._port = ReservedPort()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port.number}{PATH}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port.number, reuse_address=True)

    async def stop(self) -> None:
        """Refuse new connections and drop the open ones, as a crashed receiver would."""
        if self._server:
            self._server.close()
            for connection in list(self._connections):
                connection.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def close(self) -> None:
        await self.stop()
        self._port.release()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            # The sender going away, or stop() above, ends a connection; neither is worth a word.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    body = await _read_request(reader)
                    writer.write(_ANSWERS[self._understood(body)])
                    await writer.drain()
        finally:
            self._connections.discard(writer)
            writer.close()

    def _understood(self, body: bytes) -> bool:
        try:
            self._heard(json.loads(body))
        except (ValueError, LookupError, TypeError):
            return False
        return True


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request, of which the sender says the length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    headers = dict(line.lower().split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
    return await reader.readexactly(int(headers.get("content-length", "0")))
