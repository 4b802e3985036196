"""The name of this hub on its machine: it outlives restarts, so that a restarted hub takes over its own partitions.

The name lies in the data folder, guarded by a lock that the operating system frees when the process ends, however it
ends. A second process on the same folder gets a name of its own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


class Instance:
    """Holds the name and its lock until ``release``."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(data_dir / "instance", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.name = secrets.token_hex(8)
            return
        self.name = os.read(self._file, 64).decode() or secrets.token_hex(8)
        os.pwrite(self._file, self.name.encode(), 0)

    def release(self) -> None:
        """Give the name free for the next process; safe to call once only."""
        os.close(self._file)
