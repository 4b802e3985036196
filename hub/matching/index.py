"""MatchIndex: which Subscriptions a change concerns, without looking at those it does not.

    (tenant, base, type, interaction) -> topics -> Subscriptions, filed under their most selective condition

A topic's triggers are judged once per change, however many Subscriptions it has. ``shelf.py`` says where a Subscription
lies, ``entries.py`` what is kept of it. A candidate is judged by its own filters, exactly as if there were no index;
filters that are the same are judged once, for they look at the same focus and the same surroundings of the change.
"""

from __future__ import annotations

from collections import Counter
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
from hub.matching.entries import filed, filters_in, form_in, values_in, version_of, write_entry
from hub.matching.filters import CompiledFilters, SearchKnowledge
from hub.matching.forms import FilterForm
from hub.matching.pieces import MOST_IN_ONE, Pieces
from hub.matching.report import Fault, NotAnEvent, Report, Tally
from hub.matching.search import Surroundings, Undecided
from hub.matching.shelf import Shelf
from hub.matching.steps import Steps, finished
from hub.matching.topics import CompiledTopic
from hub.matching.triggers import CompiledEventTrigger, CompiledTrigger

ANY_TYPE = "*"

Occasion = tuple[str, FhirVersion, str, Interaction]

MOST_COMPILED = 10_000
"""Filters that are judged every time are kept compiled, about two kilobytes each; others are compiled when found."""

JUDGED_IN_ONE_STEP = 16
"""Candidates, some 20 microseconds each."""

_Place = tuple[str, str, CompiledTopic]
_FormKey = tuple[SearchKnowledge | None, tuple[tuple[str, str, str, str], ...]]


@dataclass(slots=True, eq=False)
class _Group:
    """A topic with its Subscriptions on one base of one tenant."""

    place: _Place
    topic: CompiledTopic
    occasions: frozenset[Occasion]
    shelf: Shelf = field(default_factory=Shelf)
    members: int = 0
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


@dataclass(slots=True)
class _Passing:
    """One change on its way past the filters of one topic's Subscriptions."""

    topic: str
    change: ResourceChange
    report: Report
    matched: dict[str, int]
    verdicts: dict[bytes, bool | _NotJudged] = field(default_factory=dict)

    def judged(self, key: str, form: _Form, filters: bytes, compiled: _Compile) -> bool:
        verdict = self.verdicts.get(filters)
        if verdict is None:
            verdict = self.verdicts[filters] = _verdict(form, filters, self.change, compiled)
        if isinstance(verdict, bool):
            return verdict
        self.report(Fault(self.topic, "filterBy", verdict.reason, key, verdict.undecided))
        return False


@dataclass(frozen=True, slots=True)
class _NotJudged:
    reason: str
    undecided: bool


