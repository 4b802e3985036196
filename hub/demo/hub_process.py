"""The hub of the demonstration: a real ``hub serve --dev`` in a process of its own, so that it can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.demo.ports import LOOPBACK, ReservedPort
from hub.store.embedded import EmbeddedRedis, socket_path

QUICK = {
    "HUB_RETRY_INITIAL_MS": "250",
    "HUB_RETRY_MAX_MS": "1000",
    "HUB_ERROR_AFTER_FAILURES": "3",
    "HUB_SHUTDOWN_SECONDS": "2",
    "HUB_LOG": "json",
}
"""Short waits: a demonstration is no operation. The production defaults are in docs/settings.md."""
KEPT = ("HUB_REDIS_SERVER",)
STOP_SECONDS = 15.0
LONGEST_LINE = 1 << 20
LAST_LINES = 5


class HubProcess:
    """Start, kill and start again on the same data. ``logged`` hears every log line, as its fields."""

    def __init__(self, folder: Path, logged: Callable[[dict[str, Any]], None]) -> None:
        self._folder = folder
        self._data_dir = folder / "data"
        self._logged = logged
        self._port = ReservedPort()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port.number}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def last_words(self) -> str:
        """The end of its log, for whoever looks for a reason."""
        return "\n".join(self._last)

    async def start(self) -> None:
        """Launch it; it listens a moment later. In a session of its own: Ctrl-C reaches the story first."""
        arguments = ["--dev", "--host", LOOPBACK, "--port", str(self._port.number), "--data-dir", str(self._data_dir)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub", "serve", *arguments,
            cwd=self._folder,  # no .env of the user's folder gets in
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read_log(self._process))

    async def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed. Its Redis, a process of its own, stays."""
        if self._process and not self.ended:
            self._process.kill()
        await self.wait()

    async def close(self) -> None:
        """Stop the hub, and its Redis even when no hub is left to do it."""
        if self._process and not self.ended:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
        await self.wait()
        await EmbeddedRedis(self._data_dir).stop()
        with contextlib.suppress(OSError):  # under a long TMPDIR its socket had a folder elsewhere; else not empty yet
            socket_path(self._data_dir).parent.rmdir()
        self._port.release()

    async def wait(self) -> None:
        """Until it has ended and its whole log is read."""
        if self._process:
            await self._process.wait()
        if self._reading:
            await self._reading

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self._last.append(line)
            with contextlib.suppress(json.JSONDecodeError):  # the greeting is for people
                fields = json.loads(line)
                if isinstance(fields, dict):
                    self._logged(fields)


def _environment() -> dict[str, str]:
    """The user's environment without the settings of another hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_") or name in KEPT}
    return kept | QUICK
