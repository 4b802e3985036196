"""Time, memory and garbage collection, as the measurements here read them."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def resident_bytes() -> int:
    """Of this process, now; what is garbage is collected first."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def interleaved(rounds: int, *tasks: Callable[[], Any]) -> list[float]:
    """Median microseconds of each task, which take turns: what else the machine does then meets them alike."""
    taken: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, mine in zip(tasks, taken, strict=True):
            began = time.perf_counter()
            task()
            mine.append((time.perf_counter() - began) * 1e6)
    return [statistics.median(mine) for mine in taken]


@contextmanager
def collections() -> Iterator[list[float]]:
    """The milliseconds of each full garbage collection inside the block."""
    pauses: list[float] = []
    began = 0.0

    def watch(phase: str, told: dict[str, int]) -> None:
        nonlocal began
        if told["generation"] == 2:
            if phase == "start":
                began = time.perf_counter()
            else:
                pauses.append((time.perf_counter() - began) * 1e3)

    gc.callbacks.append(watch)
    try:
        yield pauses
    finally:
        gc.callbacks.remove(watch)
