"""Listening: a socket takes Subscriptions over, hears what it missed, and then what comes (S-159…S-168, decision 0011).

Bind makes every attempt in flight void and holds live events back, so the cursor stands still while the socket is sent
the handshakes and the events between the last number its client has seen and the cursor. Then it listens: what waits
behind the cursor is due. So there is no gap and no repeat between what was missed and what is live.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hub.bell import Bell
from hub.channels.websocket import Binding, Socket, Switchboard, by_listener
from hub.delivery.composing import compose, derived_id, events_of
from hub.domain.delivery import Duty
from hub.domain.event import Notification, SubscriptionError
from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Unavailable
from hub.fhir.dialects import dialect
from hub.reading.definitions import DefinitionCache
from hub.reading.events import EventReader
from hub.store.agenda import Hold
from hub.store.sockets import BindCode, Bound, Sockets
from hub.store.subscriptions import Subscriptions

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
"""How often the bindings of this process are compared with the records, whatever was heard or missed."""
RETRY_SECONDS = 1.0
LAST_WORD_SECONDS = 1.0
"""How long the farewell of a Subscription that was switched off may take before its binding ends without it."""
OFF, ELSEWHERE = 4410, 4409
"""Close codes of a socket that nothing is bound to any more."""
TAKEN = "the Subscription is bound by another socket now"
_STOPPED = (Status.OFF, Status.ENTERED_IN_ERROR)


@dataclass(frozen=True, slots=True)
class Ready:
    """A Subscription that was bound, with what its frames are made of."""

    hold: Hold
    subscription: Subscription
    binding: Binding
    seen: int

    @property
    def key(self) -> SubscriptionKey:
        return SubscriptionKey.parse(self.hold.subscription)


class Listening:
    """Binds sockets of this process, and ends bindings whose Subscription has ended. ``rang`` wakes the worker."""

    def __init__(
        self,
        process: str,
        sockets: Sockets,
        subscriptions: Subscriptions,
        definitions: DefinitionCache,
        reader: EventReader,
        base_urls: Mapping[FhirVersion, tuple[str, str]],
        rang: Callable[[], None],
    ) -> None:
        self.board = Switchboard(process, self._ended)
        self._sockets = sockets
        self._subscriptions = subscriptions
        self._definitions = definitions
        self._reader = reader
        self._base_urls = base_urls
        self._rang = rang
        self._counter = itertools.count(1)
        self._noticed: set[str] = set()
        self._bell = Bell()
        self._by_socket: dict[Socket, set[Binding]] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def has_any(self, socket: Socket) -> bool:
        return bool(self._by_socket.get(socket))

    async def bind(self, socket: Socket, wanted: Sequence[tuple[str, int | None]]) -> None:
        """Bind (Subscription, last number seen): handshakes, then what was missed, then live.

        What cannot be bound is told to the socket. Raises Unavailable.
        """
        listener = f"{self.board.process}/{next(self._counter)}"
        ready: list[Ready] = []
        for bound, (_, seen) in zip(await self._sockets.bind(listener, wanted), wanted, strict=True):
            if bound.hold is None:
                await socket.tell(_refusal(bound))
            else:
                ready.append(await self._take(socket, listener, bound.hold, seen))
        for each in ready:
            await self._greet(each)
        for each in ready:
            if await self._catch_up(each):
                await self._sockets.listen(listener, [each.hold.subscription])
                self._rang()

    async def release(self, socket: Socket, subscriptions: Sequence[str] | None = None) -> None:
        """The socket is closed, or lets these go."""
        own = self._by_socket.get(socket, set())
        going = [each for each in own if subscriptions is None or each.subscription in subscriptions]
        for binding in going:
            self._forget(binding)
        for listener, names in by_listener(going).items():
            await self._sockets.unbind(listener, names)

    def noticed(self, subscription: str) -> None:
        """Something about it was written, here or in another process."""
        if self.board.get(subscription):
            self._noticed.add(subscription)
            self._bell.ring()

    async def watch(self) -> None:
        """End bindings whose Subscription has ended or was bound elsewhere; runs until cancelled."""
        while True:
            swept = not await self._bell.wait(SWEEP_SECONDS)
            noticed, self._noticed = self._noticed, set()
            bindings = self.board.all() if swept else [each for name in noticed if (each := self.board.get(name))]
            try:
                await self._review(bindings)
            except Unavailable as problem:
                log.warning("sockets wait for the store", extra={"reason": str(problem)})
                self._noticed |= noticed
                await asyncio.sleep(RETRY_SECONDS)

    async def _review(self, bindings: Sequence[Binding]) -> None:
        records = await self._subscriptions.records([each.subscription for each in bindings])
        for binding, record in zip(bindings, records, strict=True):
            if self.board.get(binding.subscription) is not binding:
                continue  # it ended meanwhile
            if record is None or record.status is None:
                self._end(binding, OFF, "the Subscription was deleted")
            elif record.listener != binding.listener:
                self._end(binding, ELSEWHERE, TAKEN)
            elif record.status in _STOPPED:
                self._end(binding, OFF, "the Subscription is off", after_seconds=LAST_WORD_SECONDS)
            elif record.deaf and binding.live:  # another process thought that this one was gone
                await self._sockets.listen(binding.listener, [binding.subscription])
                self._rang()

    def _ended(self, binding: Binding) -> None:
        self._end(binding, OFF, "the Subscription is off")

    def _end(self, binding: Binding, code: int, reason: str, *, after_seconds: float = 0) -> None:
        """End one binding; nobody waits for its socket, which may be stuck."""
        task = asyncio.create_task(self._take_leave(binding, code, reason, after_seconds))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _take_leave(self, binding: Binding, code: int, reason: str, after_seconds: float) -> None:
        """The socket is closed with ``code`` when this was its last binding."""
        await asyncio.sleep(after_seconds)
        if binding.ended:
            return
        self._forget(binding)
        socket = binding.socket
        try:
            await self._sockets.unbind(binding.listener, [binding.subscription])
        except Unavailable as problem:  # the next attempt finds nobody, and that is written then
            log.warning("an ended binding stands in the store", extra={"reason": str(problem)})
        await socket.tell(Issue("business-rule", f"{_reference(binding.subscription)}: {reason}", severity="warning"))
        if not self.has_any(socket):
            await socket.close(code, reason)

    def _forget(self, binding: Binding) -> None:
        binding.ended = True
        self.board.drop(binding)
        own = self._by_socket.get(binding.socket, set())
        own.discard(binding)
        if not own:
            self._by_socket.pop(binding.socket, None)

    async def _take(self, socket: Socket, listener: str, hold: Hold, seen: int | None) -> Ready:
        definition = await self._definitions.get(hold.subscription, hold.definition_version)
        cursor = hold.progress.cursor
        binding = Binding(hold.subscription, listener, socket, sent_upto=cursor)
        before = self.board.put(binding)
        self._by_socket.setdefault(socket, set()).add(binding)
        if before is not None and before.socket is socket:
            self._forget(before)
        elif before is not None:
            self._end(before, ELSEWHERE, TAKEN)
        return Ready(hold, definition, binding, cursor if seen is None else min(seen, cursor))

    async def _greet(self, ready: Ready) -> bool:
        """The handshake of this binding; a classic Subscription is answered ``bound`` (S-014)."""
        if ready.subscription.is_classic:
            return await self._write(ready, f"bound {ready.key.id}")
        notification = compose(replace(ready.hold, duty=Duty.HANDSHAKE), ready.subscription, (), datetime.now(UTC))
        identity = f"{ready.hold.subscription}|{ready.binding.listener}"
        gone = ready.seen + 1, ready.hold.progress.first_kept - 1
        told = SubscriptionError("out-of-window", f"events {gone[0]} to {gone[1]} are past their retention")
        return await self._write(
            ready,
            self._text(
                ready,
                replace(
                    notification,
                    bundle_id=derived_id(f"{identity}|bundle"),
                    status_id=derived_id(f"{identity}|status"),
                    errors=(told,) if gone[0] <= gone[1] else (),
                ),
            ),
        )

    async def _catch_up(self, ready: Ready) -> bool:
        """Send the events after the last number seen up to the cursor, as $events tells them (S-187)."""
        hold, most = ready.hold, ready.subscription.channel.max_count
        for start in range(ready.seen + 1, hold.progress.cursor + 1, most):
            numbers = range(start, min(start + most, hold.progress.cursor + 1))
            if ready.binding.ended:
                return False
            ((first, references),) = await self._reader.log.read([(hold.subscription, numbers)])
            if not references:
                continue
            progress = replace(hold.progress, cursor=first - 1, frozen_upto=first + len(references) - 1)
            part = replace(hold, duty=Duty.EVENTS, progress=progress, references=tuple(references))
            text = await self._events_text(ready, part)
            if not await self._write(ready, text):
                return False
        ready.binding.live = True
        return True

    async def _events_text(self, ready: Ready, part: Hold) -> str:
        events = await events_of(self._reader, part, ready.subscription.channel.content)
        if ready.subscription.is_classic:
            return f"ping {ready.key.id}"
        return self._text(ready, compose(part, ready.subscription, events, datetime.now(UTC)))

    def _text(self, ready: Ready, notification: Notification) -> str:
        base = ready.key.base
        return dialect(base).write_notification(notification, *self._base_urls[base]).decode()

    async def _write(self, ready: Ready, text: str) -> bool:
        """False when the socket has ended: it will be released."""
        return await ready.binding.socket.write(text, ready.subscription.channel.timeout_seconds)


def _reference(name: str) -> str:
    return f"Subscription/{SubscriptionKey.parse(name).id}"


def _refusal(bound: Bound) -> Issue:
    reference = _reference(bound.subscription)
    match bound.code:
        case BindCode.BEYOND:
            return Issue("value", f"{reference} has had {bound.number} events; no higher number can have been seen")
        case BindCode.OFF:
            return Issue("business-rule", f"{reference} is off; PUT it with the status requested, and bind again")
        case _:
            return Issue("not-found", f"{reference} is no Subscription with a websocket any more")
