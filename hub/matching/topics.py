"""A SubscriptionTopic made ready for one FHIR version."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.domain.change import ResourceChange
from hub.domain.topic import EVERY_TYPE, STRUCTURE_DEFINITION, CanFilterBy, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter, definitions
from hub.matching.includes import NO_INCLUDES, CompiledIncludes, compile_includes
from hub.matching.report import Refusals, Report
from hub.matching.rev_includes import ReverseInclude, compile_rev_includes
from hub.matching.triggers import CompiledTrigger, compile_trigger

MAX_TRIGGERS = 50
"""Each has a budget of its own, and one change may meet all of them (SECURITY E3)."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledTopic:
    """``focus_types`` are the types its events can be about; ``warnings`` say what of it has no effect here."""

    topic: SubscriptionTopic
    version: FhirVersion
    source_base_url: str
    triggers: tuple[CompiledTrigger, ...]
    focus_types: frozenset[str]
    warnings: tuple[Issue, ...] = ()
    includes: CompiledIncludes = NO_INCLUDES
    rev_includes: tuple[ReverseInclude, ...] = ()

    def fires(self, change: ResourceChange, report: Report) -> bool:
        """Is this change an event of the topic? Several triggers still make one event (S-024)."""
        return any(trigger.fires(change, report) for trigger in self.triggers)

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


def compile_topic(topic: SubscriptionTopic, version: FhirVersion, *, source_base_url: str = "") -> CompiledTopic:
    """Make a topic ready for one version.

    Raises Unprocessable, every issue with the element at fault (``SubscriptionTopic.resourceTrigger[0].…``), when
    anything of it cannot be decided exactly. A filter that this version does not know is only a warning: it is the
    Subscription that would use it that is refused.
    """
    _check_triggers_exist(topic)
    facts, refusals = definitions(version), Refusals()
    triggers: list[CompiledTrigger] = []
    for position, trigger in enumerate(topic.resource_triggers):
        try:
            triggers.append(
                compile_trigger(
                    trigger,
                    version,
                    source_base_url=source_base_url,
                    topic=topic.canonical,
                    path=f"SubscriptionTopic.resourceTrigger[{position}]",
                )
            )
        except Unprocessable as refusal:
            refusals.issues.update(dict.fromkeys(refusal.issues))
    refusals.raise_if_any()
    focus_types = frozenset(trigger.resource for trigger in triggers)
    if focus_types & EVERY_TYPE:
        focus_types = facts.resource_types
    warnings = (*_event_warnings(topic), *_filter_warnings(topic, focus_types, facts))
    includes = compile_includes(topic, facts, source_base_url)
    reverse, unserved = compile_rev_includes(topic, facts, source_base_url)
    warnings = (*warnings, *includes.warnings, *unserved)
    return CompiledTopic(topic, version, source_base_url, tuple(triggers), focus_types, warnings, includes, reverse)


def filter_parameter(allowed: CanFilterBy, resource_type: str, facts: Definitions) -> SearchParameter | None:
    """The search parameter that an allowed filter means for a type: by its definition, else by its name (S-046)."""
    defined = facts.search_parameter_by_url(allowed.definition.partition("|")[0])
    if defined is not None and {resource_type, *facts.ancestors(resource_type)} & set(defined.base):
        return defined
    return facts.search_parameter(resource_type, allowed.parameter)


def _check_triggers_exist(topic: SubscriptionTopic) -> None:
    if len(topic.resource_triggers) > MAX_TRIGGERS:
        raise Unprocessable(
            f"A topic may have {MAX_TRIGGERS} triggers, each judged for every change; use several topics.",
            expression="SubscriptionTopic.resourceTrigger",
            code="too-costly",
        )
    if topic.resource_triggers:
        return
    if topic.event_trigger_count:
        raise Unprocessable(
            "The hub sees changes of resources, not events of other systems; describe the event as a resourceTrigger.",
            expression="SubscriptionTopic.eventTrigger[0]",
            code="not-supported",
        )
    raise Unprocessable("The topic has no trigger; add a resourceTrigger.", expression="SubscriptionTopic")


def _event_warnings(topic: SubscriptionTopic) -> list[Issue]:
    return [
        Issue(
            "not-supported",
            "This eventTrigger never fires here: the hub sees changes of resources only (S-043).",
            f"SubscriptionTopic.eventTrigger[{position}]",
            "warning",
        )
        for position in range(topic.event_trigger_count)
    ]


def _filter_warnings(topic: SubscriptionTopic, focus_types: frozenset[str], facts: Definitions) -> list[Issue]:
    return [
        Issue(
            "not-supported",
            f"'{entry.parameter}' is no search parameter of the focus in FHIR {facts.version.number}: "
            "Subscriptions that filter by it are refused.",
            f"SubscriptionTopic.canFilterBy[{position}]",
            "warning",
        )
        for position, entry in enumerate(topic.can_filter_by)
        if not any(filter_parameter(entry, focus, facts) for focus in _foci_of(entry, focus_types))
    ]


def _foci_of(entry: CanFilterBy, focus_types: frozenset[str]) -> frozenset[str]:
    named = _bare(entry.resource)
    return focus_types if named in {""} | EVERY_TYPE else focus_types & {named}


def _bare(resource: str) -> str:
    return resource.removeprefix(STRUCTURE_DEFINITION)
