"""The filters of one Subscription, made ready against its topic (S-045…S-050, S-094, S-096, S-097)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from hub.domain.change import Resource
from hub.domain.subscription import FilterBy
from hub.domain.topic import EVERY_TYPE, STRUCTURE_DEFINITION, CanFilterBy
from hub.errors import Issue, Unprocessable
from hub.fhir.definitions import Definitions
from hub.fhir.value_sets import ValueSets
from hub.matching.report import Refusals
from hub.matching.search import NOTHING_AROUND, Clause, Surroundings, compile_parameter
from hub.matching.search.clause import all_match
from hub.matching.search.parameters import (
    ORDERED_TYPES,
    Known,
    check_comparator,
    check_modifier,
    ordered_parameter,
    resolve_parameter,
    without_types,
)
from hub.matching.search.syntax import split_prefix, split_values
from hub.matching.topics import CompiledTopic, filter_parameter

MAX_FILTERS = 20
MAX_VALUE_CHARACTERS = 16 * 1024
"""Both from SECURITY E3."""


@dataclass(frozen=True, slots=True)
class SearchKnowledge:
    """What a search was compiled with, which no topic of its own has: whoever compiles it again needs the same."""

    facts: Definitions
    value_sets: ValueSets


@dataclass(frozen=True, slots=True)
class CompiledFilters:
    """Focus type -> its clauses, joined by AND. ``by_type`` None: no filter at all, every focus passes.

    A type that is not a key is never notified: a filter names other types, or it lacks a parameter (S-094).
    ``warnings`` go into the answer to the client; ``written`` is what was compiled;
    ``by_search`` is there when they are the conditions of a search, which no topic need allow.
    """

    by_type: Mapping[str, tuple[Clause, ...]] | None
    warnings: tuple[Issue, ...] = ()
    written: tuple[FilterBy, ...] = ()
    by_search: SearchKnowledge | None = None
    asked: tuple[tuple[str, str, str, str], ...] = field(init=False)
    """What is written without its values: those who ask the same differ in these only."""

    def __post_init__(self) -> None:
        asked = [(each.parameter, each.resource_type, each.comparator, each.modifier) for each in self.written]
        object.__setattr__(self, "asked", tuple(asked))

    def clauses(self, resource_type: str) -> tuple[Clause, ...] | None:
        """The conditions for a focus of this type; None when the type is not notified."""
        return () if self.by_type is None else self.by_type.get(resource_type)

    def match(self, resource_type: str, focus: Resource, around: Surroundings = NOTHING_AROUND) -> bool:
        """May raise FHIRPathEvaluationError, which the caller counts as not matched and reports."""
        clauses = self.clauses(resource_type)
        return clauses is not None and all_match(clauses, focus, around)


Blank = Callable[[Sequence[str]], Clause]
"""A clause without its value: told the values of all filters, it is the clause."""

NO_FILTERS = CompiledFilters(None)


def compile_filters(filters: tuple[FilterBy, ...], topic: CompiledTopic) -> CompiledFilters:
    """Make the filters of a Subscription to ``topic`` ready.

    Raises Unprocessable; each issue says where (``filterBy[1].value``) and what to write instead.
    """
    if len(filters) > MAX_FILTERS:
        raise Unprocessable(f"More than {MAX_FILTERS} filters; use several Subscriptions.", expression="filterBy")
    return _Compiler(filters, topic).compile() if filters else NO_FILTERS


def blank_filters(filters: tuple[FilterBy, ...], topic: CompiledTopic, resource_type: str) -> tuple[Blank, ...] | None:
    """The clauses of filters that were compiled for ``topic`` before, without their values.

    None when foci of this type are not notified.
    """
    named = {_bare(filter_by.resource_type) for filter_by in filters} - {""}
    return None if named and resource_type not in named else _Compiler(filters, topic).blanks(resource_type)


class _Compiler:
    def __init__(self, filters: tuple[FilterBy, ...], topic: CompiledTopic) -> None:
        self._filters = [(f"filterBy[{position}]", filter_by) for position, filter_by in enumerate(filters)]
        self._topic = topic
        self._facts = topic.facts
        self._refusals = Refusals()

    def compile(self) -> CompiledFilters:
        named = {_bare(filter_by.resource_type) for _, filter_by in self._filters} - {""}
        self._check_types(named)
        types = sorted(named or self._topic.focus_types)
        found = {resource_type: self._clauses(resource_type) for resource_type in types}
        self._check_each_filter_applies(types)
        self._refusals.raise_if_any()
        by_type = {resource_type: clauses for resource_type, clauses in found.items() if clauses is not None}
        if not by_type:
            raise Unprocessable(
                "No type of resource has all these parameters, so no event could pass; "
                "name the type of each filter, or use one Subscription for each type.",
                expression="filterBy",
            )
        written = tuple(filter_by for _, filter_by in self._filters)
        return CompiledFilters(by_type, _repetitions(by_type), written)

    def _check_types(self, named: set[str]) -> None:
        unknown = named - self._topic.focus_types
        for path, filter_by in self._filters:
            if _bare(filter_by.resource_type) in unknown:
                with self._refusals.at(f"{path}.resourceType"):
                    raise Unprocessable(
                        f"The topic has no events about {filter_by.resource_type}; "
                        f"write {' or '.join(sorted(self._topic.focus_types)[:10])}, or leave the type out."
                    )
        self._refusals.raise_if_any()

    def _clauses(self, resource_type: str) -> tuple[Clause, ...] | None:
        """None when a filter that applies to the type asks for a parameter that it does not have (S-094)."""
        clauses: list[Clause] = []
        answerable = True
        for _, path, filter_by in self._applicable(resource_type):
            allowed, parameter = self._meaning(filter_by, resource_type)
            if allowed is None or parameter is None:
                answerable = False
            else:
                clauses += self._compiled(path, filter_by, allowed, parameter, resource_type)
        return tuple(clauses) if answerable else None

    def _applicable(self, resource_type: str) -> list[tuple[int, str, FilterBy]]:
        """(position, path, filter) of those that ask something of this type."""
        return [
            (position, path, filter_by)
            for position, (path, filter_by) in enumerate(self._filters)
            if filter_by.parameter and _bare(filter_by.resource_type) in ("", resource_type)
        ]

    def blanks(self, resource_type: str) -> tuple[Blank, ...] | None:
        """The clauses of a type without their values; None as ``_clauses`` (S-094)."""
        blanks = []
        for position, _, filter_by in self._applicable(resource_type):
            allowed, parameter = self._meaning(filter_by, resource_type)
            if allowed is None or parameter is None:
                return None
            blanks.append(partial(self._fill, position, filter_by, allowed, parameter, resource_type))
        return tuple(blanks)

    def _fill(
        self,
        position: int,
        filter_by: FilterBy,
        allowed: CanFilterBy,
        parameter: Known,
        resource_type: str,
        values: Sequence[str],
    ) -> Clause:
        value, comparator = values[position], filter_by.comparator
        filled = FilterBy(filter_by.parameter, value, filter_by.resource_type, comparator, filter_by.modifier)
        return self._clause(filled, allowed, parameter, resource_type)

    def _meaning(self, filter_by: FilterBy, resource_type: str) -> tuple[CanFilterBy | None, Known | None]:
        """A chain may name the type of its target, which the topic cannot: ``patient:Patient.gender`` (S-047)."""
        allowed = self._topic.allowed_filter(without_types(filter_by.parameter), resource_type)
        if allowed is None:
            return None, None
        return allowed, filter_parameter(replace(allowed, parameter=filter_by.parameter), resource_type, self._facts)

    def _compiled(
        self, path: str, filter_by: FilterBy, allowed: CanFilterBy, parameter: Known, resource_type: str
    ) -> list[Clause]:
        """The clause; none, with the refusal noted, when the filter cannot be had."""
        before = len(self._refusals.issues)
        with self._refusals.at(f"{path}.filterParameter"):
            resolve_parameter(resource_type, parameter, self._facts)
        with self._refusals.at(f"{path}.modifier"):
            _check_allowed_modifier(filter_by, allowed, self._facts)
        with self._refusals.at(f"{path}.comparator"):
            _check_allowed_comparator(filter_by.comparator, allowed)
        if len(self._refusals.issues) == before:
            with self._refusals.at(f"{path}.modifier"):
                check_modifier(parameter, filter_by.modifier, self._facts)
            with self._refusals.at(f"{path}.comparator"):
                check_comparator(parameter, filter_by.modifier, filter_by.comparator)
        if len(self._refusals.issues) == before:
            with self._refusals.at(f"{path}.value"):
                return [self._clause(filter_by, allowed, parameter, resource_type)]
        return []

    def _clause(self, filter_by: FilterBy, allowed: CanFilterBy, parameter: Known, resource_type: str) -> Clause:
        if len(filter_by.value) > MAX_VALUE_CHARACTERS:
            raise Unprocessable(f"The value has more than {MAX_VALUE_CHARACTERS} characters; write a shorter one.")
        if ordered_parameter(parameter).type in ORDERED_TYPES and filter_by.modifier != "missing":
            for value in split_values(filter_by.value):
                _check_allowed_comparator(split_prefix(value)[0], allowed)
        return compile_parameter(
            resource_type,
            parameter,
            filter_by.modifier,
            filter_by.comparator,
            filter_by.value,
            self._facts,
            source_base_url=self._topic.source_base_url,
            value_sets=self._topic.value_sets,
        )

    def _check_each_filter_applies(self, types: list[str]) -> None:
        """A filter that no type can answer would silence the Subscription for ever: refuse it."""
        for path, filter_by in self._filters:
            applies_to = [one for one in types if _bare(filter_by.resource_type) in ("", one)]
            meanings = [self._meaning(filter_by, one) for one in applies_to]
            if not filter_by.parameter or any(parameter for _, parameter in meanings):
                continue
            with self._refusals.at(f"{path}.filterParameter"):
                if any(allowed for allowed, _ in meanings):
                    for one in applies_to:
                        resolve_parameter(one, filter_by.parameter, self._facts)
                raise Unprocessable(_not_allowed(filter_by.parameter, self._topic), code="not-supported")


def _check_allowed_modifier(filter_by: FilterBy, allowed: CanFilterBy, facts: Definitions) -> None:
    """``:[Type]`` only spells a plain reference out, so it needs no permission of its own."""
    modifier = filter_by.modifier
    if modifier and modifier not in allowed.modifiers and modifier not in facts.resource_types:
        raise Unprocessable(
            f"The topic does not allow :{modifier} on '{filter_by.parameter}'; {_listed(allowed.modifiers)}.",
            code="not-supported",
        )


def _check_allowed_comparator(comparator: str, allowed: CanFilterBy) -> None:
    """Plain equality is always allowed (S-048)."""
    if comparator not in {"", "eq"} | allowed.comparators:
        raise Unprocessable(
            f"The topic does not allow {comparator} on '{allowed.parameter}'; {_listed(allowed.comparators)}.",
            code="not-supported",
        )


def _listed(allowed: frozenset[str]) -> str:
    return f"write {' or '.join(sorted(allowed))}" if allowed else "write the plain value"


def _not_allowed(parameter: str, topic: CompiledTopic) -> str:
    names = sorted({entry.parameter for entry in topic.topic.can_filter_by})
    instead = f"write one of {', '.join(names)}" if names else "leave the filter out"
    return f"The topic has no filter '{parameter}' for these types; {instead}."


def _repetitions(by_type: Mapping[str, tuple[Clause, ...]]) -> tuple[Issue, ...]:
    """S-097: two equalities on one parameter are joined by AND, which a single value can seldom satisfy."""
    repeated: dict[str, None] = {}
    for clauses in by_type.values():
        equalities = [clause.parameter for clause in clauses if clause.equality_keys() is not None]
        repeated.update(dict.fromkeys(name for name in equalities if equalities.count(name) > 1))
    return tuple(
        Issue(
            "business-rule",
            f"Several filters on '{name}' must all hold; for alternatives write one filter with commas.",
            "filterBy",
            "warning",
        )
        for name in repeated
    )


def _bare(resource_type: str) -> str:
    """The name of a type; "" for none and for the types that stand for all."""
    name = resource_type.removeprefix(STRUCTURE_DEFINITION)
    return "" if name in EVERY_TYPE else name
