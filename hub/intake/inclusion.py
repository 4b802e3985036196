"""Which versions of which further resources an event takes along, fixed when it is committed (ruling 21)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from hub.beside import beside
from hub.domain.change import Interaction, ResourceChange, ResourceKey
from hub.domain.subscription import Content
from hub.domain.versions import FhirVersion
from hub.fhir.json import read_json
from hub.intake.registry import Registry
from hub.intake.reverse_includes import ReverseIncludes
from hub.matching.includes import DEEPEST_ITERATION, MOST_INCLUDED, CompiledIncludes
from hub.matching.topics import CompiledTopic
from hub.reading.events import shown
from hub.store.changes import Changes, Entry
from hub.store.event_log import IncludedReference
from hub.store.keys import Layout


class Inclusion:
    """Looks up what the includes of a topic name, as it stands now."""

    def __init__(
        self, changes: Changes, layout: Layout, registry: Registry, reverse: Mapping[FhirVersion, ReverseIncludes]
    ) -> None:
        self._changes = changes
        self._layout = layout
        self._registry = registry
        self._reverse = reverse

    async def of(self, change: ResourceChange, names: Sequence[str]) -> dict[str, tuple[IncludedReference, ...]]:
        """What the event of ``change`` takes along, for those of these Subscriptions that take anything."""
        topics = {name: topic for name in names if (topic := self._topic_of(name, change))}
        distinct = {id(topic): topic for topic in topics.values()}
        found = {place: await self._of(change, topic) for place, topic in distinct.items()}
        return {name: found[id(topic)] for name, topic in topics.items()}

    def _topic_of(self, name: str, change: ResourceChange) -> CompiledTopic | None:
        """The topic of a Subscription whose event takes anything along; None when its content level shows none."""
        registered = self._registry.known(name)
        if registered is None or registered.content is Content.EMPTY:
            return None
        key = registered.key
        listed = self._registry.catalogue.find(key.tenant, key.base, registered.topic)
        compiled = listed.compiled if listed else None
        if compiled and (compiled.includes.directives or compiled.rev_includes or change.occasion.context):
            return compiled
        return None

    async def _of(self, change: ResourceChange, topic: CompiledTopic) -> tuple[IncludedReference, ...]:
        includes = topic.includes
        seen = {(change.key.type, change.key.id)}
        found: list[IncludedReference] = []
        names = await self._named(change, topic)
        for _ in range(DEEPEST_ITERATION):
            fresh = [name for name in names if name not in seen][: MOST_INCLUDED - len(found)]
            if not fresh:
                break
            seen.update(fresh)
            entries = await self._present(change.key, fresh)
            found += [self._reference(change.key, entry) for entry in entries]
            names = [name for entry in entries for name in await _iterated(includes, entry)]
        return tuple(found)

    async def _named(self, change: ResourceChange, topic: CompiledTopic) -> list[tuple[str, str]]:
        """(type, id) of what was told to belong to it (S-044), and of what the topic's directives say."""
        told = [(kind, identity) for kind, _, identity in (each.partition("/") for each in change.occasion.context)]
        if change.focus is None:
            return told
        referring = await self._reverse[change.key.base].of(change, topic.rev_includes)
        return [*told, *topic.includes.references(change.focus), *referring]

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


async def _iterated(includes: CompiledIncludes, entry: Entry) -> list[tuple[str, str]]:
    """What an included resource refers to in turn, where the topic goes on from it."""
    body = shown(entry)
    return includes.references(await beside(len(body), read_json, body), iterating=True)
