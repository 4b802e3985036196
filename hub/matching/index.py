"""MatchIndex: which Subscriptions a change concerns, without looking at those it does not.

    (tenant, base, type, interaction) -> topics -> Subscriptions, filed under their most selective condition

A topic's triggers are judged once per change, however many Subscriptions it has. ``shelf.py`` says where a Subscription
lies, ``entries.py`` what is kept of it. A candidate is judged by its own filters, exactly as if there were no index;
filters that are the same are judged once, for they look at the same focus and the same surroundings of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from hub.domain.change import Interaction, ResourceChange
from hub.domain.subscription import FilterBy, SubscriptionKey
from hub.domain.topic import EVERY_TYPE
from hub.domain.versions import FhirVersion
from hub.errors import HubError
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.chains import ChainIndex
from hub.matching.entries import filings_of, filters_in, form_in, values_in, version_of, write_entry
from hub.matching.filters import CompiledFilters, SearchKnowledge
from hub.matching.forms import FilterForm
from hub.matching.report import Fault, Report
from hub.matching.search import Surroundings
from hub.matching.shelf import Shelf
from hub.matching.topics import CompiledTopic
from hub.matching.triggers import CompiledEventTrigger, CompiledTrigger

ANY_TYPE = "*"

Occasion = tuple[str, FhirVersion, str, Interaction]

MOST_COMPILED = 10_000
"""Filters that are judged every time are kept compiled, about two kilobytes each; others are compiled when found."""

_Place = tuple[str, str, CompiledTopic]
_FormKey = tuple[SearchKnowledge | None, tuple[tuple[str, str, str, str], ...]]


@dataclass(slots=True, eq=False)
class _Group:
    """A topic with its Subscriptions on one base of one tenant."""

    place: _Place
    topic: CompiledTopic
    occasions: frozenset[Occasion]
    shelf: Shelf = field(default_factory=Shelf)
    forms: dict[_FormKey, _Form] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Form:
    """The Subscriptions of a group whose filters have one form; ``number`` is what their entries say."""

    number: int
    key: _FormKey
    group: _Group
    filters: FilterForm
    members: int = 0

    @property
    def name(self) -> str:
        """As that of a Subscription, with its number for an id."""
        tenant, base, _ = self.group.place
        return f"{tenant}|{base}|{self.number}"

    def compiled(self, resource_type: str, filters: bytes) -> CompiledFilters:
        return self.filters.filled(resource_type, self.values(filters))

    def values(self, filters: bytes) -> tuple[str, ...]:
        return values_in(filters, len(self.filters.filters))


_Compile = Callable[[_Form, str, bytes], CompiledFilters]


class MatchIndex:
    """Not for several threads at once; ``add`` and ``remove`` between two ``match`` calls."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}
        self._forms: dict[int, _Form] = {}
        self._newest_form = 0
        self._groups: dict[_Place, _Group] = {}
        self._by_occasion: dict[Occasion, list[_Group]] = {}
        self._chains = ChainIndex()
        """By form: chains differ in their values only, so a Subscription adds nothing here."""
        self._compiled_often: _Compile = lru_cache(maxsize=MOST_COMPILED)(_Form.compiled)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def add(self, key: str, version: int, topic: CompiledTopic, filters: CompiledFilters) -> None:
        """File a Subscription; ``key`` is ``str(SubscriptionKey)``, whose tenant and base bound what it can hear of.

        An earlier definition under the same key is replaced. ``version`` is the definition version (HOUSE ruling 17),
        ``filters`` are those that ``compile_filters`` made for ``topic``.
        Raises ValueError when the topic was compiled for another base: a fault of the caller.
        """
        tenant, base, _ = key.split("|", 2)
        group = self._groups.get((tenant, base, topic))
        if group is None:
            _check_base(key, topic)
        if key in self._entries:
            self.remove(key)
            group = self._groups.get((tenant, base, topic))
        if group is None:
            group = self._new_group(SubscriptionKey.parse(key), topic)
        form = self._form(group, filters)
        filings = group.shelf.add(key, filters.by_type)
        form.members += 1
        self._entries[key] = write_entry(version, filings, form.number, [each.value for each in filters.written])

    def remove(self, key: str) -> None:
        """Forget a Subscription; an unknown key is no error."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        form = self._forms[form_in(filters_in(entry))]
        form.group.shelf.remove(key, filings_of(entry))
        form.members -= 1
        if not form.members:
            self._forget(form)

    def filters_of(self, key: str) -> tuple[FilterBy, ...] | None:
        """The filters that a Subscription was added with; None for an unknown key."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        filters = filters_in(entry)
        form = self._forms[form_in(filters)]
        return form.filters.written(form.values(filters))

    def references(self, change: ResourceChange) -> frozenset[str]:
        """What must be looked up before ``change`` is matched (``Type/id``), for the chains of anybody (ruling 23)."""
        return self._chains.references(change)

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
        return [(key, version_of(self._entries[key])) for key in sorted(matched)]

    def _concerned(self, group: _Group, change: ResourceChange, report: Report) -> Iterator[str]:
        yield from group.shelf.unfiltered
        resource_type, focus, canonical = change.key.type, change.focus, group.topic.topic.canonical
        if not group.shelf.knows(resource_type):
            return
        if focus is None:
            report(Fault(canonical, "filterBy", "the last state is not known, so filters cannot be judged"))
            return
        every_time = group.shelf.judged_every_time(resource_type)
        yield from self._passing(every_time, change, canonical, self._compiled_often, report)
        found = group.shelf.candidates(
            resource_type, focus, lambda parameter, reason: report(Fault(canonical, parameter, reason))
        )
        yield from self._passing(found - every_time, change, canonical, _Form.compiled, report)

    def _passing(
        self, keys: Iterable[str], change: ResourceChange, topic: str, compiled: _Compile, report: Report
    ) -> Iterator[str]:
        """Those whose filters let the change pass. Filters that are the same are judged once."""
        verdicts: dict[bytes, bool | str] = {}
        for key in keys:
            filters = filters_in(self._entries[key])
            verdict = verdicts.get(filters)
            if verdict is None:
                verdict = verdicts[filters] = _verdict(self._forms[form_in(filters)], filters, change, compiled)
            if verdict is True:
                yield key
            elif verdict is not False:
                report(Fault(topic, "filterBy", verdict, key))

    def _groups_for(self, change: ResourceChange) -> Iterator[_Group]:
        for type_ in (change.key.type, ANY_TYPE):
            occasion = (change.key.tenant, change.key.base, type_, change.interaction)
            yield from self._by_occasion.get(occasion, ())

    def _new_group(self, subscriber: SubscriptionKey, topic: CompiledTopic) -> _Group:
        place = (subscriber.tenant, str(subscriber.base), topic)
        group = self._groups[place] = _Group(place, topic, _occasions(subscriber, topic))
        for occasion in group.occasions:
            self._by_occasion.setdefault(occasion, []).append(group)
        return group

    def _form(self, group: _Group, filters: CompiledFilters) -> _Form:
        asked = tuple(
            [(each.parameter, each.resource_type, each.comparator, each.modifier) for each in filters.written]
        )
        key = (filters.by_search, asked)
        form = group.forms.get(key)
        if form is None:
            number = self._newest_form = self._newest_form + 1
            form = _Form(number, key, group, FilterForm(filters, group.topic))
            group.forms[key] = self._forms[number] = form
            self._chains.add(form.name, group.topic, filters)
        return form

    def _forget(self, form: _Form) -> None:
        """A form that nobody has any more, and its group when that was the last one."""
        group = form.group
        del self._forms[form.number], group.forms[form.key]
        self._chains.remove(form.name)
        if group.forms:
            return
        del self._groups[group.place]
        for occasion in group.occasions:
            groups = self._by_occasion[occasion]
            groups[:] = [other for other in groups if other is not group]
            if not groups:
                del self._by_occasion[occasion]


def _verdict(form: _Form, filters: bytes, change: ResourceChange, compiled: _Compile) -> bool | str:
    """Whether the filters let the focus pass; a text says why that could not be told, also when it is undecided."""
    focus, resource_type = change.focus, change.key.type
    try:
        if focus is None:
            return False
        return compiled(form, resource_type, filters).match(resource_type, focus, Surroundings.of(change))
    except (FHIRPathEvaluationError, HubError) as error:
        return str(error)


def _check_base(key: str, topic: CompiledTopic) -> None:
    if SubscriptionKey.parse(key).base is not topic.version:
        raise ValueError(f"{key} lives on another base than its topic, compiled for {topic.version}")


def _occasions(subscriber: SubscriptionKey, topic: CompiledTopic) -> frozenset[Occasion]:
    """A topic about every type is filed under that only, so that no change meets it twice."""
    triggers: tuple[CompiledTrigger | CompiledEventTrigger, ...] = (*topic.triggers, *topic.event_triggers)
    every = any(trigger.resource in EVERY_TYPE for trigger in triggers)
    return frozenset(
        (subscriber.tenant, subscriber.base, ANY_TYPE if every else trigger.resource, interaction)
        for trigger in triggers
        for interaction in trigger.interactions
    )
