"""What a process keeps of each living Subscription, as one string of bytes: everything else is in the store.

    definition version, content level, number of its topic, number of floors | (partition, milliseconds, sequence) each

A million definitions would take gigabytes, and every full garbage collection would look at each of their parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct

from hub.domain.change import ChangeId
from hub.domain.subscription import Content, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion

_HEAD = Struct("<IBIB")
_FLOOR = Struct("<IQQ")
_LEVELS = tuple(Content)


@dataclass(frozen=True, slots=True)
class Registered:
    """One living Subscription in the newest version of its definition that this process knows.

    ``topic`` is the canonical as written, "" for a classic one.
    """

    key: SubscriptionKey
    definition_version: int
    topic: str
    content: Content


class KnownSubscriptions:
    """By name (``tenant|base|id``)."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}
        self._topics: dict[int, str] = {}
        self._topic_numbers: dict[str, int] = {}
        self._users: Counter[int] = Counter()
        self._newest_topic = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, name: str, version: int, subscription: Subscription, since: Mapping[str, str]) -> None:
        """``since`` as in its Definition: the newest change of each partition when it was asked for."""
        self.drop(name)
        topic = self._topic_number(subscription.topic)
        self._users[topic] += 1
        floors = [(int(partition), ChangeId.parse(change)) for partition, change in since.items()]
        head = _HEAD.pack(version, _LEVELS.index(subscription.channel.content), topic, len(floors))
        packed = (_FLOOR.pack(partition, floor.milliseconds, floor.sequence) for partition, floor in floors)
        self._entries[name] = head + b"".join(packed)

    def drop(self, name: str) -> None:
        """An unknown name is no error."""
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        topic = _HEAD.unpack_from(entry)[2]
        self._users[topic] -= 1
        if not self._users[topic]:
            del self._users[topic], self._topic_numbers[self._topics.pop(topic)]

    def get(self, name: str) -> Registered | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        version, level, topic, _ = _HEAD.unpack_from(entry)
        return Registered(SubscriptionKey.parse(name), version, self._topics[topic], _LEVELS[level])

    def version_of(self, name: str) -> int:
        """The definition version; 0 for an unknown name."""
        entry = self._entries.get(name)
        return int(_HEAD.unpack_from(entry)[0]) if entry else 0

    def counts(self, name: str, partition_index: int, change: ChangeId) -> bool:
        """Whether a change came after the Subscription was asked for (ruling 16); never for an unknown name."""
        entry = self._entries.get(name)
        if entry is None:
            return False
        for at in range(_HEAD.size, len(entry), _FLOOR.size):
            partition, milliseconds, sequence = _FLOOR.unpack_from(entry, at)
            if partition == partition_index:
                return (change.milliseconds, change.sequence) > (milliseconds, sequence)
        return True

    def all_of(self, tenant: str, base: FhirVersion) -> Iterator[Registered]:
        """Every one of a base at the moment of the call; the order is not promised."""
        start = f"{tenant}|{base}|"
        for name in [name for name in self._entries if name.startswith(start)]:
            if registered := self.get(name):
                yield registered

    def _topic_number(self, canonical: str) -> int:
        number = self._topic_numbers.get(canonical)
        if number is None:
            number = self._newest_topic = self._newest_topic + 1
            self._topic_numbers[canonical], self._topics[number] = number, canonical
        return number
