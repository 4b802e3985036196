"""What queryCriteria say that is surely not meant (S-033…S-036)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.domain.change import Interaction
from hub.errors import Issue
from hub.matching.lint.contradictions import contradiction
from hub.matching.lint.subject import ERROR, HINT, WARNING, Subject, TriggerSubject
from hub.matching.triggers import ANNOUNCED

_TESTED = {"resultForCreate": (Interaction.CREATE, "current"), "resultForDelete": (Interaction.DELETE, "previous")}
"""When a result stands for the state that is not there, and the side that is tested beside it (S-033)."""


def criteria_have_a_side(subject: Subject) -> Iterator[Issue]:
    """Without previous and current it is as if there were no queryCriteria (S-036): the trigger fires on everything."""
    for each in subject.triggers:
        query = each.trigger.query
        if query is not None and query.previous is None and query.current is None:
            said = "Without previous and current these criteria test nothing: give one, or leave queryCriteria out."
            yield each.issue(WARNING, "queryCriteria", said)


def sides_can_match(subject: Subject) -> Iterator[Issue]:
    """A side that no resource matches: with requireBoth nothing fires, without it the side has no effect."""
    for each in subject.triggers:
        for side, query in (("previous", each.previous), ("current", each.current)):
            if query and (reason := contradiction(query, subject.facts)):
                both = each.trigger.query is not None and each.trigger.query.require_both
                said = f"No resource can match this: {reason}. Join alternatives with commas: status=a,b."
                yield each.issue(ERROR if both else WARNING, f"queryCriteria.{side}", said)


def both_sides_are_required(subject: Subject) -> Iterator[Issue]:
    """The commonest slip: two sides that are meant together, read as alternatives (S-034)."""
    for each in subject.triggers:
        query = each.trigger.query
        if query and query.previous is not None and query.current is not None and not query.require_both:
            said = "Either side is enough here: write requireBoth true if previous and current must both hold (S-034)."
            yield each.issue(HINT, "queryCriteria", said)


def sides_differ(subject: Subject) -> Iterator[Issue]:
    """The same on both sides is no transition: every update in that state fires.

    A trigger for all interactions means it so: whatever happens to resources of that kind.
    """
    for each in subject.triggers:
        query = each.trigger.query
        is_chosen = not each.trigger.interactions >= ANNOUNCED
        if query and query.require_both and query.current and query.previous == query.current and is_chosen:
            said = (
                "previous and current ask for the same, so every update in that state fires: for the moment at which "
                "it is reached ask for its opposite in previous, such as status:not=finished."
            )
            yield each.issue(HINT, "queryCriteria", said)


def results_do_not_replace_the_test(subject: Subject) -> Iterator[Issue]:
    """``test-passes`` without requireBoth: the other side does not matter any more (S-034)."""
    for each in subject.triggers:
        query = each.trigger.query
        if query is None or query.require_both:
            continue
        for name, passes in (
            ("resultForCreate", query.result_for_create),
            ("resultForDelete", query.result_for_delete),
        ):
            interaction, tested = _TESTED[name]
            text = query.current if tested == "current" else query.previous
            if passes and text is not None and interaction in each.trigger.interactions:
                yield _always(each, name, interaction, tested)


def _always(each: TriggerSubject, name: str, interaction: Interaction, tested: str) -> Issue:
    said = (
        f"Every {interaction.value} fires, whatever {tested} asks, because this side passes and requireBoth is not "
        "true (S-034): write requireBoth true, or test-fails."
    )
    return each.issue(WARNING, f"queryCriteria.{name}", said)


QUERY_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (
    criteria_have_a_side,
    sides_can_match,
    both_sides_are_required,
    sides_differ,
    results_do_not_replace_the_test,
)
