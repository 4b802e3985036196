"""Redis servers on loopback ports, with replicas, started and killed by the test itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.errors import Unavailable
from hub.store.client import Store
from hub.store.embedded import find_server
from hub.store.keys import Layout

PATIENCE_SECONDS = 30.0
FIT = {
    "appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no", "aof-load-truncated": "yes",
    "maxmemory-policy": "noeviction", "save": "", "logfile": "redis.log", "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1", "bind": "127.0.0.1", "min-replicas-max-lag": "2",
}  # fmt: skip


PORTS, PORTS_EACH, MOST_TESTERS = 15_000, 4_000, 4
_given: set[int] = set()


def free_port() -> int:
    """Stays free while its server is down: below the ports that connections are given, and no other tester's."""
    tester = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MOST_TESTERS
    while True:
        port = PORTS + tester * PORTS_EACH + secrets.randbelow(PORTS_EACH)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


@dataclass
class Server:
    """One server process; it keeps port and folder over its lives."""

    folder: Path
    options: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def launch(self, *before: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [word for name, value in self.options.items() for word in (f"--{name}", *_values(name, value))]
        command = [find_server(), *before, "--port", str(self.port), "--dir", str(self.folder), *words]
        nowhere = subprocess.DEVNULL
        # signals as Python has them: a file at its limit is then an error of the write, as on a full disk, not a signal
        self.process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, restore_signals=False)

    async def start(self) -> None:
        self.launch()
        await self.until(lambda told: told.get("loading", 0) == 0, "persistence")

    async def say(self, *words: str) -> Any:
        store = Store(self.url, Layout())
        try:
            return (await store.send(words))[0]
        finally:
            await store.close()

    async def until(self, holds: Callable[[dict[str, Any]], bool], section: str = "replication") -> None:
        """Until what INFO tells is so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    if holds(await self.say("INFO", section)):
                        return
                except Unavailable:
                    pass
                await asyncio.sleep(0.05)

    async def back_up(self) -> None:
        """Keep its data as they are now, as an operator would, and go on."""
        self.kill()
        shutil.rmtree(self.folder / "backup", ignore_errors=True)
        shutil.copytree(self.folder / "appendonlydir", self.folder / "backup")
        await self.start()

    async def restore(self) -> None:
        """Go back to the backup."""
        self.kill()
        shutil.rmtree(self.folder / "appendonlydir")
        shutil.copytree(self.folder / "backup", self.folder / "appendonlydir")
        await self.start()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGCONT)


def _values(name: str, value: str) -> list[str]:
    return value.split(" ") if name == "replicaof" else [value]


def replicas_online(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda told: sum(isinstance(one, dict) and one.get("state") == "online" for one in told.values()) >= count


def in_step(told: dict[str, Any]) -> bool:
    """Of a replica: it streams from its master, and has nothing else to do."""
    return told.get("master_link_status") == "up" and not told.get("master_sync_in_progress")


@asynccontextmanager
async def replicated(folder: Path, replicas: int = 1, **options: str) -> AsyncIterator[list[Server]]:
    """A master and its replicas, all in step."""
    given = FIT | {name.replace("_", "-"): value for name, value in options.items()}
    master = Server(folder / "master", {"min-replicas-to-write": "1"} | given)
    servers = [master]
    try:
        await master.start()
        for number in range(replicas):
            home = folder / f"replica{number}"
            server = Server(home, master.options | {"replicaof": f"127.0.0.1 {master.port}"})
            servers.append(server)
            await server.start()
        await master.until(replicas_online(replicas))
        for server in servers[1:]:
            await server.until(in_step)
        yield servers
    finally:
        for server in servers:
            server.kill()
