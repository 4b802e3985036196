"""Looking up what chains lead to, before a change is judged (HOUSE ruling 23).

A batch is completed in one pipeline of the store. A Subscription that appears between that and the judging of a change
may need more: ``completed`` is asked again for each change, and asks the store only for what is still missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from hub.domain.change import Interaction, Resource, ResourceChange, ResourceKey
from hub.fhir.json import read_json
from hub.reading.events import shown
from hub.store.changes import Changes, Entry
from hub.store.keys import Layout


class Asking(Protocol):
    """Who knows what is asked for: the registry."""

    def references(self, change: ResourceChange) -> frozenset[str]: ...


class ChainTargets:
    """Gives changes the present states of the resources that they refer to and that somebody asks for."""

    def __init__(self, changes: Changes, layout: Layout, registry: Asking) -> None:
        self._changes = changes
        self._layout = layout
        self._registry = registry

    async def completed(self, changes: Sequence[ResourceChange]) -> list[ResourceChange]:
        """The same changes, none of which lacks a target when this returns: nothing was awaited since it looked."""
        ready = list(changes)
        while missing := self._missing(ready):
            found = await self._look_up(list(dict.fromkeys(key for keys in missing.values() for key in keys)))
            for place, keys in missing.items():
                known = {key.reference: found[key] for key in keys}
                ready[place] = replace(ready[place], targets={**ready[place].targets, **known})
        return ready

    def _missing(self, changes: Sequence[ResourceChange]) -> dict[int, list[ResourceKey]]:
        """By place of the change."""
        found: dict[int, list[ResourceKey]] = {}
        for place, change in enumerate(changes):
            wanted = self._registry.references(change) - change.targets.keys()
            if wanted:
                found[place] = [_key(change, reference) for reference in sorted(wanted)]
        return found

    async def _look_up(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Resource | None]:
        places = [(self._layout.partition_of(key), key) for key in keys]
        entries = await self._changes.present(places)
        return {key: _state(entry) for key, entry in zip(keys, entries, strict=True)}


def _key(change: ResourceChange, reference: str) -> ResourceKey:
    resource_type, _, identity = reference.partition("/")
    return ResourceKey(change.key.tenant, change.key.base, resource_type, identity)


def _state(entry: Entry | None) -> Resource | None:
    """None for what was never held, is no longer held, or was deleted."""
    gone = entry is None or entry.interaction is Interaction.DELETE or not entry.body
    return None if entry is None or gone else read_json(shown(entry))
