"""One condition made ready: a parameter, its modifier or comparator, and its alternatives."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.change import Resource
from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter
from hub.matching.search import date, number, quantity, reference, string, token, uri
from hub.matching.search.extraction import Extraction, extraction
from hub.matching.search.syntax import COMPARATORS, split_prefix, split_values
from hub.matching.search.threshold import Threshold
from hub.matching.search.value import SearchValue, is_present

MODIFIERS = {
    "token": frozenset({"not", "missing", "of-type"}),
    "reference": frozenset({"missing", "identifier"}),
    "string": frozenset({"missing", "exact", "contains"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
    "uri": frozenset({"missing"}),
}
"""What is decided exactly, by type of parameter; a reference also takes ``:[Type]``."""

ORDERED_TYPES = frozenset({"date", "number", "quantity"})
"""Only these know comparators (S-240)."""

ORDERED_VALUES = (date.DateValue, number.NumberValue, quantity.QuantityValue)

_INSTEAD_OF_CHAINS = "write the parameters of {type} itself: the hub looks at no other resource"


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on resources of ``resource_type``; ``value`` is as written, for telling why.

    ``wanted`` False turns the answer round: ``:not`` is the negation of the whole set, true also when the element is
    absent (S-249).
    """

    resource_type: str
    extraction: Extraction
    modifier: str
    value: str
    alternatives: tuple[SearchValue, ...]
    wanted: bool = True

    @property
    def parameter(self) -> str:
        return self.extraction.parameter.code

    def matches(self, resource: Resource) -> bool:
        """Raises FHIRPathEvaluationError when the data forbid an answer."""
        with self.extraction.read(resource) as items:
            if self.modifier == "missing":
                return any(is_present(value) for _, value in items) is self.wanted
            # Every element is looked at, so that an unreadable one is found by each way to the same answer.
            accepted = [asked.accepts(fhir_type, value) for asked in self.alternatives for fhir_type, value in items]
            return any(accepted) is self.wanted

    def equality_keys(self) -> frozenset[str] | None:
        """Keys of which a matching resource has at least one; None when this clause is no equality."""
        if self.modifier == "missing" or not self.wanted:
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
        if self.modifier or not self.wanted:
            return None
        found: list[Threshold] = []
        for alternative in self.alternatives:
            if not isinstance(alternative, ORDERED_VALUES) or (threshold := alternative.threshold()) is None:
                return None
            found.append(threshold)
        return tuple(found)

    def keys_of(self, resource: Resource) -> frozenset[str]:
        """The keys that ``resource`` has, to be compared with ``equality_keys()``."""
        return self.extraction.keys_of(resource)


def compile_parameter(
    resource_type: str,
    parameter: SearchParameter | str,
    modifier: str,
    comparator: str,
    value: str,
    facts: Definitions,
    *,
    source_base_url: str = "",
) -> Clause:
    """Make one condition ready; ``value`` has search syntax (commas are OR, a prefix may stand in it, S-096).

    Raises Malformed for a value that cannot be read, Unprocessable for what cannot be decided exactly.
    """
    known = resolve_parameter(resource_type, parameter, facts)
    check_modifier(known, modifier, facts)
    check_comparator(known, modifier, comparator)
    source = extraction(known, resource_type, facts.version, source_base_url)
    if modifier == "missing":
        return Clause(resource_type, source, modifier, value, (), wanted=not _missing(value))
    compiler = _ValueCompiler(known, modifier, comparator, facts, source_base_url)
    alternatives = tuple(compiler.compile(one) for one in split_values(value))
    return Clause(resource_type, source, modifier, comparator + value, alternatives, wanted=modifier != "not")


