"""The facts about the machine without which a figure means nothing, its fsync time among them."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import hub
from hub.bench.figures import percentile

FSYNCS = 300
BLOCK = bytes(4096)


def facts(folder: Path) -> dict[str, Any]:
    """Cores, model, memory, load, versions, and the fsync time of ``folder``, which is where the data will be."""
    return {
        "hub": hub.__version__,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "model": _line_of("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "memory": _line_of("/proc/meminfo", "MemTotal") or "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "load_average_before": [round(each, 2) for each in os.getloadavg()],
        "fsync_ms": fsync_times(folder),
    }


def fsync_times(folder: Path, count: int = FSYNCS) -> dict[str, float]:
    """p50, p99 and max, in milliseconds, of appending 4 KiB and fdatasync."""
    path = folder / "fsync-probe"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter_ns()
            file.write(BLOCK)
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            took.append(time.perf_counter_ns() - began)
    path.unlink()
    took.sort()
    return {
        "p50": round(percentile(took, 50) / 1e6, 3),
        "p99": round(percentile(took, 99) / 1e6, 3),
        "max": round(took[-1] / 1e6, 3),
    }


def _line_of(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
