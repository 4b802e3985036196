"""``hub serve`` and ``hub worker``: a process that listens, evaluates and delivers until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from hub.app import Hub, create_app, create_health
from hub.channels.websocket_server import LARGEST_FRAME_BYTES, FlowControlledWebSocket
from hub.domain.versions import FhirVersion
from hub.draining import Drain
from hub.durability import durability_in_words
from hub.errors import Away, CannotStart, Unavailable
from hub.processes import Parent, serve_in_processes
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


@dataclass(frozen=True, slots=True)
class Role:
    """What this process is to be. ``api`` False: it evaluates and delivers, and answers for its health alone.

    ``listener`` and ``parent`` are files that the process which started this one handed over.
    """

    dev: bool = False
    api: bool = True
    listener: int | None = None
    parent: int | None = None

    def command(self, settings: Settings) -> list[str]:
        """The arguments of ``hub`` for another process of this role."""
        words = ["serve" if self.api else "worker", *(["--dev"] if self.dev else [])]
        return [*words, "--host", settings.host, "--port", str(settings.port), "--data-dir", str(settings.data_dir)]


async def serve(settings: Settings, role: Role) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises CannotStart."""
    set_up_logging(settings.log)
    if not role.api and not settings.base_url:
        raise CannotStart("hub worker needs HUB_BASE_URL: notifications name the address where the API is")
    listener = _listen(settings) if role.listener is None else socket.socket(fileno=role.listener)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    try:
        if settings.workers > 1 and role.parent is None:
            return await serve_in_processes(settings, role.command(settings), listener, lambda: _greet(settings, role))
        return await _serve_alone(settings, role, listener)
    finally:
        listener.close()


async def _serve_alone(settings: Settings, role: Role, listener: socket.socket) -> int:
    parent = Parent(role.parent) if role.parent is not None else None
    hub = Hub(settings, dev=role.dev)
    try:
        _keep_what_is_loaded()
        await _begin(hub)
        if role.api:
            guard, token = await hub.guard()
            app = create_app(hub, guard)
        else:
            app, token = create_health(hub), ""
        if parent is None:
            _greet(settings, role)
        if token:
            _show(f"No HUB_TOKEN is set. This token was made now and is shown only this once:\n  {token}")
        drain = Drain(app)
        reading = asyncio.create_task(_read(hub))
        await _serve_until_told(_Server(server_config(drain, settings)), listener, drain, parent, reading)
        reading.cancel()
    finally:
        await hub.stop()
    return 0


async def _begin(hub: Hub) -> None:
    try:
        await hub.begin()
    except Unavailable as problem:  # it went away in the middle
        raise Away(str(problem)) from problem


async def _read(hub: Hub) -> None:
    """Until the hub has read what it holds."""
    await hub.opening.done.wait()
    _keep_what_is_loaded()


def _keep_what_is_loaded() -> None:
    """It stays: no later collection need look at it (decision 0010)."""
    gc.collect()
    gc.freeze()


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


async def _serve_until_told(
    server: uvicorn.Server, listener: socket.socket, drain: Drain, parent: Parent | None, read: asyncio.Task[None]
) -> None:
    """Serve until SIGTERM or SIGINT; a second one does not wait for open requests.

    Alone, it answers for its health from the beginning. Beside others it leaves the socket to them until it is ready.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        if told.is_set():
            server.force_exit = server.should_exit = True
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    waiting = asyncio.create_task(told.wait())
    if parent:
        parent.when_gone(end)
        await asyncio.wait({read, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if told.is_set():
            return
        parent.ready()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not serving.done():
        await drain.run(server)
    server.should_exit = True
    await serving


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


def _greet(settings: Settings, role: Role) -> None:
    if not role.api:
        _show(f"The worker evaluates and delivers. {durability_in_words(settings)}")
        return
    lines = [f"The hub listens. {durability_in_words(settings)}"]
    lines += [f"  {version.name:4} {settings.base_url_of(version)}" for version in FhirVersion]
    if role.dev:
        who = "" if settings.tokens else "no token is asked for, "
        lines.append(f"DEVELOPMENT MODE: {who}http and private endpoints are called. Not for patients' data.")
    _show("\n".join(lines))


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
