"""How the story looks: numbered chapters, one line per happening. Colour on a terminal only, never with NO_COLOR."""

from __future__ import annotations

import os
from typing import TextIO

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


class Screen:
    """Writes lines to ``out`` and flushes each, so that the story is seen as it happens."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colourful = out.isatty() and not os.environ.get("NO_COLOR")
        self._chapter = 0

    def chapter(self, title: str) -> None:
        self._chapter += 1
        self._write(f"\n{self._chapter}  {title}", BOLD)

    def say(self, text: str) -> None:
        self._write(f"   {text}")

    def aside(self, text: str) -> None:
        self._write(f"   {text}", DIM)

    def sent(self, text: str) -> None:
        self._write(f"   → {text}", CYAN)

    def received(self, text: str) -> None:
        self._write(f"   ← {text}", GREEN)

    def trouble(self, text: str) -> None:
        self._write(f"   ✗ {text}", YELLOW)

    def seen(self, text: str) -> None:
        """An expectation that held."""
        self._write(f"   ✓ {text}", GREEN)

    def failed(self, text: str) -> None:
        self._write(text, RED)

    def plain(self, text: str = "") -> None:
        self._write(text)

    def _write(self, text: str, colour: str = "") -> None:
        line = f"\033[{colour}m{text}\033[0m" if colour and self._colourful else text
        encoding = self._out.encoding or "utf-8"  # a terminal that knows ASCII only must not end the story
        print(line.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)
