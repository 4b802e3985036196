"""How far a load has come: a bar on a terminal, a line at the end elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

BAR_WIDTH = 30


class Progress:
    """``total_bytes`` 0 = unknown."""

    def __init__(self, total_bytes: int, out: TextIO) -> None:
        self._total = total_bytes
        self._out = out
        self._read = 0
        self._loaded = 0
        self._began = time.monotonic()

    def advance(self, read: int, loaded: int) -> None:
        self._read += read
        self._loaded += loaded
        if self._out.isatty():
            share = min(1.0, self._read / self._total) if self._total else 0.0
            bar = ("█" * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, "·")
            known = f"{bar} {share:4.0%}  " if self._total else ""
            self._out.write(f"\r{known}{self._count()}  {self._rate():,.0f}/s ")
            self._out.flush()

    def end(self, *, complete: bool) -> None:
        """The last line; an incomplete load may simply be repeated."""
        seconds = time.monotonic() - self._began
        start = "\n" if self._out.isatty() else ""
        how = "" if complete else "; not all: repeat it, what is loaded already stays as it is"
        self._out.write(f"{start}{self._count()} loaded in {seconds:.1f} s, none announced{how}\n")
        self._out.flush()

    def _count(self) -> str:
        return f"{self._loaded:,} resource{'' if self._loaded == 1 else 's'}"

    def _rate(self) -> float:
        return self._loaded / max(time.monotonic() - self._began, 0.001)
