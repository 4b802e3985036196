"""From the text of one value to what it accepts: chooses the file that reads values of this parameter."""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter
from hub.fhir.value_sets import ValueSets
from hub.matching.search import composite, date, media_type, membership, number, quantity, reference, string, token, uri
from hub.matching.search.syntax import split_prefix, split_unescaped
from hub.matching.search.value import SearchValue


@dataclass(frozen=True, slots=True)
class ValueCompiler:
    """``comparator`` is put before a value that has none of its own (S-096)."""

    parameter: SearchParameter
    modifier: str
    comparator: str
    facts: Definitions
    source_base_url: str
    value_sets: ValueSets

    def compile(self, text: str) -> SearchValue | date.ApproximateDate:
        """Raises Malformed, Unprocessable."""
        match self.parameter.type:
            case "token":
                return self._token(text)
            case "reference":
                return self._reference(text)
            case "string":
                return string.compile_string(text, self.modifier)
            case "uri":
                code = self.parameter.code
                return uri.compile_uri(text, code == "_source", any_version=code == "topic", modifier=self.modifier)
            case "composite":
                return self._composite(text)
            case _:
                return self._ordered(text)

    def _token(self, text: str) -> SearchValue:
        match self.modifier:
            case "of-type":
                return token.compile_of_type(text)
            case "in" | "not-in":
                return membership.compile_membership(text, self.value_sets)
            case "below":
                return media_type.compile_media_type(text)
            case _:
                return token.compile_token(text, exact=self.parameter.code == "_id")

    def _reference(self, text: str) -> SearchValue:
        if self.modifier == "identifier":
            return token.ReferenceIdentifierValue(token.compile_token(text))
        targets = frozenset(self.parameter.target)
        return reference.compile_reference(
            text, self.modifier, targets, self.facts.resource_types, self.source_base_url
        )

    def _composite(self, text: str) -> SearchValue:
        pieces = split_unescaped(text, "$")
        composite.check_count(self.parameter, pieces, text)
        parts: list[SearchValue] = []
        for component, piece in zip(composite.components_of(self.parameter, self.facts), pieces, strict=True):
            part = ValueCompiler(component, "", "", self.facts, self.source_base_url, self.value_sets).compile(piece)
            if isinstance(part, date.ApproximateDate):
                raise Unprocessable("ap on a date inside a composite is not decided; write ge and le.")
            parts.append(part)
        return composite.CompositeValue(tuple(parts))

    def _ordered(self, text: str) -> SearchValue | date.ApproximateDate:
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
