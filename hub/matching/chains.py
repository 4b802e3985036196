"""Which resources must be looked up before a change is judged: those that chains lead to (ruling 23).

Subscriptions that ask the same of a reference share one entry, so a change costs one look per distinct step, however
many Subscriptions take it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.domain.change import ResourceChange
from hub.domain.subscription import SubscriptionKey
from hub.domain.topic import EVERY_TYPE
from hub.domain.versions import FhirVersion
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.filters import CompiledFilters
from hub.matching.search import Clause
from hub.matching.search.extraction import Extraction
from hub.matching.topics import CompiledTopic

Occasion = tuple[str, FhirVersion, str]


@dataclass(frozen=True, slots=True)
class _Step:
    """A reference parameter and the types of target that are asked for."""

    extraction: Extraction
    types: frozenset[str]


class ChainIndex:
    """The chains of those who ask, and of their topics' triggers, by tenant, base and focus type."""

    def __init__(self) -> None:
        self._steps: dict[Occasion, dict[_Step, Clause]] = {}
        self._uses: Counter[tuple[Occasion, _Step]] = Counter()
        self._by_key: dict[str, list[tuple[Occasion, _Step]]] = {}

    def add(self, key: str, topic: CompiledTopic, filters: CompiledFilters) -> None:
        """``key`` names who asks as ``str(SubscriptionKey)`` does; what it asked for before is forgotten.

        Subscriptions whose filters differ in their values only ask the same: one name may stand for all of them.
        """
        self.remove(key)
        subscriber = SubscriptionKey.parse(key)
        uses = []
        for type_, clause in (*_of_triggers(topic), *_of_filters(filters)):
            if clause.chain is not None:
                occasion = (subscriber.tenant, subscriber.base, type_)
                step = _Step(clause.extraction, clause.chain.types)
                self._steps.setdefault(occasion, {}).setdefault(step, clause)
                uses.append((occasion, step))
        if uses:
            self._uses.update(uses)
            self._by_key[key] = uses

    def remove(self, key: str) -> None:
        """Forget who asked; an unknown key is no error."""
        for occasion, step in self._by_key.pop(key, ()):
            self._uses[occasion, step] -= 1
            if not self._uses[occasion, step]:
                del self._uses[occasion, step]
                del self._steps[occasion][step]
                if not self._steps[occasion]:
                    del self._steps[occasion]

    def references(self, change: ResourceChange) -> frozenset[str]:
        """What must be known before ``change`` is judged, ``Type/id``. Elements that cannot be read name nothing."""
        return frozenset(self._references(change)) if self._steps else frozenset()

    def _references(self, change: ResourceChange) -> Iterator[str]:
        for type_ in (change.key.type, *EVERY_TYPE):
            for clause in self._steps.get((change.key.tenant, change.key.base, type_), {}).values():
                for state in (change.previous, change.current):
                    try:
                        yield from clause.references(state) if state is not None else ()
                    except FHIRPathEvaluationError:  # judging meets the same and tells it
                        continue


def _of_triggers(topic: CompiledTopic) -> Iterator[tuple[str, Clause]]:
    for trigger in topic.triggers:
        queries = (trigger.query.previous, trigger.query.current) if trigger.query else ()
        yield from _chains(trigger.resource, (clause for query in queries if query for clause in query.clauses))


def _of_filters(filters: CompiledFilters) -> Iterator[tuple[str, Clause]]:
    for type_, clauses in (filters.by_type or {}).items():
        yield from _chains(type_, clauses)


def _chains(type_: str, clauses: Iterable[Clause]) -> Iterator[tuple[str, Clause]]:
    return ((type_, clause) for clause in clauses if clause.chain is not None)
