"""What a topic's status, dates and ancestry allow (S-018, S-019, S-022).

The standard has no element that says "deprecated". ``effectivePeriod.end`` is the last moment at which a topic takes
new Subscriptions; before it, it is an announcement, told as a warning. Running Subscriptions go on in any case.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hub.domain.topic import SubscriptionTopic
from hub.errors import Issue, Unprocessable
from hub.matching.search.date import parse_interval

USABLE = {"active", "draft", "unknown"}
"""Statuses that take new Subscriptions; a retired topic keeps only those it has (S-019)."""


def check_takes_new(
    topic: SubscriptionTopic, now: datetime, *, draft_topics: bool, expression: str
) -> tuple[Issue, ...]:
    """Warnings for a new Subscription; raises Unprocessable when the topic takes none, or none any more."""
    canonical = topic.canonical
    if topic.status not in USABLE:
        raise Unprocessable(f"the topic {canonical} is {topic.status}", expression=expression)
    if topic.status == "draft" and not draft_topics:
        raise Unprocessable(
            f"the topic {canonical} is a draft; set HUB_DRAFT_TOPICS=1 to let it be used", expression=expression
        )
    if not topic.effective_until:
        return ()
    if _is_over(topic.effective_until, now):
        raise Unprocessable(
            f"the topic {canonical} has ended on {topic.effective_until} and takes no new Subscriptions",
            expression=expression,
        )
    announced = f"the topic {canonical} takes no new Subscriptions after {topic.effective_until}"
    return (Issue("business-rule", announced, expression, "warning"),)


def _is_over(written: str, now: datetime) -> bool:
    """A date stands for its whole day, a month for the whole month: the period ends with them, in UTC."""
    present = parse_interval(now.isoformat())
    period = parse_interval(written)
    return present is None or period is None or period.end <= present.start


def check_derivation(topic: SubscriptionTopic, bases: Iterable[SubscriptionTopic]) -> None:
    """Raises Unprocessable when a derived topic drops a filter or a focus type of its base, or derives from itself.

    ``bases`` are those of its ``derivedFrom`` that are known here: no other can be compared with. That the concept
    stays the same no machine can say.
    """
    if {topic.url, topic.canonical} & set(topic.derived_from):
        raise Unprocessable(
            f"{topic.canonical} is derived from itself; name the topic that it refines",
            expression="SubscriptionTopic.derivedFrom",
        )
    issues = [issue for base in bases for issue in _lost(topic, base)]
    if issues:
        raise Unprocessable(*issues)


def _lost(topic: SubscriptionTopic, base: SubscriptionTopic) -> list[Issue]:
    issues = []
    types = [{trigger.resource for trigger in each.resource_triggers} for each in (topic, base)]
    if types[0] != types[1]:
        wanted = ", ".join(sorted(types[1]))
        said = f"a topic derived from {base.canonical} is about the same resources: {wanted}"
        issues.append(Issue("business-rule", said, "SubscriptionTopic.resourceTrigger"))
    filters = [{(each.resource, each.parameter) for each in one.can_filter_by} for one in (topic, base)]
    for resource, parameter in sorted(filters[1] - filters[0] - {("", name) for _, name in filters[0]}):
        said = f"{base.canonical} allows the filter {resource or 'any resource'} {parameter}; a derived topic keeps it"
        issues.append(Issue("business-rule", said, "SubscriptionTopic.canFilterBy"))
    return issues
