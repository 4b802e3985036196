"""From process to process: a message for a socket that another one holds, and its answer (publish and subscribe).

Nothing is kept: what is lost is asked again by whoever waits for the answer, and the record says who should have it.
Nobody subscribed means that the process has ended, which Redis knows at once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from hub.errors import Unavailable
from hub.store.client import Store
from hub.store.keys import CHANGES_CHANNEL, SOCKETS_CHANNEL, process_channel

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5
ASKED, ANSWERED = b"?", b"!"


class Relay:
    """One per process; ``process`` is a name of this life of it, never used again.

    ``answer`` is asked for what another process hands over; ``noticed`` hears which Subscription was written,
    ``changed`` of which partition another process accepted a change.
    """

    def __init__(
        self,
        store: Store,
        process: str,
        answer: Callable[[bytes], Awaitable[bytes]],
        noticed: Callable[[str], None],
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._process = process
        self._answer = answer
        self._noticed = noticed
        self._changed = changed
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._counter = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, process: str, message: bytes, seconds: float) -> bytes | None:
        """The answer of another process; None when it has ended or does not answer in time. Raises Unavailable."""
        number = b"%d" % next(self._counter)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        head = b" ".join((ASKED, number, self._process.encode()))
        try:
            async with asyncio.timeout(seconds):
                (heard,) = await self._store.send(("PUBLISH", process_channel(process), head + b"\n" + message))
                return await future if heard else None
        except TimeoutError:
            return None
        finally:
            del self._waiting[number]

    async def run(self) -> None:
        """Hear until cancelled; the connection is made anew whenever it is lost."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as problem:
                log.warning("sockets of other processes cannot be reached", extra={"reason": type(problem).__name__})
            await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self) -> None:
        ears = self._store.pubsub()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await ears.subscribe(SOCKETS_CHANNEL, CHANGES_CHANNEL, process_channel(self._process))
            while True:
                _heed_cancellation()
                message = await ears.get_message(ignore_subscribe_messages=True, timeout=WAIT_SECONDS)
                if message is None:
                    continue
                if message["channel"] == SOCKETS_CHANNEL.encode():
                    self._noticed(message["data"].decode())
                elif message["channel"] == CHANGES_CHANNEL.encode():
                    self._changed(message["data"].decode())
                else:
                    self._take(message["data"])
        finally:
            await ears.aclose()  # type: ignore[no-untyped-call]

    def _take(self, data: bytes) -> None:
        head, _, message = data.partition(b"\n")
        kind, number, *sender = head.split(b" ")
        if kind == ASKED:
            task = asyncio.create_task(self._reply(number, sender[0].decode(), message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (future := self._waiting.get(number)) and not future.done():
            future.set_result(message)

    async def _reply(self, number: bytes, sender: str, message: bytes) -> None:
        answer = await self._answer(message)
        head = b" ".join((ANSWERED, number))
        try:
            await self._store.send(("PUBLISH", process_channel(sender), head + b"\n" + answer))
        except Unavailable as problem:
            log.warning("an answer to another process was not sent", extra={"reason": str(problem)})


def _heed_cancellation() -> None:
    """redis-py swallows the cancellation of a task that is connecting; it would then never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
