"""What the operator has stopped: topics of a base, and endpoints by their host (``{reg}:stops``).

This is the list that writes of Subscriptions are checked against; what holds a Subscription back stands in its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hub.store.client import Store
from hub.store.keys import STOPS


@dataclass(frozen=True, slots=True)
class Stop:
    """``base`` "" for endpoints: a host is the same one whatever speaks to it. ``name``: canonical without version, or
    host in lower case."""

    tenant: str
    base: str
    name: str

    @property
    def is_topic(self) -> bool:
        return bool(self.base)


class Stops:
    """The list; every process reads it with every write of a Subscription."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, stop: Stop) -> None:
        """One that stands already keeps its instant."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        await self._store.send(("HSETNX", STOPS, _field(stop), now))

    async def remove(self, stop: Stop) -> bool:
        """Whether it stood."""
        (count,) = await self._store.send(("HDEL", STOPS, _field(stop)))
        return bool(count)

    async def all(self) -> dict[Stop, datetime]:
        """Every stop with the instant since which it stands."""
        (reply,) = await self._store.send(("HGETALL", STOPS))
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {_stop(field): datetime.fromisoformat(since.decode()) for field, since in pairs}


def _field(stop: Stop) -> str:
    return f"{stop.tenant}|{stop.base}|{stop.name}"


def _stop(field: bytes) -> Stop:
    tenant, base, name = field.decode().split("|", 2)
    return Stop(tenant, base, name)
