"""Who holds the socket of a Subscription, and the tokens by which a socket proves whose it is.

A *listener* is one binding in one process: ``process/number``. It stands in the record of the Subscription, so whoever
is to deliver learns in the same step to whom. Tokens are kept as their digest, and only until they are used or expire.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub.store.agenda import Hold, read_hold
from hub.store.client import Store
from hub.store.keys import SOCKETS_CHANNEL, binding_key, shard_key
from hub.store.scripts import Argument, script

MOST_PER_SCRIPT = 200


class BindCode(StrEnum):
    OK = "OK"
    ABSENT = "ABSENT"
    """Deleted, or not sent over a socket any more."""
    OFF = "OFF"
    BEYOND = "BEYOND"
    """Its client says it has seen a number that was never given."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What became of one Subscription of a bind. ``hold`` has its progress when it was bound, else None."""

    subscription: str
    code: BindCode
    number: int = 0
    before: str = ""
    """The listener that had it until now."""
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """What a binding token stands for."""

    principal: str
    subscriptions: tuple[str, ...]


class Sockets:
    """Binds, and lets go. Every call takes any number of Subscriptions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def bind(self, listener: str, wanted: Sequence[tuple[str, int | None]]) -> list[Bound]:
        """Take (Subscription, last number seen) over; attempts in flight are void, nothing is sent before ``listen``.

        The cursor moves on to the last number seen, never back. Whoever held one before is told.
        """
        found: dict[str, Bound] = {}
        for shard, part in self._parts([name for name, _ in wanted]):
            seen = dict(wanted)
            arguments: list[Argument] = [listener]
            for name in part:
                number = seen[name]
                arguments += [name, "" if number is None else number]
            keys = [shard_key(shard, "due"), shard_key(shard, "m")]
            (replies,) = await self._store.send(script("bind", keys, arguments))
            for name, reply in zip(part, replies, strict=True):
                found[name] = _bound(name, reply)
        await self.announce([each.subscription for each in found.values() if each.before])
        return [found[name] for name, _ in wanted]

    async def listen(self, listener: str, subscriptions: Sequence[str]) -> list[str]:
        """What is due goes out from now on; those that the listener still has."""
        return await self._change("listen", listener, subscriptions)

    async def unbind(self, listener: str, subscriptions: Sequence[str]) -> list[str]:
        """Let them go; those that the listener had. Their events wait."""
        return await self._change("unbind", listener, subscriptions)

    async def announce(self, subscriptions: Sequence[str]) -> None:
        """Tell every process that something about these has changed."""
        if subscriptions:
            await self._store.send(*(("PUBLISH", SOCKETS_CHANNEL, name) for name in subscriptions))

    async def keep_token(self, digest: str, permission: Permission, seconds: int) -> None:
        kept = json.dumps([permission.principal, permission.subscriptions])
        await self._store.send(("SET", binding_key(digest), kept, "PX", seconds * 1000))

    async def take_token(self, digest: str) -> Permission | None:
        """What the token stands for, once; None when it was used, has expired, or never was."""
        (raw,) = await self._store.send(("GETDEL", binding_key(digest)))
        if raw is None:
            return None
        principal, subscriptions = json.loads(raw)
        return Permission(principal, tuple(subscriptions))

    async def _change(self, name: str, listener: str, subscriptions: Sequence[str]) -> list[str]:
        done: list[str] = []
        for shard, part in self._parts(subscriptions):
            keys = [shard_key(shard, "due"), shard_key(shard, "m")]
            (replies,) = await self._store.send(script(name, keys, [listener, *part]))
            done += [each for each, changed in zip(part, replies, strict=True) if changed]
        return done

    def _parts(self, subscriptions: Sequence[str]) -> list[tuple[int, list[str]]]:
        by_shard: dict[int, list[str]] = {}
        for name in dict.fromkeys(subscriptions):
            by_shard.setdefault(self._store.layout.shard_of(name), []).append(name)
        return [
            (shard, names[start : start + MOST_PER_SCRIPT])
            for shard, names in by_shard.items()
            for start in range(0, len(names), MOST_PER_SCRIPT)
        ]


def _bound(name: str, reply: list[bytes]) -> Bound:
    code = BindCode(reply[0].decode())
    if code is BindCode.BEYOND:
        return Bound(name, code, number=int(reply[1]))
    if code is not BindCode.OK:
        return Bound(name, code)
    return Bound(name, code, before=reply[1].decode(), hold=read_hold(list(reply[2])))
