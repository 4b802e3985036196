"""Work in steps: a generator that yields wherever others may have their turn, and returns the result.

Matching knows no event loop and no clock; who drives the steps decides when to let others in.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def finished(steps: Generator[None, None, Result]) -> Result:
    """The result, with nobody else in between."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
