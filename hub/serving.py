"""``hub serve``: one process that listens, evaluates and delivers until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from hub.app import Hub, create_app
from hub.channels.websocket_server import LARGEST_FRAME_BYTES, FlowControlledWebSocket
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.readiness import DURABILITY_IN_WORDS
from hub.settings import Settings
from hub.telemetry import set_up_logging

BACKLOG = 2048


def run(main: Coroutine[Any, Any, int]) -> int:
    """On uvloop where there is one: it halves the cost of a request."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def serve(settings: Settings, *, dev: bool) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises CannotStart."""
    set_up_logging(settings.log)
    listener = _listen(settings)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    hub = Hub(settings, dev=dev)
    try:
        await hub.start()
        gc.collect()
        gc.freeze()  # what was loaded stays: no later collection need look at it (decision 0010)
        guard, token = await hub.guard()
        _greet(settings, dev=dev, open_to_all=guard.open_to_all, token=token)
        config = server_config(create_app(hub, guard), settings)
        await _serve_until_told(_Server(config), listener)
    finally:
        await hub.stop()
        listener.close()
    return 0


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How this application is served, over HTTP/1.1 and websockets."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        loop="none",
        http="httptools",
        ws=FlowControlledWebSocket,
        ws_max_size=LARGEST_FRAME_BYTES,
        ws_ping_interval=settings.ws_ping_seconds,
        ws_ping_timeout=settings.ws_ping_seconds,
        ws_per_message_deflate=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


class _Server(uvicorn.Server):
    """uvicorn would end the process by the signal it got, before the hub has given back what it holds."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve_until_told(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; a second one does not wait for open requests."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[listener])


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as problem:
        listener.close()
        raise CannotStart(f"cannot listen on {settings.host}:{settings.port}: {problem.strerror}") from problem
    listener.listen(BACKLOG)
    return listener


def _greet(settings: Settings, *, dev: bool, open_to_all: bool, token: str) -> None:
    lines = [f"The hub listens. {DURABILITY_IN_WORDS[settings.durability]}"]
    lines += [f"  {version.name:4} {settings.base_url_of(version)}" for version in FhirVersion]
    if dev:
        who = "no token is asked for, " if open_to_all else ""
        lines.append(f"DEVELOPMENT MODE: {who}http and private endpoints are called. Not for patients' data.")
    if token:
        lines.append(f"No HUB_TOKEN is set. This token was made now and is shown only this once:\n  {token}")
    print("\n".join(lines), file=sys.stderr, flush=True)
