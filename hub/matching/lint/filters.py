"""What ``canFilterBy`` promises to Subscriptions, and whether the hub can keep it (S-045…S-051)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.domain.versions import FhirVersion
from hub.errors import Issue, Unprocessable
from hub.fhir.definitions import SearchParameter, definitions
from hub.matching.lint.subject import HINT, WARNING, FilterSubject, Subject
from hub.matching.search.parameters import (
    MODIFIERS,
    ORDERED_TYPES,
    Chained,
    modifiers_of,
    ordered_parameter,
    resolve_parameter,
)

_CORE_PARAMETER = "http://hl7.org/fhir/SearchParameter/"


def filters_can_be_decided(subject: Subject) -> Iterator[Issue]:
    """Warning: a search parameter that exists, but that no single change can be tested for; ``near``, ``_in``."""
    for each in subject.filters:
        if each.parameter is not None:
            try:
                resolve_parameter(each.foci[0], each.parameter, subject.facts)
            except Unprocessable as refusal:
                said = f"Subscriptions that filter by this are refused. {refusal}"
                yield Issue("not-supported", said, each.path, WARNING)


def filters_have_definitions(subject: Subject) -> Iterator[Issue]:
    """Hint: the standard asks for filterDefinition; the hub takes the parameter of that name (S-046)."""
    for each in subject.filters:
        path, entry, parameter = each.path, each.entry, each.parameter
        if parameter is not None and not isinstance(parameter, Chained) and not entry.definition:
            said = f"No filterDefinition: read as {parameter.url}. Write that, so that others read the same (S-046)."
            yield Issue("business-rule", said, path, HINT)


def definitions_name_parameters(subject: Subject) -> Iterator[Issue]:
    """Warning: a filterDefinition that is a search parameter of no FHIR version, or never of these resources."""
    for each in subject.filters:
        path, entry, parameter = each.path, each.entry, each.parameter
        url = entry.definition.partition("|")[0]
        if parameter is None or isinstance(parameter, Chained) or not url:
            continue
        named = [found for version in FhirVersion if (found := definitions(version).search_parameter_by_url(url))]
        if not named and url.startswith(_CORE_PARAMETER):
            said = f"FHIR has no such search parameter; read as {parameter.url}: write that."
            yield Issue("value", said, f"{path}.filterDefinition", WARNING)
        elif named and not _is_for_a_focus(named, each, subject):
            said = f"This is '{named[0].code}' of {', '.join(named[0].base[:3])}; read as {parameter.url}: write that."
            yield Issue("value", said, f"{path}.filterDefinition", WARNING)


def comparators_have_a_meaning(subject: Subject) -> Iterator[Issue]:
    """Warning: a comparator on a parameter that has no order; a Subscription that uses it is refused (S-048, S-240)."""
    for each in subject.filters:
        path, entry, parameter = each.path, each.entry, ordered_parameter(each.parameter) if each.parameter else None
        senseless = sorted(entry.comparators - {"eq"})
        if parameter is not None and senseless and parameter.type in MODIFIERS.keys() - ORDERED_TYPES:
            said = (
                f"'{parameter.code}' is a {parameter.type}, of which there is no more and no less: leave out "
                f"{', '.join(senseless)}. Subscriptions that use them are refused."
            )
            yield Issue("not-supported", said, f"{path}.comparator", WARNING)


def modifiers_are_decided(subject: Subject) -> Iterator[Issue]:
    """Warning: a modifier that the parameter does not have, or that the hub does not decide exactly (S-048)."""
    for each in subject.filters:
        path, entry, parameter = each.path, each.entry, ordered_parameter(each.parameter) if each.parameter else None
        if parameter is None or parameter.type not in MODIFIERS:
            continue
        decided = modifiers_of(parameter, subject.facts) | ({"type"} if parameter.type == "reference" else set())
        undecided = sorted(entry.modifiers - decided)
        if undecided:
            said = (
                f"{', '.join(undecided)} on '{parameter.code}' ({parameter.type}) cannot be decided here: list some of "
                f"{', '.join(sorted(decided))}. Subscriptions that use others are refused."
            )
            yield Issue("not-supported", said, f"{path}.modifier", WARNING)


def filters_stand_once(subject: Subject) -> Iterator[Issue]:
    """Hint: several entries for one filter are read together, what one of them allows is allowed."""
    seen: dict[tuple[str, str], int] = {}
    for position, entry in enumerate(subject.topic.can_filter_by):
        first = seen.setdefault((entry.resource, entry.parameter), position)
        if first != position:
            said = f"The same filter as canFilterBy[{first}]; the two are read as one: write it once."
            yield Issue("duplicate", said, f"SubscriptionTopic.canFilterBy[{position}]", HINT)


def _is_for_a_focus(named: list[SearchParameter], each: FilterSubject, subject: Subject) -> bool:
    """In any version: a topic for several can name a parameter that only one of them has."""
    types = {type_ for focus in each.foci for type_ in (focus, *subject.facts.ancestors(focus))}
    return any(not types.isdisjoint(parameter.base) for parameter in named)


FILTER_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (
    filters_can_be_decided,
    filters_have_definitions,
    definitions_name_parameters,
    comparators_have_a_meaning,
    modifiers_are_decided,
    filters_stand_once,
)
