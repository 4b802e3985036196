"""Keeping and asking the reverse index: who refers to the focus of an event (ruling 21).

The evaluator shows every change of its partition, loads too, before it commits anything of it; so an event sees what
came before it. When a topic first names a directive, its index is filled from the resources that are held, beside the
evaluation; until that is done an event may miss something, which is no error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hub.domain.change import ChangeId, Interaction, Resource, ResourceChange, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Unavailable
from hub.fhir.json import read_json
from hub.intake.registry import Registry
from hub.matching.includes import MOST_INCLUDED
from hub.matching.rev_includes import ReverseInclude
from hub.reading.events import shown
from hub.store.changes import NO_PREVIOUS, Changes, Entry
from hub.store.client import Store
from hub.store.keys import Layout, Partition
from hub.store.reverse_index import ReverseIndex

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class ReverseIncludes:
    """The reverse includes of one (tenant, base)."""

    def __init__(self, store: Store, changes: Changes, registry: Registry, tenant: str, base: FhirVersion) -> None:
        self._index = ReverseIndex(store, tenant, base)
        self._layout: Layout = store.layout
        self._changes = changes
        self._registry = registry
        self._tenant = tenant
        self._base = base
        self._filled: set[str] | None = None

    async def observe(self, partition: Partition, entries: Sequence[Entry]) -> None:
        """Take the changes in, oldest first."""
        directives = self._directives()
        for entry in entries if directives else ():
            happened = entry.interaction is Interaction.EVENT  # elsewhere: nothing here refers to anything else now
            concerned = [each for each in directives.values() if each.source == entry.type and not happened]
            if concerned:
                before = await self._state_before(partition, entry)
                after = _state(entry)
                for directive in concerned:
                    old, new = directive.targets(before), directive.targets(after)
                    await self._index.change(directive.name, entry.resource_id, old - new, new)

    async def of(self, change: ResourceChange, directives: Sequence[ReverseInclude]) -> list[tuple[str, str]]:
        """(type, id) of what refers to the focus of ``change``, at most MOST_INCLUDED."""
        wanted = [(directive.name, change.key.reference) for directive in directives]
        found = await self._index.referring(wanted)
        names = [(each.source, identity) for each, ids in zip(directives, found, strict=True) for identity in ids]
        return names[:MOST_INCLUDED]

    def _directives(self) -> dict[str, ReverseInclude]:
        listed = self._registry.catalogue.listed(self._tenant, self._base)
        return {each.name: each for topic in listed for each in topic.compiled.rev_includes}

    async def run(self) -> None:
        """Fill what a topic names for the first time; looks every second, returns never."""
        while True:
            try:
                await self.fill()
            except Unavailable as problem:
                log.warning("a reverse index waits for the store", extra={"reason": str(problem)})
            await asyncio.sleep(LOOK_SECONDS)

    async def fill(self) -> None:
        directives = self._directives()
        if self._filled is None and directives:
            self._filled = await self._index.filled()
        for name in directives.keys() - (self._filled or set()):
            log.info("filling a reverse index from what is held", extra={"directive": name, "base": str(self._base)})
            for partition in self._layout.partitions_of(self._tenant, self._base):
                await self._fill_from(partition, directives[name])
            await self._index.mark_filled(name)
            self._filled = {*(self._filled or ()), name}

    async def _fill_from(self, partition: Partition, directive: ReverseInclude) -> None:
        async for identities in self._index.held(partition, directive.source):
            for identity in identities:
                key = ResourceKey(self._tenant, self._base, directive.source, identity)
                entry = await self._changes.version(partition, key, None)
                targets = directive.targets(_state(entry) if entry else None)
                await self._index.change(directive.name, identity, (), targets)

    async def _state_before(self, partition: Partition, entry: Entry) -> Resource | None:
        if entry.previous == NO_PREVIOUS:
            return None
        place = (ChangeId.parse(entry.previous), f"{entry.type}/{entry.resource_id}")
        (found,) = await self._changes.entries(partition, [place])
        return _state(found) if found else None


def _state(entry: Entry) -> Resource | None:
    gone = entry.interaction is Interaction.DELETE or not entry.body
    return None if gone else read_json(shown(entry))
