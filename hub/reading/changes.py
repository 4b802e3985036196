"""Stored entries, read back into changes that can be judged."""

from __future__ import annotations

from collections.abc import Sequence

from hub.beside import beside
from hub.domain.change import ChangeId, ChangeName, Interaction, Resource, ResourceChange, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import NotFound
from hub.fhir.json import read_json
from hub.reading.events import shown
from hub.store.changes import NO_PREVIOUS, Changes, Entry
from hub.store.keys import Layout, Partition

_WITHOUT_PREVIOUS = (Interaction.CREATE, Interaction.EVENT)


async def find_change(
    changes: Changes, layout: Layout, tenant: str, base: FhirVersion, name: ChangeName
) -> tuple[Partition, Entry]:
    """The stored change that ``name`` means. Raises NotFound when it is not, or no longer, held."""
    if name.id is not None:
        for partition in layout.partitions_of(tenant, base):
            (entry,) = await changes.entries(partition, [(name.id, "")])
            if entry is not None:
                return partition, entry
        raise NotFound(f"no change {name.id} is held here; name it as Type/id/_history/version, or it has gone")
    key = ResourceKey(tenant, base, name.type, name.resource_id)
    partition = layout.partition_of(key)
    entry = await changes.version(partition, key, name.version or None)
    if entry is None:
        version = f"version {name.version} of " if name.version else ""
        raise NotFound(f"{version}{key.reference} is not, or no longer, held here")
    return partition, entry


async def judgeable(changes: Changes, partition: Partition, entries: Sequence[Entry]) -> list[ResourceChange]:
    """Each change with the previous state that was stored in its own version step (I4)."""
    with_previous = [entry for entry in entries if _has_previous(entry)]
    places = [(ChangeId.parse(entry.previous), f"{entry.type}/{entry.resource_id}") for entry in with_previous]
    previous = await changes.entries(partition, places)
    before = {entry.id: found for entry, found in zip(with_previous, previous, strict=True)}
    return [await _change(partition, entry, before.get(entry.id)) for entry in entries]


async def _change(partition: Partition, entry: Entry, previous: Entry | None) -> ResourceChange:
    state = await _state(previous)
    unknown = entry.interaction not in _WITHOUT_PREVIOUS and state is None
    return ResourceChange(
        id=entry.id,
        key=ResourceKey(partition.tenant, partition.base, entry.type, entry.resource_id),
        interaction=entry.interaction,
        current=await _state(entry),
        previous=state,
        previous_known=not unknown,
        occasion=entry.occasion,
    )


def _has_previous(entry: Entry) -> bool:
    return entry.interaction not in _WITHOUT_PREVIOUS and entry.previous != NO_PREVIOUS


async def _state(entry: Entry | None) -> Resource | None:
    """The resource as subscribers see it: with its meta complete, so that filters may look at _lastUpdated."""
    if entry is None or not entry.body:
        return None
    body = shown(entry)
    return await beside(len(body), read_json, body)
