"""The last seconds of a process: it takes no new connection, and gives the open ones a chance to leave.

A connection that is kept alive is closed by the answer to its next request, which says so; one that asks nothing any
more is closed after a while. So a client that goes on asking never has a request fail.
"""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DRAIN_SECONDS = 2.0
LOOK_SECONDS = 0.02
CLOSE = (b"connection", b"close")


class Drain:
    """``app``, and from ``run`` on with answers that close their connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._draining or scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], CLOSE]
            await send(message)

        await self._app(scope, receive, send_last)

    async def run(self, server: uvicorn.Server) -> None:
        """Until no connection is left, or for DRAIN_SECONDS, or until the server is forced to end."""
        self._draining = True
        for door in getattr(server, "servers", ()):
            door.close()
        deadline = asyncio.get_running_loop().time() + min(DRAIN_SECONDS, server.config.timeout_graceful_shutdown or 0)
        while _open(server) and not server.force_exit and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(LOOK_SECONDS)


def _open(server: uvicorn.Server) -> bool:
    """Sockets are not waited for: they are told to come again by their own closing."""
    return any(isinstance(each, HttpToolsProtocol) for each in server.server_state.connections)