def resolve_parameter(resource_type: str, parameter: SearchParameter | str, facts: Definitions) -> SearchParameter:
    """The parameter, if it can be decided on single resources; raises Unprocessable otherwise."""
    if isinstance(parameter, SearchParameter):
        known: SearchParameter | None = parameter
    elif "." in parameter or parameter == "_has":
        instead = _INSTEAD_OF_CHAINS.format(type=resource_type)
        raise Unprocessable(f"'{parameter}' asks for another resource; {instead}.", code="not-supported")
    else:
        known = facts.search_parameter(resource_type, parameter)
    if known is None:
        raise Unprocessable(
            f"{resource_type} has no search parameter '{parameter}' in FHIR {facts.version.number}; "
            "write one that the standard defines for this type.",
            code="not-supported",
        )
    if known.type not in MODIFIERS or not known.expression:
        raise Unprocessable(
            f"'{known.code}' is a {known.type} parameter, which is not evaluated on single changes; "
            "write token, reference, string, date, number, quantity or uri parameters.",
            code="not-supported",
        )
    return known


def check_modifier(parameter: SearchParameter, modifier: str, facts: Definitions) -> None:
    """Raises Unprocessable unless ``modifier`` ("" for none) can be decided for this parameter."""
    allowed = MODIFIERS[parameter.type]
    if modifier in allowed or not modifier:
        return
    if parameter.type == "reference" and modifier in facts.resource_types:
        return
    written = ", ".join(f":{name}" for name in sorted(allowed)) + (", :[Type]" if parameter.type == "reference" else "")
    raise Unprocessable(
        f"':{modifier}' on '{parameter.code}' ({parameter.type}) cannot be decided here; write none or {written}.",
        code="not-supported",
    )


def check_comparator(parameter: SearchParameter, modifier: str, comparator: str) -> None:
    """Raises Malformed or Unprocessable unless ``comparator`` ("" for none) has a meaning for this parameter."""
    if not comparator:
        return
    if modifier:
        raise Unprocessable(f"'{parameter.code}' has both a modifier and a comparator; write one of them (scr-1).")
    if comparator not in COMPARATORS:
        raise Malformed(f"'{comparator}' is not a comparator; write one of {', '.join(sorted(COMPARATORS))}.")
    if parameter.type not in ORDERED_TYPES and comparator != "eq":
        raise Unprocessable(
            f"'{parameter.code}' is a {parameter.type} parameter: {comparator} has no meaning there; leave it out."
        )


def _missing(value: str) -> bool:
    if value not in ("true", "false"):
        raise Malformed(f":missing takes true or false, not '{value}'.")
    return value == "true"


@dataclass(frozen=True, slots=True)
class _ValueCompiler:
    """Chooses the file that reads a value of this parameter."""

    parameter: SearchParameter
    modifier: str
    comparator: str
    facts: Definitions
    source_base_url: str

    def compile(self, text: str) -> SearchValue:
        match self.parameter.type:
            case "token":
                return token.compile_of_type(text) if self.modifier == "of-type" else self._token(text)
            case "reference":
                return self._reference(text)
            case "string":
                return string.compile_string(text, self.modifier)
            case "uri":
                code = self.parameter.code
                return uri.compile_uri(text, any_fragment=code == "_source", any_version=code == "topic")
            case _:
                return self._ordered(text)

    def _token(self, text: str) -> SearchValue:
        return token.compile_token(text, exact=self.parameter.code == "_id")

    def _reference(self, text: str) -> SearchValue:
        if self.modifier == "identifier":
            return token.ReferenceIdentifierValue(token.compile_token(text))
        targets = frozenset(self.parameter.target)
        return reference.compile_reference(
            text, self.modifier, targets, self.facts.resource_types, self.source_base_url
        )

    def _ordered(self, text: str) -> SearchValue:
        prefix, bare = split_prefix(text)
        if prefix and self.comparator and prefix != self.comparator:
            raise Malformed(f"'{text}' says {prefix}, the comparator says {self.comparator}; write one of them.")
        comparator = self.comparator or prefix
        match self.parameter.type:
            case "date":
                return date.compile_date(comparator, bare)
            case "number":
                return number.compile_number(comparator, bare)
            case _:
                return quantity.compile_quantity(comparator, bare)
