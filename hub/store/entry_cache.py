"""Entries of changes that this process saw lately. An entry never changes, so what is found here is always right."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from hub.domain.change import ChangeId
from hub.store.keys import Partition

if TYPE_CHECKING:
    from hub.store.changes import Entry

MOST_BYTES = 32 * 1024 * 1024
OVERHEAD_BYTES = 500
"""Roughly what an entry takes besides its body."""


class EntryCache:
    """The most recently used entries, up to MOST_BYTES."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[Partition, ChangeId], Entry] = OrderedDict()
        self._bytes = 0

    def get(self, partition: Partition, identity: ChangeId) -> Entry | None:
        found = self._entries.get((partition, identity))
        if found is not None:
            self._entries.move_to_end((partition, identity))
        return found

    def put(self, partition: Partition, entry: Entry) -> None:
        if (partition, entry.id) in self._entries:
            return
        self._entries[(partition, entry.id)] = entry
        self._bytes += OVERHEAD_BYTES + len(entry.body)
        while self._bytes > MOST_BYTES:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= OVERHEAD_BYTES + len(oldest.body)
