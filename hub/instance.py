"""The name of this hub on its machine: it outlives restarts, so that a restarted hub takes over its own partitions.

The names lie in the data folder, each guarded by a lock that the operating system frees when the process ends, however
it ends. Several processes on one folder have a name each, and whoever comes after one that ended takes its name on.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from itertools import count
from pathlib import Path


class Instance:
    """Holds a name and its lock until ``release``."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths = (data_dir / ("instance" if number == 1 else f"instance-{number}") for number in count(1))
        path, self._file = next((path, file) for path in paths if (file := _locked(path)) is not None)
        self.notes = path.with_suffix(".seen")
        """A file for what whoever has this name should know of its former life."""
        self.name = os.read(self._file, 64).decode() or secrets.token_hex(8)
        os.pwrite(self._file, self.name.encode(), 0)

    def release(self) -> None:
        """Give the name free for the next process; safe to call once only."""
        os.close(self._file)


def _locked(path: Path) -> int | None:
    """The opened file of one name; None when another process has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
