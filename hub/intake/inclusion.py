"""Which versions of which further resources an event takes along, fixed when it is committed (ruling 21).

A group of changes is looked up together: asked one after the other, each would wait for the store once, behind the
fsyncs of all. Of what goes along only the heads are read, unless a topic goes on from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.beside import beside
from hub.domain.change import ChangeId, Interaction, ResourceChange, ResourceKey
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

Taken = dict[str, tuple[IncludedReference, ...]]
"""What the event of a change takes along, for those Subscriptions whose topic says anything of it."""


@dataclass(slots=True)
class _Collection:
    """What the events of one change take along by one topic; ``names`` (type, id) are still to be looked up."""

    change: ResourceChange
    includes: CompiledIncludes
    names: Sequence[tuple[str, str]]
    seen: set[tuple[str, str]]
    found: list[IncludedReference] = field(default_factory=list)

    def fresh(self) -> list[ResourceKey]:
        """What is to be looked up next, and counts as seen from now on."""
        fresh = [name for name in self.names if name not in self.seen][: MOST_INCLUDED - len(self.found)]
        self.seen.update(fresh)
        key = self.change.key
        return [ResourceKey(key.tenant, key.base, *name) for name in fresh]


class Inclusion:
    """Looks up what the includes of a topic name, as it stands now."""

    def __init__(
        self, changes: Changes, layout: Layout, registry: Registry, reverse: Mapping[FhirVersion, ReverseIncludes]
    ) -> None:
        self._changes = changes
        self._layout = layout
        self._registry = registry
        self._reverse = reverse

    async def of_all(self, concerned: Iterable[tuple[ResourceChange, Sequence[str]]]) -> dict[ChangeId, Taken]:
        """What the events of each change take along, for the Subscriptions that it concerns."""
        collections: dict[tuple[ChangeId, int], _Collection] = {}
        by_change: dict[ChangeId, dict[str, _Collection]] = {}
        for change, names in concerned:
            for name, topic in self._topics_of(names, change):
                place = (change.id, id(topic))
                if place not in collections:
                    named, itself = await self._named(change, topic), {(change.key.type, change.key.id)}
                    collections[place] = _Collection(change, topic.includes, named, itself)
                by_change.setdefault(change.id, {})[name] = collections[place]
        await self._look_up(collections.values())
        return {
            change: {name: tuple(each.found) for name, each in takers.items()} for change, takers in by_change.items()
        }

    def _topics_of(self, names: Sequence[str], change: ResourceChange) -> Iterable[tuple[str, CompiledTopic]]:
        """The topics of those Subscriptions whose event takes anything along; none whose content level shows none."""
        known: dict[str, CompiledTopic | None] = {}
        for name in names:
            registered = self._registry.known(name)
            if registered is None or registered.content is Content.EMPTY:
                continue
            canonical = registered.topic
            if canonical not in known:
                listed = self._registry.catalogue.find(change.key.tenant, change.key.base, canonical)
                known[canonical] = listed.compiled if listed else None
            compiled = known[canonical]
            if compiled and (compiled.includes.directives or compiled.rev_includes or change.occasion.context):
                yield name, compiled

    async def _look_up(self, collections: Iterable[_Collection]) -> None:
        searching = list(collections)
        for _ in range(DEEPEST_ITERATION):
            asked = [(each, fresh) for each in searching if (fresh := each.fresh())]
            if not asked:
                return
            found = await self._present(dict.fromkeys(key for _, fresh in asked for key in fresh))
            for each, fresh in asked:
                each.found += [found[key] for key in fresh if key in found]
            searching = [each for each, _ in asked if each.includes.iterate]
            for each, fresh in asked:
                if each.includes.iterate:
                    each.names = await self._named_by([found[key] for key in fresh if key in found], each)

    async def _present(self, keys: Iterable[ResourceKey]) -> dict[ResourceKey, IncludedReference]:
        """The newest state of each that lives here; what is not held is left out."""
        wanted = [(self._layout.partition_of(key), key) for key in keys]
        heads = await self._changes.heads(wanted)
        return {
            key: IncludedReference(partition.index, head.id, key.reference)
            for (partition, key), head in zip(wanted, heads, strict=True)
            if head and head.interaction is not Interaction.DELETE
        }

    async def _named(self, change: ResourceChange, topic: CompiledTopic) -> list[tuple[str, str]]:
        """(type, id) of what was told to belong to it (S-044), and of what the topic's directives say."""
        told = [(kind, identity) for kind, _, identity in (each.partition("/") for each in change.occasion.context)]
        if change.focus is None:
            return told
        referring = await self._reverse[change.key.base].of(change, topic.rev_includes) if topic.rev_includes else []
        return [*told, *topic.includes.references(change.focus), *referring]

    async def _named_by(self, taken: Sequence[IncludedReference], by: _Collection) -> list[tuple[str, str]]:
        """What included resources refer to in turn, where the topic goes on from them."""
        key = by.change.key
        names: list[tuple[str, str]] = []
        for one in taken:
            partition = self._layout.partition_of(ResourceKey(key.tenant, key.base, *one.resource.split("/")))
            (entry,) = await self._changes.entries(partition, [(one.change, one.resource)])
            names += await _references_of(by.includes, entry) if entry else []
        return names


async def _references_of(includes: CompiledIncludes, entry: Entry) -> list[tuple[str, str]]:
    body = shown(entry)
    return includes.references(await beside(len(body), read_json, body), iterating=True)
