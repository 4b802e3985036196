"""How far a run is: one line that is written over on a terminal, one line for each phase elsewhere."""

from __future__ import annotations

from typing import TextIO

WIDTH = 28
CLEAR = "\r\033[K"


class Progress:
    """``steps`` phases in all; written to standard error, so that the table can be redirected."""

    def __init__(self, out: TextIO, steps: int) -> None:
        self._out, self._steps, self._done = out, steps, 0

    def begin(self, what: str) -> None:
        """The next phase begins."""
        filled = WIDTH * self._done // max(1, self._steps)
        self._done += 1
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {self._done}/{self._steps}"
        text = f"{bar} {what}"
        self._out.write(f"{CLEAR}{text}" if self._out.isatty() else f"{text}\n")
        self._out.flush()

    def end(self) -> None:
        if self._out.isatty():
            self._out.write(CLEAR)
            self._out.flush()
