"""The hub under test: a ``hub serve --dev`` with its own Redis or Valkey, at the default settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import httpx

from hub.bench.child import ChildFailed
from hub.demo.ports import LOOPBACK, ReservedPort
from hub.store.embedded import EmbeddedRedis, socket_path

KEPT = ("HUB_REDIS_SERVER", "HUB_DURABILITY", "HUB_PARTITIONS", "HUB_SHARDS")
"""Settings that make a different measurement; others of the user's environment are left out."""
START_SECONDS = 60.0
STOP_SECONDS = 60.0
LAST_WORDS = 2000


class HubUnderTest:
    """``profile``: a file for what cProfile saw, or nothing."""

    def __init__(self, folder: Path, profile: str = "") -> None:
        self._folder = folder
        self._data_dir = folder / "data"
        self._log = folder / "hub.log"
        self._profile = ["-m", "cProfile", "-o", str(Path(profile).resolve())] if profile else []
        self._port = ReservedPort()
        self._process: asyncio.subprocess.Process | None = None
        self.redis: dict[str, str] = {}
        """What its Redis says of itself (``INFO server``)."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port.number}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Until it is ready. Raises ChildFailed with the end of its log."""
        arguments = ["--dev", "--host", LOOPBACK, "--port", str(self._port.number), "--data-dir", str(self._data_dir)]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._profile, "-m", "hub", "serve", *arguments,
                cwd=self._folder, env=settings(), stdin=asyncio.subprocess.DEVNULL, stderr=log,
                stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self._ready():
                    await asyncio.sleep(0.05)
        except TimeoutError as problem:
            raise ChildFailed(f"the hub was not ready in {START_SECONDS:.0f} s:\n{self._last_words()}") from problem
        self.redis = await information(socket_path(self._data_dir))

    async def stop(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await EmbeddedRedis(self._data_dir).stop()
        with contextlib.suppress(OSError):  # under a long TMPDIR its socket had a folder elsewhere; else not empty yet
            socket_path(self._data_dir).parent.rmdir()
        self._port.release()

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise ChildFailed(f"the hub ended with exit code {self._process.returncode}:\n{self._last_words()}")
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    def _last_words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]


def settings() -> dict[str, str]:
    """The environment of the hub under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUB_") or name in KEPT}


async def information(socket: Path) -> dict[str, str]:
    """``INFO server`` of the Redis that listens on a unix socket."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(b"INFO server\r\n")
        length = int((await reader.readline())[1:])
        text = (await reader.readexactly(length)).decode()
    finally:
        writer.close()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
