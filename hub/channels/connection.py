"""One connection to a receiver: a request out, its answer in, one at a time."""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import cast

from hub.channels.answer import AnswerReader
from hub.channels.response import Failure, Response


class Connection(asyncio.Protocol):
    """A socket that carries exchanges. ``on_lost`` tells its owner when it has ended."""

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._reader = AnswerReader()
        self._waiter: asyncio.Future[Response] | None = None
        self._written = True
        self._transport: asyncio.Transport | None = None
        self._poll = _Poll()
        self._began = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.opened_at = self._loop.time()

    async def exchange(self, request: bytes, began: float, deadline: float) -> Response:
        """Send ``request``, return its answer or why there is none by ``deadline``.

        Both times are the loop's; the duration of the answer counts from ``began``.

        The request is written once and never again: a connection that dies without an answer is a failed attempt,
        because the receiver may have acted on it. When the caller is cancelled the connection is cut.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return Response(failure=Failure.CONNECTION_LOST, duration_seconds=self._loop.time() - began)
        self._reader.expect()
        self._began = began
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        self._end_by(deadline)
        try:
            transport.write(request)
            return await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def _end_by(self, deadline: float) -> None:
        """One timer serves many exchanges: making and cancelling one for each would cost more than reading answers."""
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:  # of an earlier exchange
            self._end_by(self._deadline)
        else:
            self._end(Failure.TIMED_OUT)

    @property
    def now(self) -> float:
        """The time of its event loop."""
        return self._loop.time()

    @property
    def reusable(self) -> bool:
        """Did the last exchange leave the connection in step: all written, one whole answer read, nothing more."""
        return self._reader.reusable and self._written and not self._is_closing

    @property
    def stale(self) -> bool:
        """Has the other side closed, or said anything, since the last answer.

        Asks the kernel, because the event loop may not have come round to it; writing on such a connection would lose
        the request without a trace.
        """
        return self._is_closing or self._poll.readable()

    def abort(self) -> None:
        """Close at once; what is unwritten is dropped."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_lost(self) -> bool:
        """Is there no socket any more: closed by whomever."""
        return self._transport is None

    @property
    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _settle(self, failure: Failure) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(self._reader.response(failure, self._loop.time() - self._began))

    def _end(self, failure: Failure) -> None:
        """Time or the owner ended the exchange; a status that is already there counts."""
        self._settle(failure)
        self.abort()

    def _settle_when_finished(self) -> None:
        """A success must not cut off a request that is still on its way; any other answer makes its rest pointless."""
        if self._reader.finished and (self._written or not self._reader.is_success):
            self._settle(Failure.CONNECTION_LOST)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # pause_writing is to tell that something is unwritten; TLS transports compare with >=, the others with >.
        self._transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
        self._poll.watch(transport.get_extra_info("socket").fileno())

    def pause_writing(self) -> None:
        self._written = False

    def resume_writing(self) -> None:
        self._written = True
        self._settle_when_finished()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._reader.finished:  # nobody asked
            self._reader.reusable = False
            self._end(Failure.NOT_HTTP)
            return
        self._reader.feed(data)
        self._settle_when_finished()

    def eof_received(self) -> None:
        self._reader.end()
        self._end(Failure.CONNECTION_LOST)

    def connection_lost(self, reason: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._reader.end()
        self._settle(Failure.TLS_FAILED if isinstance(reason, ssl.SSLError) else Failure.CONNECTION_LOST)
        self._on_lost(self)


class _Poll:
    """Asks the kernel about one descriptor, beside the event loop."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._poll = select.poll() if hasattr(select, "poll") else None

    def watch(self, descriptor: int) -> None:
        self._descriptor = descriptor
        if self._poll is not None:
            self._poll.register(descriptor, select.POLLIN)

    def readable(self) -> bool:
        if self._poll is not None:
            return bool(self._poll.poll(0))
        return bool(select.select([self._descriptor], [], [], 0)[0])
