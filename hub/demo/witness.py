"""Seeing is believing: waiting for something to be seen, with one deadline for the whole story."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_AGAIN_SECONDS = 0.03


class NotSeen(Exception):
    """What was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: str) -> None:
        self.expected = expected
        self.seen = seen
        super().__init__(f"expected: {expected}; seen: {seen}")


class Witness:
    """Looks until it sees. ``seconds`` from its making everything must have been seen."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._deadline = self._began + seconds

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    async def see(self, expected: str, look: Callable[[], Awaitable[bool]], seen: Callable[[], str]) -> None:
        """Look again and again until ``look`` says yes. Raises NotSeen with what ``seen`` then says."""
        while not await look():
            if self._clock() > self._deadline:
                raise NotSeen(f"{expected} in time", seen())
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    @staticmethod
    def insist(expected: str, holds: bool, seen: str) -> None:
        """Raises NotSeen unless it ``holds`` now."""
        if not holds:
            raise NotSeen(expected, seen)
