"""Whether the store went backwards (I24): what was in it and is no more, after a lossy failover or a restored backup.

Each process remembers the newest change of each partition that it was told is stored, or that it committed events of.
Every new connection is asked for these before anything else travels on it. The same is kept in a file between two
lives of the process, and the store's own name with it, so that another store is not taken for a former state of this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hub.domain.change import ChangeId
from hub.domain.subscription import SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.store.keys import Partition
from hub.store.scripts import Command

CALLS_PER_MARK = 3
PAUSE_SECONDS = 1.0
"""After it was noticed nothing travels for so long: what was on its way was thought of before."""


@dataclass(frozen=True, slots=True)
class Backwards:
    """A partition whose newest change was ``known`` and is ``found`` now ("" = none at all).

    ``delivers``: a repair is under way; what waits is sent, nothing new is numbered.
    """

    known: str
    found: str
    delivers: bool = False

    @classmethod
    def read(cls, raw: bytes) -> Backwards:
        return cls(**json.loads(raw))

    def write(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Questions:
    """The newest change known of each partition, and the commands that ask for them."""

    marks: tuple[tuple[Partition, ChangeId], ...]
    calls: tuple[Command, ...]


class Witness:
    """One per store. ``backwards`` is what stands still until ``hub doctor`` has repaired it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = ""
        self.backwards: dict[Partition, Backwards] = {}
        self.unwritten: set[Partition] = set()
        self._marks: dict[Partition, ChangeId] = {}
        self._clock = clock
        self._pause_until = 0.0

    def saw(self, partition: Partition, change: ChangeId) -> None:
        """This change is stored, as surely as the level of durability says."""
        mark = self._marks.get(partition)
        if mark is None or change > mark:
            self._marks[partition] = change

    def questions(self) -> Questions:
        """What a new connection is asked. Only this is judged: what is seen meanwhile may be newer than the answers."""
        marks = [(partition, mark) for partition, mark in self._marks.items() if partition not in self.backwards]
        calls: list[Command] = [
            command
            for partition, mark in marks
            for command in (
                ("HGET", partition.key("own"), "last"),
                ("XRANGE", partition.key("chg"), str(mark), str(mark)),
                ("XRANGE", partition.key("chg"), "-", "+", "COUNT", 1),
            )
        ]
        return Questions(tuple(marks), tuple(calls))

    def judge(self, questions: Questions, replies: Sequence[Any]) -> bool:
        """Whether these answers show that it went backwards; then it is noted."""
        noticed = False
        for place, (partition, mark) in enumerate(questions.marks):
            last, found, first = replies[place * CALLS_PER_MARK : (place + 1) * CALLS_PER_MARK]
            newest = last.decode() if last else ""
            retired = not first or ChangeId.parse(first[0][0].decode()) > mark
            if not newest or ChangeId.parse(newest) < mark or not (found or retired):
                self.backwards[partition] = Backwards(str(mark), newest)
                self.unwritten.add(partition)
                self._pause_until = self._clock() + PAUSE_SECONDS
                noticed = True
        return noticed

    @property
    def pauses(self) -> bool:
        return self._clock() < self._pause_until

    def learn(self, told: Mapping[Partition, Backwards]) -> None:
        """What all processes know together; what was repaired meanwhile is forgotten."""
        for partition in [each for each in self.backwards if each not in told and each not in self.unwritten]:
            del self.backwards[partition]
            self._marks.pop(partition, None)
        self.backwards.update(told)

    def stops_numbering(self, partition: Partition) -> bool:
        return partition in self.backwards

    def stops_sending(self, subscription: SubscriptionKey) -> bool:
        """Its next number may have been given before, to another event."""
        return any(
            (partition.tenant, partition.base) == (subscription.tenant, subscription.base) and not found.delivers
            for partition, found in self.backwards.items()
        )

    def problems(self) -> list[str]:
        return [
            f"the store went backwards: {partition} had change {found.known}, and now ends at "
            f"{found.found or 'nothing'}; nothing is numbered or sent there until `hub doctor --repair`"
            for partition, found in self.backwards.items()
        ]

    def save(self, file: Path) -> None:
        """For the next life of this process."""
        told = {"store": self.store, "marks": {str(partition): str(mark) for partition, mark in self._marks.items()}}
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(told), encoding="ascii")
        beside.replace(file)

    def restore(self, file: Path) -> bool:
        """What the former life knew. False: that was another store, and nothing of it is taken over."""
        if not file.exists():
            return True
        told = json.loads(file.read_text(encoding="ascii"))
        if told["store"] != self.store:
            return False
        for name, mark in told["marks"].items():
            self.saw(read_partition(name), ChangeId.parse(mark))
        return True


def read_partition(name: str) -> Partition:
    tenant, base, index = name.rsplit("|", 2)
    return Partition(tenant, FhirVersion(base), int(index))
