"""Who is let in now: so many requests at a time, so many bytes of bodies among them, and none before it is ready.

What does not fit is refused at once, with 503 and a Retry-After, and not kept waiting: whoever waits takes memory too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

from hub.errors import Full

RETRY_AFTER_SECONDS = 1


class Visit:
    """One request from being let in until it is answered, and the bytes of its body that are held for it."""

    __slots__ = ("_admission", "_bytes")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._bytes = 0

    async def __aenter__(self) -> Visit:
        await self._admission.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self._bytes)

    def expect(self, size: int) -> None:
        self._admission.refuse_bytes(size)

    def take(self, size: int) -> None:
        self._admission.refuse_bytes(size)
        self._admission.bytes_held += size
        self._bytes += size


class Admission:
    """``ready`` waits a while and raises Full when this process cannot answer yet."""

    def __init__(self, ready: Callable[[], Awaitable[None]], *, most_requests: int, most_bytes: int) -> None:
        self.requests = 0
        self.bytes_held = 0
        self._ready = ready
        self._most_requests = most_requests
        self._most_bytes = most_bytes

    def visit(self) -> Visit:
        """To be let in for the block of ``async with``. Raises Full."""
        return Visit(self)

    async def enter(self) -> None:
        if self.requests >= self._most_requests:
            raise Full(
                f"this process answers {self._most_requests} requests at the moment, the most it may "
                "(HUB_MAX_REQUESTS_IN_FLIGHT); send it again",
                RETRY_AFTER_SECONDS,
            )
        self.requests += 1
        try:
            await self._ready()
        except BaseException:  # also when cancelled: who was not let in will not leave
            self.requests -= 1
            raise

    def leave(self, held: int) -> None:
        self.requests -= 1
        self.bytes_held -= held

    def refuse_bytes(self, size: int) -> None:
        """Raises Full when so many more would be too many."""
        if self.bytes_held + size > self._most_bytes:
            raise Full(
                f"the bodies of the requests that this process works on may have {self._most_bytes} bytes together "
                "(HUB_MAX_BODIES_BYTES), and this one does not fit now; send it again",
                RETRY_AFTER_SECONDS,
            )
