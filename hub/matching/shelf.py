"""The Subscriptions of one topic for one focus type, filed so that a focus finds its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from hub.domain.change import Resource
from hub.fhirpath import FHIRPathEvaluationError
from hub.matching.search import Clause
from hub.matching.search.extraction import Extraction

Clauses = tuple[Clause, ...]


class Shelf:
    """Each Subscription lies under one of its equalities, the most selective; without any it is judged every time."""

    def __init__(self) -> None:
        self._by_value: dict[Extraction, dict[str, set[str]]] = {}
        self._judged_every_time: set[str] = set()
        self._finders: dict[str, Clause | None] = {}
        self._mentions: Counter[tuple[Extraction, str]] = Counter()

    def __len__(self) -> int:
        return len(self._finders)

    def add(self, key: str, clauses: Clauses) -> None:
        finder = self._finders[key] = self._most_selective(clauses)
        self._mentions.update(_mentioned(clauses))
        if finder is None:
            self._judged_every_time.add(key)
            return
        buckets = self._by_value.setdefault(finder.extraction, {})
        for value in finder.equality_keys() or ():
            buckets.setdefault(value, set()).add(key)

    def remove(self, key: str, clauses: Clauses) -> None:
        """``clauses`` are those it was added with."""
        finder = self._finders.pop(key)
        self._judged_every_time.discard(key)
        if finder is not None:
            self._take_out(key, finder)
        for mention in _mentioned(clauses):
            self._mentions[mention] -= 1
            if not self._mentions[mention]:
                del self._mentions[mention]

    def candidates(self, focus: Resource, tell: Callable[[str, str], None]) -> set[str]:
        """Every Subscription that could match ``focus``; each must still be judged.

        ``tell(parameter, reason)`` hears of values that could not be read, which find nobody.
        """
        found = set(self._judged_every_time)
        for extraction, buckets in self._by_value.items():
            try:
                values = extraction.keys_of(focus)
            except FHIRPathEvaluationError as error:
                tell(extraction.parameter.code, str(error))
                continue
            for value in values & buckets.keys():
                found |= buckets[value]
        return found

    def _take_out(self, key: str, finder: Clause) -> None:
        buckets = self._by_value[finder.extraction]
        for value in finder.equality_keys() or ():
            buckets[value].discard(key)
            if not buckets[value]:
                del buckets[value]
        if not buckets:
            del self._by_value[finder.extraction]

    def _most_selective(self, clauses: Clauses) -> Clause | None:
        """The equality that the fewest changes, then the fewest other Subscriptions share; None without equality."""
        equalities = [clause for clause in clauses if clause.equality_keys() is not None]
        return min(equalities, key=lambda clause: (_rank(clause), self._sharing(clause)), default=None)

    def _sharing(self, clause: Clause) -> int:
        return sum(self._mentions[clause.extraction, value] for value in clause.equality_keys() or ())


def _rank(clause: Clause) -> int:
    """0 names one patient or thing, 1 another reference, 2 a code that many resources carry."""
    parameter = clause.extraction.parameter
    if "Patient" in parameter.target or parameter.code in ("_id", "identifier"):
        return 0
    return 1 if parameter.type == "reference" else 2


def _mentioned(clauses: Clauses) -> Iterator[tuple[Extraction, str]]:
    for clause in clauses:
        for value in clause.equality_keys() or ():
            yield clause.extraction, value
