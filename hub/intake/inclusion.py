"""Which versions of which further resources an event takes along, fixed when it is committed (ruling 21)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hub.domain.change import Interaction, ResourceChange, ResourceKey
from hub.domain.subscription import Content
from hub.fhir.json import read_json
from hub.intake.registry import Registry
from hub.matching.includes import DEEPEST_ITERATION, MOST_INCLUDED, CompiledIncludes
from hub.reading.events import shown
from hub.store.changes import Changes, Entry
from hub.store.event_log import IncludedReference
from hub.store.keys import Layout


class Inclusion:
    """Looks up what the includes of a topic name, as it stands now."""

    def __init__(self, changes: Changes, layout: Layout, registry: Registry) -> None:
        self._changes = changes
        self._layout = layout
        self._registry = registry

    async def of(self, change: ResourceChange, names: Sequence[str]) -> dict[str, tuple[IncludedReference, ...]]:
        """What the event of ``change`` takes along, for those of these Subscriptions that take anything."""
        wanted = {name: includes for name in names if (includes := self._wanted_by(name))}
        found = {
            id(each): await self._of(change, each) for each in {id(each): each for each in wanted.values()}.values()
        }
        return {name: found[id(includes)] for name, includes in wanted.items()}

    def _wanted_by(self, name: str) -> CompiledIncludes | None:
        """The includes that a Subscription takes; None when its topic has none or its content level shows none."""
        registered = self._registry.known(name)
        if registered is None or registered.subscription.channel.content is Content.EMPTY:
            return None
        key = registered.key
        listed = self._registry.catalogue.find(key.tenant, key.base, registered.subscription.topic)
        includes = listed.compiled.includes if listed else None
        return includes if includes and includes.directives else None

    async def _of(self, change: ResourceChange, includes: CompiledIncludes) -> tuple[IncludedReference, ...]:
        focus = change.focus
        if focus is None:
            return ()
        seen = {(change.key.type, change.key.id)}
        found: list[IncludedReference] = []
        names = includes.references(focus)
        for _ in range(DEEPEST_ITERATION):
            fresh = [name for name in names if name not in seen][: MOST_INCLUDED - len(found)]
            if not fresh:
                break
            seen.update(fresh)
            entries = await self._present(change.key, fresh)
            found += [self._reference(change.key, entry) for entry in entries]
            names = [name for entry in entries for name in includes.references(read_json(shown(entry)), iterating=True)]
        return tuple(found)

    async def _present(self, focus: ResourceKey, names: Sequence[tuple[str, str]]) -> list[Entry]:
        """The newest state of each that lives here; what is not held is left out."""
        keys = [ResourceKey(focus.tenant, focus.base, *name) for name in names]
        entries = await asyncio.gather(
            *(self._changes.version(self._layout.partition_of(key), key, None) for key in keys)
        )
        return [entry for entry in entries if entry and entry.interaction is not Interaction.DELETE]

    def _reference(self, focus: ResourceKey, entry: Entry) -> IncludedReference:
        key = ResourceKey(focus.tenant, focus.base, entry.type, entry.resource_id)
        return IncludedReference(self._layout.partition_of(key).index, entry.id, key.reference)
