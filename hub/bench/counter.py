"""How many notifications have arrived, in eight bytes that receiver and load share, for back-pressure."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_LAYOUT = struct.Struct("<Q")


class Counter:
    """The file is made by whoever comes first; one process writes, others read."""

    def __init__(self, path: str) -> None:
        file = Path(path)
        if not file.exists():
            file.write_bytes(bytes(_LAYOUT.size))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _LAYOUT.size)
        self._count = 0

    def up(self) -> None:
        self._count += 1
        _LAYOUT.pack_into(self._memory, 0, self._count)

    def read(self) -> int:
        """What the writing process counted so far."""
        return int(_LAYOUT.unpack_from(self._memory)[0])
