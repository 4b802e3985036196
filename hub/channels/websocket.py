"""The websocket channel: a notification is one text frame on the socket that its subscriber has bound (S-159…S-169).

Delivered means that the operating system took the whole frame within the deadline; the standard knows no
acknowledgement (S-165). A socket that is too slow is cut, and its Subscriptions wait for the next bind. When another
process holds the socket, the frame is handed over to it. Decision 0011.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from hub.domain.delivery import Dispatch, Outcome, OutcomeKind
from hub.domain.subscription import Channel, Status
from hub.errors import Issue

NOBODY = Outcome(OutcomeKind.UNHEARD, detail="no socket is bound")


class Socket(Protocol):
    """An open socket. ``write`` is False when it has ended, or was cut because it took too long; ``tell`` sends an
    OperationOutcome."""

    async def write(self, text: str, seconds: float) -> bool: ...

    async def tell(self, *issues: Issue) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class Binding:
    """One Subscription on one socket. ``sent_upto``: the highest number that this socket was sent."""

    subscription: str
    listener: str
    socket: Socket
    sent_upto: int
    live: bool = False
    """Handshake and missed events are out."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What is to be written to whom; ``last``: nothing follows, the Subscription is off."""

    subscription: str
    listener: str
    numbers: range
    last: bool
    text: str


class Switchboard:
    """The sockets of this process; a Subscription is bound to one of them at most.

    ``ended`` is called for a binding whose last frame was written.
    """

    def __init__(self, process: str, ended: Callable[[Binding], None]) -> None:
        self.process = process
        self._ended = ended
        self._bindings: dict[str, Binding] = {}

    def put(self, binding: Binding) -> Binding | None:
        """Bind; the binding that it takes the place of."""
        before = self._bindings.get(binding.subscription)
        self._bindings[binding.subscription] = binding
        return before

    def get(self, subscription: str) -> Binding | None:
        return self._bindings.get(subscription)

    def drop(self, binding: Binding) -> None:
        if self._bindings.get(binding.subscription) is binding:
            del self._bindings[binding.subscription]

    def all(self) -> list[Binding]:
        return list(self._bindings.values())

    def __len__(self) -> int:
        return len(self._bindings)

    async def write(self, frame: Frame, seconds: float) -> Outcome:
        """Write a frame, unless this very socket was sent its numbers before."""
        binding = self._bindings.get(frame.subscription)
        if binding is None or binding.listener != frame.listener:
            return NOBODY
        began = time.monotonic()
        async with binding.turn:  # an attempt that was made void may still be writing; its own deadline ends it
            if self._bindings.get(frame.subscription) is not binding:
                return NOBODY
            if frame.numbers and frame.numbers.start <= binding.sent_upto:
                upto = min(binding.sent_upto, frame.numbers.stop - 1)
                return Outcome(OutcomeKind.DELIVERED, delivered_upto=upto)
            if not await binding.socket.write(frame.text, began + seconds - time.monotonic()):
                return NOBODY
            binding.sent_upto = frame.numbers.stop - 1 if frame.numbers else binding.sent_upto
        if frame.last:
            self._ended(binding)
        return Outcome(OutcomeKind.DELIVERED, duration_seconds=time.monotonic() - began)


class WebSocketChannel:
    """Delivers to the sockets of this process, or by ``ask(process, message, seconds)`` to those of another."""

    def __init__(self, board: Switchboard, ask: Callable[[str, bytes, float], Awaitable[bytes | None]]) -> None:
        self._board = board
        self._ask = ask

    async def deliver(
        self, channel: Channel, dispatch: Dispatch, *, delivery_id: str, deadline_seconds: float
    ) -> Outcome:
        """Write it to the socket that the Subscription is bound to; UNHEARD when there is none."""
        if not dispatch.listener:
            return NOBODY
        frame = _frame(dispatch)
        process = dispatch.listener.partition("/")[0]
        if process == self._board.process:
            return await self._board.write(frame, deadline_seconds)
        told = await self._ask(process, write_handover(frame, deadline_seconds), deadline_seconds)
        return read_outcome(told) if told else NOBODY

    async def answer(self, message: bytes) -> bytes:
        """What came of a frame that another process handed over."""
        frame, seconds = read_handover(message)
        return write_outcome(await self._board.write(frame, seconds))


def _frame(dispatch: Dispatch) -> Frame:
    notification = dispatch.notification
    last = notification is not None and notification.status in (Status.OFF, Status.ENTERED_IN_ERROR)
    text = dispatch.body.decode() if notification else f"ping {dispatch.subscription.rpartition('|')[2]}"
    return Frame(dispatch.subscription, dispatch.listener, dispatch.numbers, last, text)


def write_handover(frame: Frame, seconds: float) -> bytes:
    """A frame for another process: a line of JSON, then the text."""
    numbers = [frame.numbers.start, frame.numbers.stop]
    head = json.dumps([frame.subscription, frame.listener, numbers, frame.last, seconds])
    return head.encode() + b"\n" + frame.text.encode()


def read_handover(message: bytes) -> tuple[Frame, float]:
    head, _, text = message.partition(b"\n")
    subscription, listener, numbers, last, seconds = json.loads(head)
    return Frame(subscription, listener, range(*numbers), last, text.decode()), seconds


def write_outcome(outcome: Outcome) -> bytes:
    return json.dumps([outcome.kind, outcome.delivered_upto, outcome.duration_seconds]).encode()


def read_outcome(message: bytes) -> Outcome:
    kind, upto, seconds = json.loads(message)
    if kind != OutcomeKind.DELIVERED:
        return NOBODY
    return Outcome(OutcomeKind.DELIVERED, delivered_upto=upto, duration_seconds=seconds)


def by_listener(bindings: Iterable[Binding]) -> dict[str, list[str]]:
    """The Subscriptions of each listener."""
    found: dict[str, list[str]] = {}
    for binding in bindings:
        found.setdefault(binding.listener, []).append(binding.subscription)
    return found
