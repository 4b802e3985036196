"""MatchIndex: which Subscriptions a change concerns, without looking at those it does not.

    (tenant, base, type, interaction) -> topics -> Subscriptions, filed under their most selective equality

A topic's triggers are judged once per change, however many Subscriptions it has. A Subscription whose filters hold an
equality is looked up by the values that the focus has; one that only compares (``gt``, ``:not``, text) is judged on
every event of its topic; one without filters is told of every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hub.domain.change import Interaction, ResourceChange
from hub.domain.subscription import SubscriptionKey
from hub.domain.topic import EVERY_TYPE, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.filters import CompiledFilters
from hub.matching.report import Fault, Report
from hub.matching.search import Surroundings
from hub.matching.shelf import Shelf
from hub.matching.topics import CompiledTopic
from hub.matching.triggers import CompiledEventTrigger, CompiledTrigger

ANY_TYPE = "*"

Occasion = tuple[str, FhirVersion, str, Interaction]


@dataclass(frozen=True, slots=True)
class _GroupKey:
    tenant: str
    base: FhirVersion
    source_base_url: str
    topic: SubscriptionTopic


@dataclass(slots=True)
class _Group:
    """A topic with its Subscriptions on one base of one tenant."""

    key: _GroupKey
    topic: CompiledTopic
    unfiltered: set[str] = field(default_factory=set)
    shelves: dict[str, Shelf] = field(default_factory=dict)
    members: int = 0

    def add(self, key: str, filters: CompiledFilters) -> None:
        self.members += 1
        if filters.by_type is None:
            self.unfiltered.add(key)
            return
        for type_, clauses in filters.by_type.items():
            self.shelves.setdefault(type_, Shelf()).add(key, clauses)

    def remove(self, key: str, filters: CompiledFilters) -> None:
        self.members -= 1
        self.unfiltered.discard(key)
        for type_, clauses in (filters.by_type or {}).items():
            shelf = self.shelves[type_]
            shelf.remove(key, clauses)
            if not shelf:
                del self.shelves[type_]


@dataclass(frozen=True, slots=True)
class _Entry:
    version: int
    filters: CompiledFilters
    group: _Group


class MatchIndex:
    """Not for several threads at once; ``add`` and ``remove`` between two ``match`` calls."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._groups: dict[_GroupKey, _Group] = {}
        self._by_occasion: dict[Occasion, list[_Group]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def add(self, key: str, version: int, topic: CompiledTopic, filters: CompiledFilters) -> None:
        """File a Subscription; ``key`` is ``str(SubscriptionKey)``, whose tenant and base bound what it can hear of.

        An earlier definition under the same key is replaced. ``version`` is the definition version (HOUSE ruling 17).
        Raises ValueError when the topic was compiled for another base: a fault of the caller.
        """
        subscriber = SubscriptionKey.parse(key)
        if subscriber.base is not topic.version:
            raise ValueError(f"{key} lives on another base than its topic, compiled for {topic.version}")
        self.remove(key)
        group = self._group(_GroupKey(subscriber.tenant, subscriber.base, topic.source_base_url, topic.topic), topic)
        group.add(key, filters)
        self._entries[key] = _Entry(version, filters, group)

    def remove(self, key: str) -> None:
        """Forget a Subscription; an unknown key is no error."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        entry.group.remove(key, entry.filters)
        if not entry.group.members:
            self._forget(entry.group)

    def match(self, change: ResourceChange, report: Report) -> list[tuple[str, int]]:
        """(key, definition version) of every Subscription that this change is an event of, sorted by key in byte order.

        Each appears once. What could not be evaluated counts as not matched and is told to ``report``.
        """
        matched: list[str] = []
        for group in self._groups_for(change):
            try:
                if group.topic.fires(change, report):
                    matched += self._concerned(group, change, report)
            except Exception as problem:  # noqa: BLE001 a fault of ours in one topic must not silence the others; it is told
                report(Fault(group.topic.topic.canonical, "", f"inside the hub: {type(problem).__name__}"))
        # Code points sort like their UTF-8 bytes.
        return [(key, self._entries[key].version) for key in sorted(matched)]

    def _concerned(self, group: _Group, change: ResourceChange, report: Report) -> Iterator[str]:
        yield from group.unfiltered
        shelf = group.shelves.get(change.key.type)
        if shelf is None:
            return
        canonical, focus = group.topic.topic.canonical, change.focus
        if focus is None:
            report(Fault(canonical, "filterBy", "the last state is not known, so filters cannot be judged"))
            return
        for key in shelf.candidates(focus, lambda parameter, reason: report(Fault(canonical, parameter, reason))):
            if self._passes(key, change, report):
                yield key

    def _passes(self, key: str, change: ResourceChange, report: Report) -> bool:
        entry, focus = self._entries[key], change.focus
        try:
            return focus is not None and entry.filters.match(change.key.type, focus, Surroundings.of(change))
        except FHIRPathEvaluationError as error:
            report(Fault(entry.group.topic.topic.canonical, "filterBy", str(error), key))
            return False

    def _groups_for(self, change: ResourceChange) -> Iterator[_Group]:
        for type_ in (change.key.type, ANY_TYPE):
            occasion = (change.key.tenant, change.key.base, type_, change.interaction)
            yield from self._by_occasion.get(occasion, ())

    def _group(self, key: _GroupKey, topic: CompiledTopic) -> _Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, topic)
            for occasion in _occasions(group):
                self._by_occasion.setdefault(occasion, []).append(group)
        return group

    def _forget(self, group: _Group) -> None:
        del self._groups[group.key]
        for occasion in _occasions(group):
            groups = self._by_occasion[occasion]
            groups[:] = [other for other in groups if other is not group]
            if not groups:
                del self._by_occasion[occasion]


def _occasions(group: _Group) -> set[Occasion]:
    """A topic about every type is filed under that only, so that no change meets it twice."""
    triggers: tuple[CompiledTrigger | CompiledEventTrigger, ...] = (*group.topic.triggers, *group.topic.event_triggers)
    every = any(trigger.resource in EVERY_TYPE for trigger in triggers)
    return {
        (group.key.tenant, group.key.base, ANY_TYPE if every else trigger.resource, interaction)
        for trigger in triggers
        for interaction in trigger.interactions
    }
