"""One condition made ready: a parameter, its modifier or comparator, and its alternatives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.domain.change import Resource
from hub.errors import Malformed
from hub.fhir.definitions import Definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.matching.search import date, number, quantity
from hub.matching.search.chain import Chain
from hub.matching.search.date import ApproximateDate
from hub.matching.search.extraction import MISBUILT, Extraction, Items, extraction
from hub.matching.search.parameters import Chained, Known, check_comparator, check_modifier, resolve_parameter
from hub.matching.search.surroundings import NOTHING_AROUND, Surroundings, Undecided
from hub.matching.search.syntax import split_values
from hub.matching.search.threshold import Threshold
from hub.matching.search.value import SearchValue, is_present
from hub.matching.search.values import ValueCompiler

_NEGATIONS = ("not", "not-in")
_ORDERED_VALUES = (date.DateValue, number.NumberValue, quantity.QuantityValue)
"""Only these have a threshold; ``ap`` on a date has none, because it moves with the moment of judging."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on resources of ``resource_type``; ``value`` is as written, for telling why.

    ``wanted`` False turns the answer round: ``:not`` is the negation of the whole set, true also when the element is
    absent (S-249). With a ``chain`` the condition is on what the elements refer to.
    """

    resource_type: str
    extraction: Extraction
    modifier: str
    value: str
    alternatives: tuple[SearchValue | ApproximateDate, ...]
    wanted: bool = True
    chain: Chain | None = None

    @property
    def parameter(self) -> str:
        return self.extraction.parameter.code

    @property
    def name(self) -> str:
        """As it is asked for: of a chain, ``subject.gender``."""
        if self.chain is None:
            return self.parameter
        return f"{self.parameter}.{self.chain.ends[0][1].parameter}"

    def matches(self, resource: Resource, around: Surroundings = NOTHING_AROUND) -> bool:
        """Raises FHIRPathEvaluationError when the data forbid an answer, Undecided when they are not all here."""
        items = self.extraction.items(resource)
        try:
            if self.chain is not None:
                return self.chain.matches(resource, items, around)
            if self.modifier == "missing":
                return any(is_present(value) for _, value in items) is self.wanted
            return self._accepts(items, around) is self.wanted
        except MISBUILT as error:
            raise self.extraction.misbuilt() from error

    def _accepts(self, items: Items, around: Surroundings) -> bool:
        """Does any alternative accept any element? One that does settles it, whatever another leaves undecided."""
        found, doubt = False, None
        for alternative in self.alternatives:
            asked = alternative.at(around.now()) if isinstance(alternative, ApproximateDate) else alternative
            # Every element is looked at, so that an unreadable one is found by each way to the same answer.
            for fhir_type, value in items:
                try:
                    found = asked.accepts(fhir_type, value) or found
                except Undecided as problem:
                    doubt = problem
        if doubt and not found:
            raise doubt
        return found

    def references(self, resource: Resource) -> frozenset[str]:
        """What must be looked up before ``resource`` can be judged (``Type/id``); nothing without a chain.

        Raises as ``matches`` does.
        """
        if self.chain is None:
            return frozenset()
        with self.extraction.read(resource) as items:
            return frozenset(self.chain.references(items))

    def equality_keys(self) -> frozenset[str] | None:
        """Keys of which a matching resource has at least one; None when this clause is no equality."""
        if self.modifier == "missing" or not self.wanted or self.chain is not None:
            return None
        if len(self.alternatives) == 1:
            return self.alternatives[0].keys
        keys: set[str] = set()
        for alternative in self.alternatives:
            if alternative.keys is None:
                return None
            keys |= alternative.keys
        return frozenset(keys)

    def thresholds(self) -> tuple[Threshold, ...] | None:
        """Of which a matching resource meets at least one; None when this is no comparison that can be sorted."""
        if self.modifier or not self.wanted or self.chain is not None:
            return None
        found: list[Threshold] = []
        for alternative in self.alternatives:
            if not isinstance(alternative, _ORDERED_VALUES) or (threshold := alternative.threshold()) is None:
                return None
            found.append(threshold)
        return tuple(found)

    def keys_of(self, resource: Resource) -> frozenset[str]:
        """The keys that ``resource`` has, to be compared with ``equality_keys()``."""
        return self.extraction.keys_of(resource)


def all_match(clauses: Iterable[Clause], resource: Resource, around: Surroundings) -> bool:
    """Do all hold? One that does not settles it, whatever another one leaves undecided."""
    doubt = None
    for clause in clauses:
        try:
            if not clause.matches(resource, around):
                return False
        except Undecided as problem:
            doubt = problem
    if doubt:
        raise doubt
    return True


def compile_parameter(
    resource_type: str,
    parameter: Known | str,
    modifier: str,
    comparator: str,
    value: str,
    facts: Definitions,
    *,
    source_base_url: str = "",
    value_sets: ValueSets = NO_VALUE_SETS,
) -> Clause:
    """Make one condition ready; ``value`` has search syntax (commas are OR, a prefix may stand in it, S-096).

    ``parameter`` may be a chain of depth one (``patient:Patient.birthdate``, S-268).
    Raises Malformed for a value that cannot be read, Unprocessable for what cannot be decided exactly.
    """
    known = resolve_parameter(resource_type, parameter, facts)
    check_modifier(known, modifier, facts)
    check_comparator(known, modifier, comparator)
    if isinstance(known, Chained):
        source = extraction(known.reference, resource_type, facts, source_base_url)
        ends = tuple(
            (type_, compile_parameter(type_, end, modifier, comparator, value, facts,
                                      source_base_url=source_base_url, value_sets=value_sets))
            for type_, end in known.ends
        )  # fmt: skip
        chain = Chain(ends, source_base_url.rstrip("/"))
        return Clause(resource_type, source, modifier, comparator + value, (), chain=chain)
    source = extraction(known, resource_type, facts, source_base_url)
    if modifier == "missing":
        return Clause(resource_type, source, modifier, value, (), wanted=not _missing(value))
    compiler = ValueCompiler(known, modifier, comparator, facts, source_base_url, value_sets)
    alternatives = tuple(compiler.compile(one) for one in split_values(value))
    return Clause(resource_type, source, modifier, comparator + value, alternatives, modifier not in _NEGATIONS)


def _missing(value: str) -> bool:
    if value not in ("true", "false"):
        raise Malformed(f":missing takes true or false, not '{value}'.")
    return value == "true"
