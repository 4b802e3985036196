"""What a process has used: processor seconds and resident memory, read from /proc (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu_seconds`` since the process began, in user and kernel; ``resident_mib`` now."""

    cpu_seconds: float
    resident_mib: float


def usage_of(pid: int) -> Usage:
    """Raises FileNotFoundError when the process is gone or the system has no /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    ticks = int(fields[11]) + int(fields[12])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE)


class Watch:
    """Processor time of several processes since the watch began. On a system without /proc there is none to tell."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids if Path("/proc/self/stat").exists() else {}
        self._before = {name: usage_of(pid) for name, pid in self._pids.items()}

    def spent(self) -> dict[str, dict[str, float]]:
        """For each name: ``cpu_seconds`` since this watch began, ``resident_mib`` now."""
        told = {}
        for name, pid in self._pids.items():
            now = usage_of(pid)
            told[name] = {
                "cpu_seconds": round(now.cpu_seconds - self._before[name].cpu_seconds, 3),
                "resident_mib": round(now.resident_mib, 1),
            }
        return told
