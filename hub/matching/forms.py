"""What Subscriptions have in common whose filters differ in their values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from hub.domain.subscription import FilterBy
from hub.matching.filters import Blank, CompiledFilters, SearchKnowledge, blank_filters
from hub.matching.search import Clause, compile_parameter
from hub.matching.search.parameters import Known, resolve_parameter
from hub.matching.topics import CompiledTopic


class FilterForm:
    """Given values, it is the filters of one of them again.

    Whatever can be said without the values is worked out once for each focus type.
    """

    def __init__(self, filters: CompiledFilters, topic: CompiledTopic) -> None:
        """``filters`` are those of one of them, compiled for ``topic``."""
        self.filters = tuple(replace(filter_by, value="") for filter_by in filters.written)
        self._by_search = filters.by_search
        self._topic = topic
        self._by_type: dict[str, tuple[Blank, ...] | None] = {}

    def written(self, values: Sequence[str]) -> tuple[FilterBy, ...]:
        """The filters as they were written; a value for each, in order."""
        return tuple(replace(each, value=value) for each, value in zip(self.filters, values, strict=True))

    def filled(self, resource_type: str, values: Sequence[str]) -> CompiledFilters:
        """What they were when they were compiled with all else, for foci of one type."""
        if resource_type not in self._by_type:
            self._by_type[resource_type] = self._blanks(resource_type)
        blanks = self._by_type[resource_type]
        if blanks is None:
            return CompiledFilters({})
        return CompiledFilters({resource_type: tuple([blank(values) for blank in blanks])})

    def _blanks(self, resource_type: str) -> tuple[Blank, ...] | None:
        """None when the type is not notified."""
        if self._by_search is not None:
            return tuple(self._conditions(resource_type, self._by_search))
        return blank_filters(self.filters, self._topic, resource_type)

    def _conditions(self, resource_type: str, known: SearchKnowledge) -> Iterator[Blank]:
        """As ``compile_query`` makes them, of a search that was compiled before."""
        compiled = partial(
            compile_parameter,
            facts=known.facts,
            source_base_url=self._topic.source_base_url,
            value_sets=known.value_sets,
        )
        for position, each in enumerate(self.filters):
            parameter = resolve_parameter(resource_type, each.parameter, known.facts)

            def fill(
                values: Sequence[str], position: int = position, each: FilterBy = each, parameter: Known = parameter
            ) -> Clause:
                return compiled(resource_type, parameter, each.modifier, "", values[position])

            yield fill
