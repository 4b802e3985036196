"""``python -m tests.faults.run --faults 1000 --seed 7``: faults, one after another, and what became of everything.

Exit code 1 when a promise was broken. The seed is printed; with ``--keep`` the data and the logs of the hubs stay.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.faults.harness import Run, Told
from tests.faults.report import Report

BAR = 40


def progress(faults: int) -> Told:
    """A bar on standard error."""
    began = time.monotonic()

    def told(done: int) -> None:
        bar = "#" * (done * BAR // faults)
        end = "\n" if done == faults else ""
        sys.stderr.write(f"\r[{bar:<{BAR}}] {done} of {faults} faults, {time.monotonic() - began:.0f} s{end}")
        sys.stderr.flush()

    return told


async def run(seed: int, faults: int, folder: Path, told: Told = lambda _: None, *, logs: bool = False) -> Report:
    """``logs``: each hub's lines are written beside its data at the end."""
    async with AsyncExitStack() as stack:
        it = Run(seed, faults, folder, stack, told)
        try:
            return await it.run()
        finally:
            if logs:
                it.stage.write_logs()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="keep the data and the logs")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        report = asyncio.run(run(given.seed, given.faults, folder, progress(given.faults), logs=given.keep))
    finally:
        if given.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(report)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