class MatchIndex:
    """Not for several threads at once; ``add`` and ``remove`` between two ``match`` calls."""

    def __init__(self) -> None:
        self._entries: Pieces[str, bytes] = Pieces()
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
        shares = self._entries.shares
        piece = shares[hash(key) % len(shares)]
        if key in piece:
            self.remove(key)
            group = self._groups.get((tenant, base, topic))
        if group is None:
            group = self._new_group(SubscriptionKey.parse(key), topic)
        form = group.forms.get((filters.by_search, filters.asked)) or self._new_form(group, filters)
        filings, written = group.shelf.add(key, filters.by_type), filters.written
        form.members += 1
        group.members += 1
        values = (written[0].value,) if len(written) == 1 else tuple([each.value for each in written])
        piece[key] = write_entry(version, filings, form.number, values)
        if len(piece) == MOST_IN_ONE:
            self._entries.divide()

    def remove(self, key: str) -> None:
        """Forget a Subscription; an unknown key is no error."""
        shares = self._entries.shares
        entry = shares[hash(key) % len(shares)].pop(key, None)
        if entry is None:
            return
        number, filings = filed(entry)
        form = self._forms[number]
        group = form.group
        group.shelf.remove(key, filings)
        group.members -= 1
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
        return finished(self.matching(change, report, Counter()))

    def matching(self, change: ResourceChange, report: Report, tally: Tally) -> Steps[list[tuple[str, int]]]:
        """The same in steps; between two of them Subscriptions may be added and removed.

        The version is the one that was judged: who changes its filters meanwhile is judged again by the caller.
        ``tally`` counts, for each Subscription that could have been concerned, why it was not.
        """
        matched: dict[str, int] = {}
        for group in list(self._groups_for(change)):
            try:
                yield from self._judge(group, change, report, tally, matched)
            except Exception as problem:  # noqa: BLE001 a fault of ours in one topic must not silence the others; it is told
                report(Fault(group.topic.topic.canonical, "", f"inside the hub: {type(problem).__name__}"))
        # Code points sort like their UTF-8 bytes.
        return sorted(matched.items())

    def _judge(
        self, group: _Group, change: ResourceChange, report: Report, tally: Tally, matched: dict[str, int]
    ) -> Steps[None]:
        faults: list[Fault] = []
        fires = yield from group.topic.firing(change, faults.append)
        if fires:
            before = len(matched)
            yield from self._concerned(group, change, faults.append, matched)
            told = Counter(_counts_as(fault) for fault in faults if fault.subscription)
            tally.update(told)
            tally[NotAnEvent.FILTER_SAID_NO] += max(group.members - (len(matched) - before) - told.total(), 0)
        else:
            tally[_counts_as(faults[0]) if faults else NotAnEvent.NO_TRIGGER] += group.members
        for fault in faults:
            report(fault)

    def _concerned(self, group: _Group, change: ResourceChange, report: Report, matched: dict[str, int]) -> Steps[None]:
        for key in group.shelf.unfiltered:
            matched[key] = version_of(self._entries.of(key)[key])
        resource_type, focus, canonical = change.key.type, change.focus, group.topic.topic.canonical
        if not group.shelf.knows(resource_type):
            return
        if focus is None:
            report(Fault(canonical, "filterBy", "the last state is not known, so filters cannot be judged"))
            return
        every_time = frozenset(group.shelf.judged_every_time(resource_type))
        found = group.shelf.candidates(
            resource_type, focus, lambda parameter, reason: report(Fault(canonical, parameter, reason))
        )
        passing = _Passing(canonical, change, report, matched)
        yield from self._pass(passing, every_time, self._compiled_often)
        yield from self._pass(passing, found - every_time, _Form.compiled)

    def _pass(self, passing: _Passing, keys: Iterable[str], compiled: _Compile) -> Steps[None]:
        """Take in those whose filters let the change pass. Filters that are the same are judged once."""
        for number, key in enumerate(keys, 1):
            if number % JUDGED_IN_ONE_STEP == 0:
                yield
            entry = self._entries.get(key)
            if entry is not None:  # removed meanwhile
                filters = filters_in(entry)
                if passing.judged(key, self._forms[form_in(filters)], filters, compiled):
                    passing.matched[key] = version_of(entry)

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

    def _new_form(self, group: _Group, filters: CompiledFilters) -> _Form:
        key, number = (filters.by_search, filters.asked), self._newest_form + 1
        form = _Form(number, key, group, FilterForm(filters, group.topic))
        group.forms[key] = self._forms[number] = form
        self._newest_form = number
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


def _verdict(form: _Form, filters: bytes, change: ResourceChange, compiled: _Compile) -> bool | _NotJudged:
    """Whether the filters let the focus pass, or why that could not be told."""
    focus, resource_type = change.focus, change.key.type
    try:
        if focus is None:
            return False
        return compiled(form, resource_type, filters).match(resource_type, focus, Surroundings.of(change))
    except (FHIRPathEvaluationError, HubError) as error:
        return _NotJudged(str(error), isinstance(error, Undecided))


def _counts_as(fault: Fault) -> NotAnEvent:
    return NotAnEvent.UNDECIDED if fault.undecided else NotAnEvent.EVALUATION_FAILED


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
