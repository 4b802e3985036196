"""The store as the other rooms see it: send calls, check at the start that this Redis keeps what we promise.

Promises: every reply that comes back was given by Redis after it was durable in the sense of its settings; any doubt is
``Unavailable``.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.client import PubSub

from hub.errors import CannotStart, Unavailable
from hub.store.keys import LAYOUT_KEY, Layout
from hub.store.lanes import Lanes
from hub.store.scripts import Command


class Store:
    """One Redis and the layout of the data in it. ``send`` is the only way in; the other rooms build the calls."""

    def __init__(self, url: str, layout: Layout) -> None:
        self.layout = layout
        self._lanes = Lanes(url)

    async def send(self, *commands: Command) -> list[Any]:
        """Send commands in one write and return their replies in order.

        Raises Unavailable when Redis does not answer, or answers any of them with an error.
        """
        replies = await self._lanes.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise Unavailable(f"Redis refused: {reply}") from reply
        return replies

    async def start(self, *, durability: str, accept_unverified: bool) -> None:
        """Check that this Redis keeps what the durability level promises and that its data has our layout.

        Raises CannotStart with every reason at once (REDIS §2.2), also when Redis does not answer.
        """
        try:
            await self._check(durability, accept_unverified=accept_unverified)
        except Unavailable as problem:
            raise CannotStart(str(problem)) from problem

    async def _check(self, durability: str, *, accept_unverified: bool) -> None:
        problems = [] if accept_unverified else await self._unfit_settings(durability)
        if problems:
            raise CannotStart(
                "Redis is not set up for durability level "
                f"{durability!r}: {'; '.join(problems)}. Set HUB_ACCEPT_UNVERIFIED_REDIS=1 only if you know better."
            )
        await self._check_layout()

    async def _unfit_settings(self, durability: str) -> list[str]:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec" if durability == "relaxed" else "always",
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
        }
        replies = await self._lanes.send([("CONFIG", "GET", name) for name in wanted])
        problems = []
        for (name, value), reply in zip(wanted.items(), replies, strict=True):
            if isinstance(reply, Exception):
                return ["CONFIG GET is not allowed, so its settings cannot be checked"]
            pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
            found = {_text(key): _text(text) for key, text in pairs}.get(name, "")
            stricter = name == "appendfsync" and found == "always"
            if found != value and not stricter:
                problems.append(f"{name} is {found!r}, needed is {value!r}")
        return problems

    async def _check_layout(self) -> None:
        _, found = await self.send(("SET", LAYOUT_KEY, str(self.layout), "NX"), ("GET", LAYOUT_KEY))
        if _text(found) != str(self.layout):
            _, partitions, shards = _text(found).split()
            raise CannotStart(
                f"the data in this Redis was laid out with HUB_PARTITIONS={partitions} and HUB_SHARDS={shards}; "
                "start with those, or with an empty Redis"
            )

    async def clock_milliseconds(self) -> int:
        """The clock that scripts use; also shows that Redis answers."""
        ((seconds, microseconds),) = await self.send(("TIME",))
        return int(seconds) * 1000 + int(microseconds) // 1000

    def pubsub(self) -> PubSub:
        """A connection of its own that hears what is published; one per store."""
        return self._lanes.pubsub()

    async def close(self) -> None:
        await self._lanes.close()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
