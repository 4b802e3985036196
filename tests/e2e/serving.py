"""Real processes for end-to-end tests: ``hub serve --dev`` on a free port, and what is left when it ends."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
"""For anything at all on a busy machine; nothing here waits for it when all is well."""


def clean_environment(temporary: Path) -> dict[str, str]:
    """No setting of the developer's own hub, no home, and a temporary folder that can be searched afterwards."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("HUB_", "HTTP_PROXY"))}
    return kept | {"HOME": str(temporary / "no-home"), "TMPDIR": str(temporary), "NO_COLOR": "1"}


class Lines:
    """The lines that a process writes, read in the background so that it never blocks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.seen: list[str] = []
        self._arriving: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line from here on in which the pattern is found."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                line = self._arriving.get(timeout=1)
            except queue.Empty:
                continue
            if line is None:
                raise AssertionError(f"it ended before it wrote {pattern!r}:\n{self}")
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it did not write {pattern!r}:\n{self}")

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            self.seen.append(line)
            self._arriving.put(line)
        self._arriving.put(None)

    def __str__(self) -> str:
        return "".join(self.seen)


@contextmanager
def running(arguments: list[str], **options: object) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    """A Python process and its output, both streams in one; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-u", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", **options,
    ) as process:  # type: ignore[call-overload]  # fmt: skip
        lines = Lines(process)
        try:
            yield process, lines
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            lines._reader.join()


@contextmanager
def hub_in_development(folder: Path, **settings: str) -> Iterator[str]:
    """The URL of a ``hub serve --dev`` that is ready; stopped in order at the end, with its Redis."""
    arguments = ["-m", "hub", "serve", "--dev", "--port", "0", "--data-dir", str(folder / "data")]
    with running(arguments, cwd=folder, env=clean_environment(folder) | settings) as (process, lines):
        url = lines.wait_for(r"(http://127\.0\.0\.1:\d+)/fhir/r4\b")[1]
        _until_ready(url, lines)
        yield url
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, str(lines)
    assert processes_below(folder) == []


def _until_ready(url: str, lines: Lines) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the hub was not ready:\n{lines}")


def processes_below(folder: Path) -> list[str]:
    """Command lines of processes that still name this folder (Linux; elsewhere nothing can be said)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(folder) in command:
            found.append(command)
    return found
