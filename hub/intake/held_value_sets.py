"""Reading the ValueSets of every base from the store, where they are ordinary resources, and knowing who asks them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress

from hub.beside import beside
from hub.domain.change import Interaction, ResourceKey
from hub.domain.subscription import Subscription
from hub.domain.versions import FhirVersion
from hub.errors import Refused
from hub.fhir.json import read_json
from hub.intake.value_set_book import BaseValueSets, ValueSetBook, WrittenValueSet, read_written
from hub.intake.written import home_of
from hub.matching.classic import conditions_of
from hub.matching.search.syntax import split_values, unescape
from hub.reading.events import shown
from hub.store.changes import Changes, Entry
from hub.store.client import Store
from hub.store.value_sets import ValueSetNames

log = logging.getLogger(__name__)

READ_AT_ONCE = 20
MEMBERSHIP = ("in", "not-in")

Home = tuple[str, FhirVersion]
Changed = Mapping[Home, frozenset[str]]
"""By base: the canonicals and urls that can be asked now, or no more, or not for another reason."""


class ValueSetReader:
    """Keeps ``book`` as the store has it, whenever it is told which ValueSets changed."""

    def __init__(self, store: Store, changes: Changes, book: ValueSetBook) -> None:
        self._names = ValueSetNames(store)
        self._layout = store.layout
        self._changes = changes
        self._book = book
        self._untold: dict[Home, set[str]] = defaultdict(set)

    async def take_in_all(self) -> Changed:
        """Everything there is, and what there was."""
        return await self.take_in({*await self._names.all(), *self._book.names()})

    async def take_in(self, names: Iterable[str]) -> Changed:
        """Read these (``tenant|base|id``) as they are now; what changed, until ``told`` is called."""
        ids: dict[Home, list[str]] = defaultdict(list)
        for name in sorted(names):
            tenant, base, identity = home_of(name)
            ids[tenant, base].append(identity)
        for home, identities in ids.items():
            await self._take_in(home, identities)
        return {home: frozenset(urls) for home, urls in self._untold.items()}

    def told(self) -> None:
        """Everybody whom the changes concern was made ready anew."""
        self._untold.clear()

    async def _take_in(self, home: Home, ids: list[str]) -> None:
        sets = self._book.of(*home)
        while ids:
            await self._read(home, sets, ids)
            changed = sets.settle()
            self._untold[home] |= changed
            for name in sorted(changed):
                if why := sets.why_not(name):
                    log.info("a ValueSet cannot be asked", extra={"url": name, "base": str(home[1]), "reason": why})
            ids = sets.to_read_again

    async def _read(self, home: Home, sets: BaseValueSets, ids: list[str]) -> None:
        for start in range(0, len(ids), READ_AT_ONCE):
            some = ids[start : start + READ_AT_ONCE]
            keys = [ResourceKey(*home, "ValueSet", identity) for identity in some]
            entries = await self._changes.present([(self._layout.partition_of(key), key) for key in keys])
            for identity, entry in zip(some, entries, strict=True):
                written = await beside(len(entry.body), _written, entry) if entry else None
                if written:
                    sets.put(written)
                else:
                    sets.drop(identity)


class ValueSetUsers:
    """Which Subscriptions ask which ValueSets in their filters or criteria; those that ask none take no room."""

    def __init__(self) -> None:
        self._names: dict[tuple[Home, str], set[str]] = {}
        self._urls: dict[str, frozenset[str]] = {}

    def note(self, name: str, subscription: Subscription) -> None:
        """``name`` as ``tenant|base|id``; what it asked before is forgotten."""
        self.forget(name)
        urls = _asked(subscription)
        if urls:
            self._urls[name] = urls
        for url in urls:
            self._names.setdefault((home_of(name)[:2], url), set()).add(name)

    def forget(self, name: str) -> None:
        """An unknown name is no error."""
        for url in self._urls.pop(name, ()):
            place = (home_of(name)[:2], url)
            self._names[place].discard(name)
            if not self._names[place]:
                del self._names[place]

    def of(self, changed: Changed) -> set[str]:
        """Those who ask any of these."""
        found = (self._names.get((home, url), set()) for home, urls in changed.items() for url in urls)
        return {name for names in found for name in names}


def _asked(subscription: Subscription) -> frozenset[str]:
    filters = subscription.filters
    if subscription.is_classic:
        with suppress(Refused):  # what cannot be read asks nothing
            filters = conditions_of(subscription.criteria)
    members = (each for each in filters if each.modifier in MEMBERSHIP)
    return frozenset(unescape(value) for each in members for value in split_values(each.value))


def _written(entry: Entry) -> WrittenValueSet | None:
    """None of one that was deleted, or that nobody can refer to."""
    if entry.interaction is Interaction.DELETE:
        return None
    try:
        resource = read_json(shown(entry))
    except Refused as problem:  # accepted by another release of the hub
        log.error("a stored ValueSet cannot be read", extra={"id": entry.resource_id, "reason": str(problem)})
        return None
    return read_written(entry.resource_id, entry.id, resource)
