"""A bell wakes the next stage at once, so that nothing on the fast path waits for a polling tick.

A bell is a hint, never the truth: whoever listens also looks by itself from time to time, because another process may
have done the work.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Rung any number of times, heard once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Until it rings or the time is over; True when it rang. What rang before counts."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        finally:
            self._rung.clear()
        return True
