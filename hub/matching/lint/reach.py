"""Triggers that never fire, interactions that never fire, and triggers that add nothing to others (S-024…S-041)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.domain.change import EventCode, Interaction
from hub.domain.topic import EVERY_TYPE, QueryCriteria
from hub.errors import Issue
from hub.matching.lint.contradictions import contradiction
from hub.matching.lint.subject import ERROR, WARNING, Subject, TriggerSubject
from hub.matching.lint.truth import truths_of
from hub.matching.triggers import ANNOUNCED

_INTERACTIONS = (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE)
_ABSENT = {
    Interaction.CREATE: frozenset({"previous"}),
    Interaction.UPDATE: frozenset[str](),
    Interaction.DELETE: frozenset({"current"}),
}
Side = frozenset[bool] | None
"""The answers that a side of queryCriteria may give; None when it is left out."""


def each_trigger_can_fire(subject: Subject) -> Iterator[Issue]:
    """Error: no interaction that the trigger lists can fulfil its criteria."""
    for each in subject.triggers:
        if each.readable and each.trigger.interactions and not _reached(each, subject):
            listed = " and ".join(one.value for one in _INTERACTIONS if one in each.trigger.interactions)
            said = f"This trigger can never fire: on {listed} its criteria cannot hold. {_instead(each)}"
            yield each.issue(ERROR, "", said)


def each_interaction_can_fire(subject: Subject) -> Iterator[Issue]:
    """Warning: an interaction is listed beside others that work, and no change of that kind can fulfil the criteria."""
    for each in subject.triggers:
        reached = _reached(each, subject)
        is_chosen = not each.trigger.interactions >= ANNOUNCED  # all of them is the same as none listed (S-027)
        if not each.readable or not reached or not is_chosen:
            continue
        for interaction in _INTERACTIONS:
            if interaction in each.trigger.interactions - reached:
                said = f"{interaction.value} is listed, but the criteria cannot hold there. {_on(interaction, each)}"
                yield each.issue(WARNING, "supportedInteraction", said)


def each_trigger_adds_something(subject: Subject) -> Iterator[Issue]:
    """Triggers are alternatives, and a change that several of them see is one event (S-024)."""
    for position, each in enumerate(subject.triggers):
        for other_position, other in enumerate(subject.triggers):
            if position == other_position or not _covers(other, each):
                continue
            if _covers(each, other) and position < other_position:
                continue  # of two that are alike the later one is told of
            said = f"This adds nothing: resourceTrigger[{other_position}] fires on all that it would. Leave it out."
            yield each.issue(WARNING, "", said, "duplicate")
            break


def each_event_trigger_adds_something(subject: Subject) -> Iterator[Issue]:
    """Warning: another eventTrigger is about the same resource and hears of all the same events (S-024)."""
    first: dict[tuple[str, EventCode], int] = {}
    for position, each in enumerate(subject.topic.event_triggers):
        before = {first.setdefault((each.resource, code), position) for code in each.codes}
        if len(before) == 1 and position not in before:
            said = f"This adds nothing: eventTrigger[{before.pop()}] hears of the same events. Leave it out."
            yield Issue("duplicate", said, f"SubscriptionTopic.eventTrigger[{position}]", WARNING)


def _covers(wide: TriggerSubject, narrow: TriggerSubject) -> bool:
    one, other = wide.trigger, narrow.trigger
    if one.resource != other.resource and one.resource not in EVERY_TYPE:
        return False
    if not one.interactions >= other.interactions:
        return False
    tests_nothing = one.fhirpath is None and not _tests(one.query)
    return tests_nothing or (one.resource, one.query, one.fhirpath) == (other.resource, other.query, other.fhirpath)


def _tests(query: QueryCriteria | None) -> bool:
    return query is not None and not (query.previous is None and query.current is None)


def _reached(each: TriggerSubject, subject: Subject) -> frozenset[Interaction]:
    return frozenset(one for one in each.trigger.interactions if _can_fire(one, each, subject))


def _can_fire(interaction: Interaction, each: TriggerSubject, subject: Subject) -> bool:
    """Either criterion is enough (S-041)."""
    query, tree = each.trigger.query, each.tree
    if not _tests(query) and tree is None:
        return True
    if query is not None and _tests(query) and _can_hold(interaction, query, each, subject):
        return True
    return tree is not None and True in truths_of(tree, _ABSENT[interaction])


def _can_hold(interaction: Interaction, query: QueryCriteria, each: TriggerSubject, subject: Subject) -> bool:
    """The truth table of S-034, with the sides that cannot be tested left out (S-035, S-036, HOUSE ruling 13)."""
    previous: Side = _answers(each.previous is not None, _is_dead(each, "previous", subject))
    current: Side = _answers(each.current is not None, _is_dead(each, "current", subject))
    if interaction is Interaction.CREATE:
        previous = _result(query.result_for_create)
    if interaction is Interaction.DELETE:
        current = _result(query.result_for_delete)
    when_unknown = interaction is Interaction.UPDATE and _may_hold((None, current), query)
    return when_unknown or _may_hold((previous, current), query)


def _may_hold(sides: tuple[Side, Side], query: QueryCriteria) -> bool:
    hold = [True in side for side in sides if side is not None]
    return bool(hold) and (all(hold) if query.require_both else any(hold))


def _is_dead(each: TriggerSubject, side: str, subject: Subject) -> bool:
    query = each.previous if side == "previous" else each.current
    return query is not None and bool(contradiction(query, subject.facts))


def _answers(is_there: bool, is_dead: bool) -> Side:
    return None if not is_there else frozenset({False}) if is_dead else frozenset({True, False})


def _result(result: bool | None) -> Side:
    return None if result is None else frozenset({result})


def _instead(each: TriggerSubject) -> str:
    return " ".join(_on(one, each) for one in _INTERACTIONS if one in each.trigger.interactions)


def _on(interaction: Interaction, each: TriggerSubject) -> str:
    """What to write so that the criteria can hold on this interaction."""
    query = each.trigger.query
    match interaction:
        case Interaction.CREATE if query is not None and _tests(query):
            return "For create give current, and resultForCreate test-passes if requireBoth is true."
        case Interaction.DELETE if query is not None and _tests(query):
            return "For delete give previous, and resultForDelete test-passes if requireBoth is true."
        case Interaction.CREATE:
            return "On create %previous is empty, and so is what is compared with it: add %previous.empty() or …"
        case Interaction.DELETE:
            return "On delete %current is empty, and so is what is compared with it: add %current.empty() or …"
    return "Change the criteria so that they can be true."


REACH_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (
    each_trigger_can_fire,
    each_interaction_can_fire,
    each_trigger_adds_something,
    each_event_trigger_adds_something,
)
