"""What the rules look at: a topic in one version, its triggers taken apart as far as they can be read."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.topic import EVERY_TYPE, STRUCTURE_DEFINITION, CanFilterBy, ResourceTrigger, SubscriptionTopic
from hub.errors import Issue, Refused
from hub.fhir.definitions import Definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.fhirpath.call import Settings
from hub.fhirpath.compiler import Compiler
from hub.fhirpath.parser import parse
from hub.fhirpath.syntax import Node
from hub.matching.search import Query, compile_query
from hub.matching.search.parameters import Known
from hub.matching.topics import CompiledTopic, filter_parameter

ERROR, WARNING, HINT = "error", "warning", "information"


@dataclass(frozen=True, slots=True)
class TriggerSubject:
    """One resourceTrigger at ``path``.

    ``previous`` and ``current`` are the compiled sides of queryCriteria, ``tree`` and ``types`` the syntax and the
    static types of fhirPathCriteria; each None when it is absent or cannot be read. ``readable`` False means that
    something of it could not be read: then nothing is said about what the whole of it can do.
    """

    path: str
    trigger: ResourceTrigger
    previous: Query | None = None
    current: Query | None = None
    tree: Node | None = None
    types: frozenset[str] | None = None
    readable: bool = True

    def issue(self, severity: str, element: str, diagnostics: str, code: str = "business-rule") -> Issue:
        """About an element of this trigger, "" for the trigger itself."""
        return Issue(code, diagnostics, f"{self.path}.{element}" if element else self.path, severity)


@dataclass(frozen=True, slots=True)
class FilterSubject:
    """One entry of canFilterBy at ``path``.

    ``foci`` are the types that it is about; what the events are about is not known of a topic that does not compile,
    then it is the type that the entry names. ``parameter`` is what it means for the first of them that has it.
    """

    path: str
    entry: CanFilterBy
    foci: tuple[str, ...]
    parameter: Known | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A topic in one version; ``compiled`` is None when it does not compile there."""

    topic: SubscriptionTopic
    facts: Definitions
    triggers: tuple[TriggerSubject, ...]
    filters: tuple[FilterSubject, ...]
    compiled: CompiledTopic | None


def subject_of(
    topic: SubscriptionTopic,
    facts: Definitions,
    compiled: CompiledTopic | None,
    value_sets: ValueSets = NO_VALUE_SETS,
) -> Subject:
    """Take a topic apart; what cannot be read has been told by the compilation already."""
    triggers = tuple(
        _trigger(trigger, f"SubscriptionTopic.resourceTrigger[{position}]", facts, value_sets)
        for position, trigger in enumerate(topic.resource_triggers)
    )
    focus_types = sorted(compiled.focus_types) if compiled else None
    filters = tuple(
        _filter(entry, f"SubscriptionTopic.canFilterBy[{position}]", focus_types, facts)
        for position, entry in enumerate(topic.can_filter_by)
    )
    return Subject(topic, facts, triggers, filters, compiled)


def _trigger(trigger: ResourceTrigger, path: str, facts: Definitions, value_sets: ValueSets) -> TriggerSubject:
    if trigger.resource not in facts.resource_types | EVERY_TYPE:
        return TriggerSubject(path, trigger, readable=False)
    written = (trigger.query.previous, trigger.query.current) if trigger.query else (None, None)
    previous, current = (_query(text, trigger.resource, facts, value_sets) for text in written)
    tree, types, is_fhirpath = _fhirpath(trigger.fhirpath, trigger.resource, facts, value_sets)
    unread = (text and not query for text, query in zip(written, (previous, current), strict=True))
    return TriggerSubject(path, trigger, previous, current, tree, types, is_fhirpath and not any(unread))


def _filter(entry: CanFilterBy, path: str, focus_types: list[str] | None, facts: Definitions) -> FilterSubject:
    named = entry.resource.removeprefix(STRUCTURE_DEFINITION)
    known = [named] if focus_types is None and named in facts.resource_types else focus_types or []
    foci = tuple(known if named in {""} | EVERY_TYPE else (one for one in known if one == named))
    means = (filter_parameter(entry, focus, facts) for focus in foci)
    return FilterSubject(path, entry, foci, next((parameter for parameter in means if parameter is not None), None))


def _query(text: str | None, resource_type: str, facts: Definitions, value_sets: ValueSets) -> Query | None:
    """None also when it cannot be read."""
    try:
        return None if text is None else compile_query(text, resource_type, facts, value_sets=value_sets)
    except Refused:
        return None


def _fhirpath(
    text: str | None, resource_type: str, facts: Definitions, value_sets: ValueSets
) -> tuple[Node | None, frozenset[str] | None, bool]:
    """Syntax, static types, and whether it could be read."""
    if text is None:
        return None, None, True
    types = frozenset({resource_type})
    tree: Node | None = None
    try:
        tree = parse(text)
        return (
            tree,
            Compiler(text, facts, types, Settings(now_allowed=True, value_sets=value_sets)).compile(tree, types).types,
            True,
        )
    except Refused:
        return tree, None, False
