"""Work that would hold up everybody else, done beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LONG_BODY_BYTES = 64 * 1024
"""A resource of this size takes some 10 ms to read; larger ones are worked on in a thread of their own."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def beside(
    size: int, work: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """The result of ``work``, which looks at ``size`` bytes and touches nothing that others change."""
    if size <= LONG_BODY_BYTES:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)
