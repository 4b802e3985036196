"""``HUB_WORKERS`` processes on one machine: one that holds the socket and starts the others, and those that work.

The socket belongs to the first one, so nobody is ever refused while a process ends and the next begins: what comes
meanwhile waits in the socket's queue. A process that dies is started again. SIGHUP replaces them one after another,
each when its successor is ready; SIGTERM and SIGINT end them all in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hub.durability import embedded_redis
from hub.errors import CannotStart
from hub.settings import Settings

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
UNFIT = CannotStart.exit_code
"""Of a process that will never start as it is set up: all end."""
READY = b"r"


class Parent:
    """The line to the process that started this one: told once when ready; when it ends, so does this one."""

    def __init__(self, file: int) -> None:
        self._line = socket.socket(fileno=file)
        self._line.setblocking(False)

    def ready(self) -> None:
        self._line.send(READY)

    def when_gone(self, end: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self._line)
            end()

        loop.add_reader(self._line, gone)


@dataclass(frozen=True, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    line: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def is_ready(self) -> bool:
        """Waits until it is; False when it ended instead."""
        return await self.line.read(1) == READY

    async def ended(self) -> int:
        code = await self.process.wait()
        self.writer.close()
        return code

    def tell(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)


class Workers:
    """Starts ``count`` processes of ``command`` (arguments of ``hub``) that share ``listener``."""

    def __init__(self, command: list[str], count: int, listener: socket.socket, environment: dict[str, str]) -> None:
        self._command = command
        self._listener = listener
        self._environment = os.environ | environment
        self._children: list[_Child | None] = [None] * count
        self._stopping = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._unfit = False

    async def run(self) -> int:
        """Until told to stop and every process has ended; the exit code."""
        loop = asyncio.get_running_loop()
        renewals: set[asyncio.Task[None]] = set()

        def renew() -> None:
            task = asyncio.create_task(self._renew())
            renewals.add(task)
            task.add_done_callback(renewals.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, renew)
        async with asyncio.TaskGroup() as group:
            for place in range(len(self._children)):
                group.create_task(self._keep(place))
        return UNFIT if self._unfit else 0

    def _stop(self, number: signal.Signals) -> None:
        self._stopping.set()
        for child in self._children:
            if child:
                child.tell(number)

    async def _keep(self, place: int) -> None:
        """One process, again and again."""
        while not self._stopping.is_set():
            child = self._children[place] = self._children[place] or await self._spawn()
            if self._stopping.is_set():  # told while it was being started
                child.tell(signal.SIGTERM)
            code = await child.ended()
            if self._children[place] is not child:  # a successor has taken its place
                continue
            self._children[place] = None
            if self._stopping.is_set():
                return
            log.error("a process of the hub ended and is started again", extra={"exit_code": code})
            if code == UNFIT:
                self._unfit = True
                self._stop(signal.SIGTERM)
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _renew(self) -> None:
        """A new process for each, one after another; the former goes when the new one is ready."""
        async with self._renewing:
            for place, former in enumerate(self._children):
                if self._stopping.is_set():
                    return
                if former is None:
                    continue
                successor = await self._spawn()
                if not await successor.is_ready() or self._children[place] is not former or self._stopping.is_set():
                    log.error("a process could not be replaced; the former goes on")
                    successor.tell(signal.SIGTERM)
                    await successor.ended()
                    return
                self._children[place] = successor
                former.tell(signal.SIGTERM)
                await former.process.wait()
            log.info("all processes of the hub were replaced")

    async def _spawn(self) -> _Child:
        own, theirs = socket.socketpair()
        files = (self._listener.fileno(), theirs.fileno())
        arguments = [*self._command, "--listener", str(files[0]), "--parent", str(files[1])]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hub", *arguments,
                env=self._environment, pass_fds=files, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        finally:
            theirs.close()
        return _Child(process, *await asyncio.open_connection(sock=own))


async def serve_in_processes(
    settings: Settings, command: list[str], listener: socket.socket, greet: Callable[[], None]
) -> int:
    """Run ``HUB_WORKERS`` processes, and the embedded Redis for all of them when none is configured."""
    environment, watch = {"HUB_WORKERS": "1"}, None
    redis = embedded_redis(settings)
    if redis:
        environment["HUB_REDIS_URL"] = await redis.start()
        watch = asyncio.create_task(_watched(redis.watch))
    greet()
    try:
        return await Workers(command, settings.workers, listener, environment).run()
    finally:
        if watch:
            watch.cancel()
        if redis:
            await redis.stop()


async def _watched(watch: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await watch()
        except CannotStart as problem:
            log.error("the embedded Redis could not be started again", extra={"reason": str(problem)})
            await asyncio.sleep(PAUSE_SECONDS)
