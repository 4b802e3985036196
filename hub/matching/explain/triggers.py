"""A topic and its triggers, told criterion by criterion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hub.domain.change import Interaction, Resource, ResourceChange
from hub.domain.explanation import Finding, Verdict
from hub.domain.topic import EVERY_TYPE
from hub.fhirpath import Expression
from hub.fhirpath.explanation import Part
from hub.matching.explain.filters import explain_clause
from hub.matching.explain.finding import asked, shown
from hub.matching.report import Fault
from hub.matching.search import Query, Surroundings
from hub.matching.topics import CompiledTopic
from hub.matching.triggers import (
    CompiledEventTrigger,
    CompiledQueryCriteria,
    CompiledTrigger,
    is_true,
    variables_of,
)

CHANGES = (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE)


def explain_topic(topic: CompiledTopic, change: ResourceChange) -> Finding:
    """Is ``change`` an event of ``topic``? One trigger is enough (S-024)."""
    faults: list[Fault] = []
    fires = topic.fires(change, faults.append)
    parts = [_resource_trigger(f"resourceTrigger[{place}]", each, change) for place, each in enumerate(topic.triggers)]
    parts += [_event_trigger(f"eventTrigger[{place}]", each, change) for place, each in enumerate(topic.event_triggers)]
    verdict = Verdict.YES if fires else _refusal(faults, parts)
    reason = faults[0].reason if faults and not fires else ""
    return Finding("topic", topic.topic.canonical, verdict, (), reason, tuple(parts))


def _refusal(faults: Sequence[Fault], parts: Sequence[Finding]) -> Verdict:
    """Undecided only when nothing else stood in the way: a criterion that failed wants mending."""
    if not faults:
        return Verdict.NO
    verdicts = {part.verdict for part in parts}
    return Verdict.UNDECIDED if Verdict.UNDECIDED in verdicts and Verdict.FAILED not in verdicts else Verdict.FAILED


def _resource_trigger(subject: str, trigger: CompiledTrigger, change: ResourceChange) -> Finding:
    faults: list[Fault] = []
    fires = trigger.fires(change, faults.append)
    parts = _occasion(subject, trigger, change)
    if trigger.concerns(change):
        parts += _criteria(subject, trigger, change)
    verdict = Verdict.YES if fires else _refusal(faults, parts)
    return Finding(subject, "", verdict, (), faults[0].reason if faults else "", tuple(parts))


def _occasion(subject: str, trigger: CompiledTrigger, change: ResourceChange) -> list[Finding]:
    """Is it about this type and this interaction (S-025, S-027)?"""
    interactions = ", ".join(each for each in CHANGES if each in trigger.interactions)
    is_type = trigger.resource in {change.key.type, *EVERY_TYPE}
    is_interaction = change.interaction in trigger.interactions
    return [
        asked(f"{subject}.resource", trigger.resource, lambda: is_type, values=(change.key.type,)),
        asked(f"{subject}.supportedInteraction", interactions, lambda: is_interaction, values=(change.interaction,)),
    ]


def _criteria(subject: str, trigger: CompiledTrigger, change: ResourceChange) -> list[Finding]:
    """Both kinds are told; either is enough (S-041), so what said no beside a yes is told as an alternative."""
    found: list[Finding] = []
    query, fhirpath = trigger.query, trigger.fhirpath
    if query is not None:
        found.append(_query_criteria(f"{subject}.queryCriteria", query, change))
    if fhirpath is not None:
        found.append(_fhirpath(f"{subject}.fhirPathCriteria", fhirpath, change))
    return found


def _fhirpath(subject: str, expression: Expression, change: ResourceChange) -> Finding:
    """The criterion, with the value of each condition in it and of what they compare."""
    _, *parts = expression.explain(change.focus, **variables_of(expression, change))
    told = asked(subject, expression.text, lambda: is_true(expression, change))
    return replace(told, parts=_nested(subject, parts, depth=1))


def _nested(subject: str, parts: Sequence[Part], depth: int) -> tuple[Finding, ...]:
    """``parts`` come in the order of the text, each before those inside of it."""
    starts = [place for place, part in enumerate(parts) if part.depth == depth]
    found = []
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(parts)
        part, name = parts[start], f"{subject}[{number}]"
        inside = _nested(name, parts[start + 1 : end], depth + 1)
        values = shown(part.values) if part.values else ("nothing",)
        found.append(Finding(name, part.text, _verdict(part), () if part.error else values, part.error, inside))
    return tuple(found)


def _verdict(part: Part) -> Verdict:
    """A side of a comparison says neither yes nor no."""
    if part.error:
        return Verdict.FAILED
    if part.compared:
        return Verdict.LEFT_OUT
    return Verdict.YES if part.values == (True,) else Verdict.NO


def _query_criteria(subject: str, criteria: CompiledQueryCriteria, change: ResourceChange) -> Finding:
    sides = (
        _side(f"{subject}.previous", criteria.previous, change, criteria.previous_side, Interaction.CREATE,
              change.previous if change.previous_known else None),
        _side(f"{subject}.current", criteria.current, change, criteria.current_side, Interaction.DELETE,
              change.current),
    )  # fmt: skip
    joined = "both must hold" if criteria.require_both else "one is enough"
    return asked(subject, criteria.text, lambda: criteria.hold(change), reason=joined, parts=sides)


def _side(
    subject: str,
    query: Query | None,
    change: ResourceChange,
    side: Callable[[ResourceChange], bool | None],
    without: Interaction,
    state: Resource | None,
) -> Finding:
    """One state of queryCriteria; for the interaction ``without``, which has none, a fixed result stands in."""
    text = query.text if query else ""
    if change.interaction is without:
        held = side(change)
        element = "resultForCreate" if without is Interaction.CREATE else "resultForDelete"
        if held is None:
            return Finding(
                subject, text, Verdict.LEFT_OUT, reason=f"a {without} has no such state, and {element} is absent"
            )
        passes = "test-passes" if held else "test-fails"
        return Finding(subject, text, Verdict.YES if held else Verdict.NO, (), f"{element} is {passes}")
    if query is None:
        return Finding(subject, text, Verdict.LEFT_OUT, reason="the criteria say nothing about this state")
    if state is None:
        return Finding(subject, text, Verdict.LEFT_OUT, reason="the state is not known (nothing was held of it)")
    parts = tuple(
        explain_clause(f"{subject}.clause[{place}]", clause, state, Surroundings.of(change))
        for place, clause in enumerate(query.clauses)
    )
    return asked(subject, text, lambda: side(change) is True, parts=parts)


def _event_trigger(subject: str, trigger: CompiledEventTrigger, change: ResourceChange) -> Finding:
    wanted = ", ".join(sorted(f"{each.system}|{each.code}" for each in trigger.codes))
    told = shown(f"{each.system}|{each.code}" for each in change.occasion.codes)
    if change.interaction is not Interaction.EVENT:
        told = (change.interaction,)
    is_type = trigger.resource in {change.key.type, *EVERY_TYPE}
    parts = (
        asked(f"{subject}.resource", trigger.resource, lambda: is_type, values=(change.key.type,)),
        asked(f"{subject}.event", wanted, lambda: not trigger.codes.isdisjoint(change.occasion.codes), values=told),
    )
    return asked(subject, "", lambda: trigger.fires(change), parts=parts)
