"""This process's picture of who is to be told: topics, Subscriptions and the index that finds them.

It is brought up to date after a batch of changes was read and before it is judged: so a Subscription whose 2xx came
before a change was sent is always seen (I5). What cannot be indexed (its topic is gone) is kept in ``broken`` with the
reason and shown in $status; it is never dropped in silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from hub.domain.change import ResourceChange
from hub.domain.probe import tested
from hub.domain.subscription import FilterBy, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import HubError, Refused
from hub.fhir.json import read_json
from hub.fhir.search_parameters import read_search_parameter
from hub.intake import fault_log
from hub.intake.definition_reader import DefinitionReader
from hub.intake.held_value_sets import ValueSetReader, ValueSetUsers
from hub.intake.known import KnownSubscriptions, Registered
from hub.intake.parameter_book import ListedParameter
from hub.intake.topic_reader import TopicReader
from hub.intake.topics import Catalogue, ListedTopic, TopicCompiler
from hub.intake.written import home_of, name_of
from hub.matching.filters import CompiledFilters, compile_filters
from hub.matching.index import MatchIndex
from hub.matching.report import Fault, Tally
from hub.matching.steps import Steps
from hub.matching.topics import CompiledTopic
from hub.reading.definitions import read_definition
from hub.store.registry import NewsKind
from hub.store.registry import Registry as RegistryLog
from hub.store.subscriptions import Definition, Subscriptions

log = logging.getLogger(__name__)


Compiled = tuple[CompiledTopic, CompiledFilters]

TAKEN_IN_AT_ONCE = 5
"""Compiled in one go, each in some hundred microseconds: then deliveries, which need many turns, have theirs."""


class Registry:
    """Reads what the store holds; asked by the evaluator, the API and the deliverer of this process."""

    def __init__(
        self,
        catalogue: Catalogue,
        subscriptions: Subscriptions,
        registry_log: RegistryLog,
        compiler: TopicCompiler,
        value_sets: ValueSetReader,
    ) -> None:
        self.catalogue = catalogue
        self.broken: dict[str, str] = {}
        self.faults: Counter[str] = Counter()
        """Evaluations that failed, by topic: counted and shown, never silent (ruling 23)."""
        self.not_events: Tally = Counter()
        """Why changes were no events, since this process began."""
        self._subscriptions = subscriptions
        self._log = registry_log
        self._compiler = compiler
        self._index = MatchIndex()
        self._known = KnownSubscriptions()
        self._definitions = DefinitionReader(subscriptions)
        self._topics = TopicReader(catalogue, registry_log, compiler)
        self._value_sets = value_sets
        self._asking = ValueSetUsers()
        self.read_so_far, self.to_read = 0, 0
        """Of the Subscriptions that are or were, while ``load`` reads them."""
        self._seen = "0-0"
        self._reading = asyncio.Lock()
        """One reader at a time: an older answer must not overwrite a newer one."""

    @property
    def unusable_topics(self) -> dict[str, str]:
        """Topics that are stored and cannot be used now, by name, with the reason."""
        return self._topics.unusable

    async def load(self) -> None:
        """Read everything there is. Later changes come through ``refresh``."""
        async with self._reading:
            await self._load()

    async def _load(self) -> None:
        newest = await self._log.newest_news()
        book = self._compiler.book
        await self._read_parameters({*await self._log.names(NewsKind.SEARCH_PARAMETER), *book.names()})
        await self._value_sets.take_in_all()
        topics = {*await self._log.names(NewsKind.TOPIC), *self.catalogue.own_names(), *self.unusable_topics}
        for name in topics:
            await self._read_topic(name)
        self.read_so_far, self.to_read = 0, await self._subscriptions.count()
        async for names in self._subscriptions.names():
            await self._read_subscriptions(names)
            self.read_so_far += len(names)
        self._seen = newest  # not before everything was read: who is interrupted begins anew
        self._value_sets.told()

    async def refresh(self) -> None:
        """Take in what changed since the last time, here or in another process."""
        async with self._reading:
            await self._refresh()

    async def _refresh(self) -> None:
        while True:
            news, missed = await self._log.news(self._seen)
            if missed:
                await self._load()
                return
            if not news:
                return
            await self._read_parameters({item.name for item in news if item.kind is NewsKind.SEARCH_PARAMETER})
            changed = await self._value_sets.take_in({item.name for item in news if item.kind is NewsKind.VALUE_SET})
            for name in self._topics.concerned_by(changed):
                await self._read_topic(name)
            for item in news:
                if item.kind is NewsKind.TOPIC:
                    await self._read_topic(item.name)
            written = {item.name for item in news if item.kind is NewsKind.SUBSCRIPTION}
            await self._read_subscriptions(written | self._asking.of(changed))
            self._seen = news[-1].id
            self._value_sets.told()

    def knows(self, news: str) -> bool:
        """Whether this entry of the registry log is the last that was taken in."""
        return news == self._seen

    async def reread(self, name: str) -> None:
        """Take in one Subscription whose definition changed under the evaluator."""
        async with self._reading:
            await self._read_subscriptions([name])

    async def reconcile(self, name: str, definition_version: int) -> None:
        """Take in a Subscription whose present version this process was never told of."""
        if self._known.version_of(name) < definition_version:
            await self.reread(name)

    def matching(self, change: ResourceChange, partition_index: int) -> Steps[list[tuple[str, int]]]:
        """(Subscription, definition version) of everybody whom this change concerns, in byte order of their names.

        In steps, between which this registry may be brought up to date.
        """
        if identity := tested(change):
            name = str(SubscriptionKey(change.key.tenant, change.key.base, identity))
            counts = self._known.counts(name, partition_index, change.id)
            return [(name, self._known.version_of(name))] if counts else []
        faults: list[Fault] = []
        found = yield from self._index.matching(change, faults.append, self.not_events)
        fault_log.record(faults, self.faults)
        return [(name, version) for name, version in found if self._known.counts(name, partition_index, change.id)]

    def references(self, change: ResourceChange) -> frozenset[str]:
        """What must be looked up before ``change`` is matched (``Type/id``), for the chains of anybody (ruling 23)."""
        return self._index.references(change)

    def known(self, name: str) -> Registered | None:
        return self._known.get(name)

    def all_of(self, tenant: str, base: FhirVersion) -> Iterator[Registered]:
        """Every Subscription of a base; the order is not promised."""
        return self._known.all_of(tenant, base)

    def filters_of(self, name: str) -> tuple[FilterBy, ...] | None:
        """The filters of a Subscription; None when it is not known or cannot be matched."""
        return self._index.filters_of(name)

    async def definitions_of(self, wanted: Sequence[tuple[str, int]]) -> list[Definition | None]:
        """The definitions of (Subscription, version)."""
        return await self._definitions.of(wanted)

    def using(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> list[Registered]:
        """The Subscriptions whose canonical means this topic now."""
        return [
            registered
            for registered in self.all_of(tenant, base)
            if (found := self.catalogue.find(tenant, base, registered.topic)) and found.id == listed.id
        ]

    def record_fault(self, fault: Fault) -> None:
        """Count it and say so in the log."""
        fault_log.record([fault], self.faults)

    async def _read_parameters(self, names: Iterable[str]) -> None:
        """Before topics and Subscriptions are read; those that speak of a parameter are made ready anew."""
        for name in names:
            words = await self._read_parameter(name)
            tenant, base, _ = home_of(name)
            for listed in list(self.catalogue.listed(tenant, base)):
                if not listed.speaks_of(words):
                    continue
                if listed.shipped:
                    await self._adapt(tenant, base, listed)
                else:
                    await self._read_topic(name_of(tenant, base, listed.id))
        for name in list(self.unusable_topics) if names else ():
            await self._read_topic(name)

    async def _read_parameter(self, name: str) -> set[str]:
        """Take it in; the words by which topics speak of it, before and now."""
        tenant, base, identity = home_of(name)
        found = await self._log.written(NewsKind.SEARCH_PARAMETER, name)
        book = self._compiler.book
        before = book.by_id(tenant, base, identity)
        book.drop(tenant, base, identity)
        if found and found[1]:
            version, _, record = found
            resource = read_json(record.resource.encode())
            try:
                parameter = read_search_parameter(resource, base)
                book.put(tenant, base, ListedParameter(identity, resource, parameter, version, record.written))
            except Refused as problem:  # accepted by another release of the hub: the topics that need it say why
                log.error("a stored SearchParameter cannot be read", extra={"name": name, "reason": str(problem)})
        known = (each.parameter for each in (before, book.by_id(tenant, base, identity)) if each)
        return {word for parameter in known for word in (parameter.code, parameter.url)}

    async def _adapt(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> None:
        """Make a shipped topic ready with the parameters of this base."""
        try:
            compiled = self._compiler.compile(listed.topic, base, tenant)
        except Refused as problem:
            log.error("a shipped topic cannot be compiled", extra={"topic": listed.id, "reason": str(problem)})
            return
        self.catalogue.adapt(tenant, base, replace(listed, compiled=compiled))
        await self._index_users(tenant, base, {listed.topic.url})

    async def _read_topic(self, name: str) -> None:
        tenant, base, _ = home_of(name)
        await self._index_users(tenant, base, await self._topics.read(name))

    async def _read_subscriptions(self, names: Iterable[str]) -> None:
        wanted = list(names)
        records = await self._subscriptions.records(wanted)
        living = [
            (name, record.definition_version)
            for name, record in zip(wanted, records, strict=True)
            if record and record.status is not None
        ]
        for name in set(wanted) - {name for name, _ in living}:
            self._forget(name)
        definitions = await self._subscriptions.definitions(living)
        for place, ((name, version), definition) in enumerate(zip(living, definitions, strict=True)):
            if definition:
                self._take_in(name, version, definition)
            if place % TAKEN_IN_AT_ONCE == TAKEN_IN_AT_ONCE - 1:
                await asyncio.sleep(0)

    async def _index_users(self, tenant: str, base: FhirVersion, urls: set[str]) -> None:
        """After their topic changed. Those that could not be matched till now are read again."""
        users = [each for each in self.all_of(tenant, base) if each.topic.partition("|")[0] in urls]
        silent = []
        for place, registered in enumerate(users):
            name = str(registered.key)
            filters = self._index.filters_of(name)
            if filters is None:
                silent.append(name)
            else:
                compiled = partial(self._filed, registered.key, registered.topic, filters)
                self._index_one(name, registered.definition_version, compiled)
            if place % TAKEN_IN_AT_ONCE == TAKEN_IN_AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._read_subscriptions(silent)

    def _take_in(self, name: str, version: int, definition: Definition) -> None:
        key = SubscriptionKey.parse(name)
        try:
            subscription = read_definition(key.base, definition)
        except Refused as problem:  # accepted by another release of the hub
            self._forget(name)
            self._report(name, problem)
            return
        self._known.put(name, version, subscription, definition.since)
        self._asking.note(name, subscription)
        self._index_one(name, version, partial(self.compiled, key, subscription))

    def _index_one(self, name: str, version: int, compiled: Callable[[], Compiled]) -> None:
        self._index.remove(name)
        self.broken.pop(name, None)
        try:
            topic, filters = compiled()
        except HubError as problem:
            self._report(name, problem)
            return
        self._index.add(name, version, topic, filters)

    def compiled(self, key: SubscriptionKey, subscription: Subscription) -> Compiled:
        """What decides for a Subscription, with the topics that are known now. Raises HubError saying what is wrong."""
        if subscription.is_classic:
            return self.compile_criteria(key.tenant, key.base, subscription.criteria)
        return self._filed(key, subscription.topic, subscription.filters)

    def _filed(self, key: SubscriptionKey, topic: str, filters: tuple[FilterBy, ...]) -> Compiled:
        listed = self.catalogue.find(key.tenant, key.base, topic)
        if why := self.catalogue.why_not(key.tenant, key.base, topic):
            raise HubError(f"its topic {topic} cannot be used now: {why}")
        if listed is None:
            raise HubError(f"its topic {topic} is not known here any more")
        return listed.compiled, compile_filters(filters, listed.compiled)

    def compile_criteria(self, tenant: str, base: FhirVersion, criteria: str) -> Compiled:
        """The search of a classic Subscription on ``base``; raises Unprocessable at Subscription.criteria."""
        return self._compiler.compile_criteria(criteria, base, tenant)

    def _report(self, name: str, problem: HubError) -> None:
        self.broken[name] = str(problem)
        log.error("a Subscription cannot be matched", extra={"subscription": name, "reason": str(problem)})

    def _forget(self, name: str) -> None:
        self._index.remove(name)
        self._known.drop(name)
        self._asking.forget(name)
        self.broken.pop(name, None)
