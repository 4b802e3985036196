"""A SubscriptionTopic made ready for one FHIR version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hub.domain.change import NEVER_CHANGES, Interaction, ResourceChange
from hub.domain.topic import EVERY_TYPE, STRUCTURE_DEFINITION, CanFilterBy, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Unprocessable
from hub.fhir.definitions import Definitions, definitions
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.matching.includes import NO_INCLUDES, CompiledIncludes, compile_includes
from hub.matching.report import Refusals, Report
from hub.matching.rev_includes import ReverseInclude, compile_rev_includes
from hub.matching.search.parameters import Known, resolve_parameter
from hub.matching.steps import Steps, finished
from hub.matching.triggers import CompiledEventTrigger, CompiledTrigger, compile_event_trigger, compile_trigger

Written = TypeVar("Written")
Compiled = TypeVar("Compiled")
MAX_TRIGGERS = 50
"""Each has a budget of its own, and one change may meet all of them (SECURITY E3)."""
MAX_FILTERS = 500
MAX_DIRECTIVES = 100
"""Each include is an expression that takes milliseconds to compile; twenty thousand took minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledTopic:
    """``focus_types`` are the types its events can be about; ``warnings`` say what of it has no effect here.

    ``facts`` and ``value_sets`` are what it was compiled with; the filters of its Subscriptions are too.
    """

    topic: SubscriptionTopic
    version: FhirVersion
    source_base_url: str
    triggers: tuple[CompiledTrigger, ...]
    focus_types: frozenset[str]
    facts: Definitions
    value_sets: ValueSets = NO_VALUE_SETS
    warnings: tuple[Issue, ...] = ()
    event_triggers: tuple[CompiledEventTrigger, ...] = ()
    includes: CompiledIncludes = NO_INCLUDES
    rev_includes: tuple[ReverseInclude, ...] = ()

    def fires(self, change: ResourceChange, report: Report) -> bool:
        """Is this change an event of the topic? Several triggers still make one event (S-024)."""
        return finished(self.firing(change, report))

    def firing(self, change: ResourceChange, report: Report) -> Steps[bool]:
        """The same in steps, one for each trigger: each has a budget of its own."""
        if change.interaction is Interaction.EVENT:
            return any(trigger.fires(change) for trigger in self.event_triggers)
        for trigger in self.triggers:
            if trigger.fires(change, report):
                return True
            yield
        return False

    def allowed_filter(self, parameter: str, resource_type: str) -> CanFilterBy | None:
        """What the topic allows for ``parameter`` on foci of ``resource_type``; None when nothing (S-045, S-051).

        Several entries that apply are joined: what one of them allows is allowed.
        """
        entries = [
            entry
            for entry in self.topic.can_filter_by
            if entry.parameter == parameter and _bare(entry.resource) in {"", resource_type} | EVERY_TYPE
        ]
        if not entries:
            return None
        return replace(
            entries[0],
            definition=next((entry.definition for entry in entries if entry.definition), ""),
            comparators=frozenset().union(*(entry.comparators for entry in entries)),
            modifiers=frozenset().union(*(entry.modifiers for entry in entries)),
        )


def compile_topic(
    topic: SubscriptionTopic,
    version: FhirVersion,
    *,
    source_base_url: str = "",
    facts: Definitions | None = None,
    value_sets: ValueSets = NO_VALUE_SETS,
) -> CompiledTopic:
    """Make a topic ready for one version. ``facts`` may know more search parameters than the standard does.

    Raises Unprocessable, every issue with the element at fault (``SubscriptionTopic.resourceTrigger[0].…``), when
    anything of it cannot be decided exactly. A filter that this version does not know is only a warning: it is the
    Subscription that would use it that is refused.
    """
    _check_triggers_exist(topic)
    facts, refusals = facts or definitions(version), Refusals()
    triggers = _each(topic.resource_triggers, "resourceTrigger", refusals, lambda trigger, path: compile_trigger(
        trigger, version, source_base_url=source_base_url, topic=topic.canonical, path=path,
        facts=facts, value_sets=value_sets,
    ))  # fmt: skip
    event_triggers = _each(
        topic.event_triggers,
        "eventTrigger",
        refusals,
        lambda trigger, path: compile_event_trigger(trigger, version, path),
    )
    refusals.raise_if_any()
    focus_types = frozenset([each.resource for each in triggers] + [each.resource for each in event_triggers])
    if focus_types & EVERY_TYPE:
        focus_types = facts.resource_types
    warnings = (*_never_warnings(topic), *_event_warnings(topic), *_filter_warnings(topic, focus_types, facts))
    includes = compile_includes(topic, facts, source_base_url)
    reverse, unserved = compile_rev_includes(topic, facts, source_base_url)
    warnings = (*warnings, *includes.warnings, *unserved)
    return CompiledTopic(
        topic,
        version,
        source_base_url,
        triggers,
        focus_types,
        facts,
        value_sets,
        warnings,
        event_triggers,
        includes,
        reverse,
    )


