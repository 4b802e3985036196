"""SubscriptionTopics and SearchParameters, and the log that tells every process what changed in the registry.

The log only says *that* something changed; the reader fetches the newest state. A reader that fell behind what the log
still holds reads everything anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hub.store.client import Store
from hub.store.conditional_write import WriteCode
from hub.store.keys import REGISTRY_LOG, SEARCH_PARAMETERS, TOPICS
from hub.store.scripts import Argument, script

MOST_NEWS = 1000


class NewsKind(StrEnum):
    SUBSCRIPTION = "subscription"
    TOPIC = "topic"
    SEARCH_PARAMETER = "search-parameter"
    VALUE_SET = "value-set"
    """An ordinary resource: ACCEPT says that it changed, in the step that changes it."""


_KEYS = {NewsKind.TOPIC: TOPICS, NewsKind.SEARCH_PARAMETER: SEARCH_PARAMETERS}
"""Where the definitions of each kind are; Subscriptions and ValueSets have rooms of their own."""


@dataclass(frozen=True, slots=True)
class News:
    """One entry of the log: something about this Subscription, topic, SearchParameter or ValueSet changed."""

    id: str
    kind: NewsKind
    name: str


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One version of a definition as stored: the bytes as received, in text."""

    resource: str
    written: str
    """Instant of this version, RFC 3339."""


@dataclass(frozen=True, slots=True)
class Published:
    code: WriteCode
    version: int = 0
    created: bool = False


class Registry:
    """Topics and SearchParameters by name (``tenant|base|id``) and the news of the registry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def publish(
        self, name: str, record: TopicRecord, expected_version: int | None, kind: NewsKind = NewsKind.TOPIC
    ) -> Published:
        """Write a new version; ``expected_version`` 0 = it must not exist, None = any."""
        return await self._change(kind, name, "put", json.dumps(asdict(record)), expected_version)

    async def withdraw(
        self, name: str, written: str, expected_version: int | None, kind: NewsKind = NewsKind.TOPIC
    ) -> Published:
        """Delete a definition; older versions can still be read."""
        return await self._change(kind, name, "delete", json.dumps(asdict(TopicRecord("", written))), expected_version)

    async def _change(
        self, kind: NewsKind, name: str, operation: str, record: str, expected_version: int | None
    ) -> Published:
        expected: Argument = "" if expected_version is None else expected_version
        (reply,) = await self._store.send(
            script("publish", [_KEYS[kind], REGISTRY_LOG], [name, expected, operation, record, kind.value])
        )
        code = WriteCode(reply[0].decode())
        version = int(reply[1]) if len(reply) > 1 else 0
        return Published(code, version, created=len(reply) > 2 and reply[2] == 1)

    async def topic(self, name: str, version: int | None = None) -> tuple[int, bool, TopicRecord] | None:
        return await self.written(NewsKind.TOPIC, name, version)

    async def written(
        self, kind: NewsKind, name: str, version: int | None = None
    ) -> tuple[int, bool, TopicRecord] | None:
        """(version, alive, record) of one version, None for the newest. None back: no such definition or version."""
        (head,) = await self._store.send(("HGET", _KEYS[kind], name))
        if not head:
            return None
        newest, operation = head.decode().split()
        wanted = int(newest) if version is None else version
        (raw,) = await self._store.send(("HGET", _KEYS[kind], f"{name} {wanted}"))
        if not raw:
            return None
        record = TopicRecord(**json.loads(raw))
        return wanted, bool(record.resource) and (wanted != int(newest) or operation == "put"), record

    async def names(self, kind: NewsKind) -> list[str]:
        """The names of all definitions of a kind that were ever written and not deleted."""
        (reply,) = await self._store.send(("HGETALL", _KEYS[kind]))
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return sorted(name.decode() for name, value in pairs if b" " not in name and value.endswith(b" put"))

    async def news(self, after: str) -> tuple[list[News], bool]:
        """What changed after this log entry, and whether some of it is no longer held (then read everything anew)."""
        first, found = await self._store.send(
            ("XRANGE", REGISTRY_LOG, "-", "+", "COUNT", 1),
            ("XRANGE", REGISTRY_LOG, f"({after}", "+", "COUNT", MOST_NEWS),
        )
        missed = bool(first) and _order(first[0][0].decode()) > _order(after)
        return [_news(identity, fields) for identity, fields in found], missed

    async def newest_news(self) -> str:
        (reply,) = await self._store.send(("XREVRANGE", REGISTRY_LOG, "+", "-", "COUNT", 1))
        return str(reply[0][0].decode()) if reply else "0-0"


def _order(identity: str) -> tuple[int, int]:
    milliseconds, _, sequence = identity.partition("-")
    return int(milliseconds), int(sequence)


def _news(identity: bytes, fields: list[Any] | dict[bytes, bytes]) -> News:
    kind, name = next(iter(fields.items())) if isinstance(fields, dict) else fields[:2]
    return News(identity.decode(), NewsKind(kind.decode()), name.decode())
