"""The Subscriptions of one topic, filed so that a focus finds its own.

Each lies under one of its conditions only, the most selective, and is judged when a focus finds it there:

    equality (also of a comma list)      under each of its values
    comparison                           in a sorted list (thresholds.py)
    none of these (``:not``, text, …)    with those that are judged every time
    no filter at all                     with those that are told of every event

Focus types that ask the same of a Subscription share its filing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hub.domain.change import Resource
from hub.matching.entries import Filing
from hub.matching.pieces import Pieces
from hub.matching.postings import Postings
from hub.matching.search import Clause
from hub.matching.search.extraction import Extraction
from hub.matching.search.threshold import Side, Threshold
from hub.matching.source import PLACE_BITS, Source, Tell, place_of
from hub.matching.thresholds import Axis, SortedPostings, joined

Clauses = tuple[Clause, ...]

_ONLY_PLACE = 0


@dataclass(frozen=True, slots=True)
class _List:
    """A list with a number, and where to take it away from when it is empty."""

    kept: Postings | SortedPostings
    source: Source | None = None
    unit: str = ""
    types: frozenset[str] = frozenset()


class Shelf:
    """``add`` says where a name was filed; ``remove`` wants to be told that again."""

    def __init__(self) -> None:
        self._unfiltered: Pieces[str, None] = Pieces()
        self._sources: dict[str, list[Source]] = {}
        self._by_extraction: dict[Extraction, Source] = {}
        self._by_type: dict[str, list[Source]] = {}
        self._every_time: dict[frozenset[str], Postings] = {}
        self._lists: dict[int, _List] = {}
        self._newest_number = 0

    def add(self, name: str, by_type: Mapping[str, Clauses] | None) -> list[Filing]:
        """``by_type`` as in CompiledFilters. Empty back: without filters."""
        if by_type is None:
            self._unfiltered.put(name, None)
            return []
        filings: list[Filing] = []
        every_time = []
        for resource_type, clauses in by_type.items():
            if found := self._filings(resource_type, clauses):
                filings = filings + found if filings else found
            else:
                every_time.append(resource_type)
        if every_time:
            filings.append(self._filing_every_time(frozenset(every_time)))
        if len(filings) > 1:
            filings = list(dict.fromkeys(filings))
        for number, place in filings:
            self._lists[number].kept.add(place, name)
        return filings

    def remove(self, name: str, filings: list[Filing]) -> None:
        """``filings`` are those that ``add`` gave."""
        if not filings:
            self._unfiltered.of(name).pop(name, None)
        for number, place in filings:
            kept = self._lists[number].kept
            if kept.discard(place, name) and not kept.places:
                self._drop(number)

    @property
    def unfiltered(self) -> Collection[str]:
        """Those without filters: they are told of every event."""
        return self._unfiltered

    def knows(self, resource_type: str) -> bool:
        """Does anybody filter foci of this type?"""
        return resource_type in self._by_type or any(resource_type in types for types in self._every_time)

    def judged_every_time(self, resource_type: str) -> set[str]:
        """Those that could match any focus of the type."""
        kept = (kept.at(_ONLY_PLACE) for types, kept in self._every_time.items() if resource_type in types)
        return set().union(*kept)

    def candidates(self, resource_type: str, focus: Resource, tell: Tell) -> set[str]:
        """The others with filters that could match ``focus``; each must still be judged.

        Values that cannot be read are told to ``tell`` and find nobody.
        """
        found: set[str] = set()
        for source in self._by_type.get(resource_type, ()):
            source.find(resource_type, focus, tell, found)
        return found

    def _filings(self, resource_type: str, clauses: Clauses) -> list[Filing]:
        """Under the equality that the fewest changes, then the fewest others share; else under a comparison."""
        clause = clauses[0] if len(clauses) == 1 else self._most_selective(resource_type, clauses)
        keys = clause.equality_keys() if clause else None
        if clause is None or keys is None:
            return self._compared(resource_type, clauses)
        source = self._by_extraction.get(clause.extraction) or self._source(resource_type, clause)
        number = source.equalities.number or self._number(source.equalities, source)
        if len(keys) == 1:
            (key,) = keys
            return [(number, hash(key) & PLACE_BITS)]  # place_of, written out: most have one key
        return [(number, place_of(key)) for key in keys]

    def _most_selective(self, resource_type: str, clauses: Clauses) -> Clause | None:
        """Of the equalities; None when there are none."""
        equalities = [(clause, keys) for clause in clauses if (keys := clause.equality_keys()) is not None]
        if len(equalities) > 1:
            return min(equalities, key=lambda pair: (_rank(pair[0]), self._sharing(resource_type, *pair)))[0]
        return equalities[0][0] if equalities else None

    def _sharing(self, resource_type: str, clause: Clause, keys: frozenset[str]) -> int:
        """How many are filed there already."""
        source = self._known_source(resource_type, clause)
        return sum(len(source.equalities.at(place_of(key))) for key in keys) if source else 0

    def _compared(self, resource_type: str, clauses: Clauses) -> list[Filing]:
        """Windows before comparisons with one end only, which about half of all values fulfil."""
        asked = [(clause, thresholds) for clause in clauses if (thresholds := clause.thresholds())]
        asked += _windows(asked)
        if not asked:
            return []
        clause, thresholds = max(asked, key=lambda pair: all(each.side is Side.MEETS for each in pair[1]))
        source = self._by_extraction.get(clause.extraction) or self._source(resource_type, clause)
        return [self._filing_compared(source, threshold) for threshold in thresholds]

    def _filing_compared(self, source: Source, threshold: Threshold) -> Filing:
        kept = source.axes.setdefault(threshold.unit, Axis()).list_for(threshold)
        return self._number(kept, source, threshold.unit), threshold.at

    def _filing_every_time(self, types: frozenset[str]) -> Filing:
        kept = self._every_time.setdefault(types, Postings())
        return self._number(kept, types=types), _ONLY_PLACE

    def _known_source(self, resource_type: str, clause: Clause) -> Source | None:
        extraction = clause.extraction
        if extraction in self._by_extraction:
            return self._by_extraction[extraction]
        for source in self._sources.get(extraction.parameter.code, ()):
            if source.fits(resource_type, extraction):
                return source
        return None

    def _source(self, resource_type: str, clause: Clause) -> Source:
        extraction = clause.extraction
        source = self._known_source(resource_type, clause)
        if source is None:
            source = Source(extraction.parameter.code)
            self._sources.setdefault(source.code, []).append(source)
        self._by_extraction[extraction] = source
        source.extractions[resource_type] = extraction
        self._by_type.setdefault(resource_type, []).append(source)
        return source

    def _number(
        self,
        kept: Postings | SortedPostings,
        source: Source | None = None,
        unit: str = "",
        types: frozenset[str] = frozenset(),
    ) -> int:
        if not kept.number:
            kept.number = self._newest_number = self._newest_number + 1
            self._lists[kept.number] = _List(kept, source, unit, types)
        return kept.number

    def _drop(self, number: int) -> None:
        """An empty list, and what has nothing but it."""
        gone = self._lists.pop(number)
        gone.kept.number = 0
        source = gone.source
        if source is None:
            del self._every_time[gone.types]
            return
        axis = source.axes.get(gone.unit)
        if axis and isinstance(gone.kept, SortedPostings):
            axis.lists = {where: kept for where, kept in axis.lists.items() if kept is not gone.kept}
            if not axis.lists:
                del source.axes[gone.unit]
        if not source.axes and not source.equalities:
            self._forget(source)

    def _forget(self, source: Source) -> None:
        _take_out(self._sources, source.code, source)
        for resource_type, extraction in source.extractions.items():
            del self._by_extraction[extraction]
            _take_out(self._by_type, resource_type, source)


def _take_out(sources: dict[str, list[Source]], name: str, gone: Source) -> None:
    sources[name] = [source for source in sources[name] if source is not gone]
    if not sources[name]:
        del sources[name]


def _windows(asked: list[tuple[Clause, tuple[Threshold, ...]]]) -> Iterator[tuple[Clause, tuple[Threshold, ...]]]:
    """Pairs of limits of one parameter that must both hold."""
    single = [(clause, thresholds[0]) for clause, thresholds in asked if len(thresholds) == 1]
    for position, (clause, first) in enumerate(single):
        for other, second in single[position + 1 :]:
            if other.extraction is clause.extraction and (window := joined(first, second)):
                yield clause, (window,)


def _rank(clause: Clause) -> int:
    """0 names one patient or thing, 1 another reference, 2 a code that many resources carry."""
    parameter = clause.extraction.parameter
    if "Patient" in parameter.target or parameter.code in ("_id", "identifier"):
        return 0
    return 1 if parameter.type == "reference" else 2