def _each(
    written: Sequence[Written], name: str, refusals: Refusals, compiled: Callable[[Written, str], Compiled]
) -> tuple[Compiled, ...]:
    """Every trigger made ready; what is refused goes to ``refusals``, all of them together."""
    found: list[Compiled] = []
    for position, trigger in enumerate(written):
        try:
            found.append(compiled(trigger, f"SubscriptionTopic.{name}[{position}]"))
        except Unprocessable as refusal:
            refusals.issues.update(dict.fromkeys(refusal.issues))
    return tuple(found)


def filter_parameter(allowed: CanFilterBy, resource_type: str, facts: Definitions) -> Known | None:
    """The search parameter that an allowed filter means for a type: by its definition, else by its name (S-046).

    A chain (``patient.gender``) means what its name says (S-047). None for what the type has not.
    """
    chain = _chain(allowed.parameter, resource_type, facts) if "." in allowed.parameter else None
    if chain is not None or ":" in allowed.parameter:
        return chain
    defined = facts.search_parameter_by_url(allowed.definition.partition("|")[0])
    if defined is not None and {resource_type, *facts.ancestors(resource_type)} & set(defined.base):
        return defined
    return facts.search_parameter(resource_type, allowed.parameter)


def too_costly(topic: SubscriptionTopic) -> tuple[Issue, ...]:
    """What of a topic there is more of than the hub works through (SECURITY E3)."""
    directives = sum(len(shape.includes) + len(shape.rev_includes) for shape in topic.notification_shapes)
    bounds = (
        (len(topic.resource_triggers), MAX_TRIGGERS, "triggers, each judged for every change", "resourceTrigger"),
        (len(topic.event_triggers), MAX_TRIGGERS, "triggers for events", "eventTrigger"),
        (len(topic.can_filter_by), MAX_FILTERS, "filters", "canFilterBy"),
        (directives, MAX_DIRECTIVES, "include and revInclude directives", "notificationShape"),
    )
    return tuple(
        Issue("too-costly", f"A topic may have {most} {what}; use several topics.", f"SubscriptionTopic.{name}")
        for number, most, what, name in bounds
        if number > most
    )


def _chain(name: str, resource_type: str, facts: Definitions) -> Known | None:
    try:
        return resolve_parameter(resource_type, name, facts)
    except Unprocessable:  # whoever uses it is told why
        return None


def _check_triggers_exist(topic: SubscriptionTopic) -> None:
    if costly := too_costly(topic):
        raise Unprocessable(*costly)
    if not topic.resource_triggers and not topic.event_triggers:
        raise Unprocessable(
            "The topic has no trigger; add a resourceTrigger or an eventTrigger.", expression="SubscriptionTopic"
        )


def _never_warnings(topic: SubscriptionTopic) -> list[Issue]:
    types = {
        "resourceTrigger": [trigger.resource for trigger in topic.resource_triggers],
        "eventTrigger": [trigger.resource for trigger in topic.event_triggers],
    }
    return [
        Issue(
            "not-supported",
            f"This {name} can never fire: nothing that is done to a {resource_type} is told here.",
            f"SubscriptionTopic.{name}[{position}].resource",
            "warning",
        )
        for name, written in types.items()
        for position, resource_type in enumerate(written)
        if resource_type in NEVER_CHANGES
    ]


def _event_warnings(topic: SubscriptionTopic) -> list[Issue]:
    return [
        Issue(
            "incomplete",
            "This eventTrigger can never fire: its event has no coding; add one with system and code.",
            f"SubscriptionTopic.eventTrigger[{position}].event",
            "warning",
        )
        for position, trigger in enumerate(topic.event_triggers)
        if not trigger.codes
    ]


def _filter_warnings(topic: SubscriptionTopic, focus_types: frozenset[str], facts: Definitions) -> list[Issue]:
    return [
        Issue(
            "not-supported",
            _why_unknown(entry, focus_types, facts),
            f"SubscriptionTopic.canFilterBy[{position}]",
            "warning",
        )
        for position, entry in enumerate(topic.can_filter_by)
        if not any(filter_parameter(entry, focus, facts) for focus in _foci_of(entry, focus_types))
    ]


def _why_unknown(entry: CanFilterBy, focus_types: frozenset[str], facts: Definitions) -> str:
    if not _foci_of(entry, focus_types):
        about = ", ".join(sorted(focus_types)[:10])
        return f"No event of this topic is about {entry.resource}, so this filter is for nothing: name {about}."
    return (
        f"'{entry.parameter}' is no search parameter of the focus in FHIR {facts.version.number}: "
        "Subscriptions that filter by it are refused."
    )


def _foci_of(entry: CanFilterBy, focus_types: frozenset[str]) -> frozenset[str]:
    named = _bare(entry.resource)
    return focus_types if named in {""} | EVERY_TYPE else focus_types & {named}


def _bare(resource: str) -> str:
    return resource.removeprefix(STRUCTURE_DEFINITION)
