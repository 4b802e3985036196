"""Canonical and version rules: by what name Subscriptions ask for a topic (S-018, S-019, S-022)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hub.errors import Issue
from hub.fhir.topics import CANONICAL_URL
from hub.matching.lint.subject import ERROR, HINT, WARNING, Subject

_SPOILS_A_CANONICAL = re.compile(r"[\s|#]")
_ALGORITHMS = {
    "semver": (
        re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?", re.ASCII),
        "1.0.0",
    ),
    "integer": (re.compile(r"\d+", re.ASCII), "1"),
    "date": (re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?", re.ASCII), "2026-01-31"),
}
"""The codes of http://hl7.org/fhir/version-algorithm that ask for a form, and a version in that form."""


def version_can_stand_in_a_canonical(subject: Subject) -> Iterator[Issue]:
    """``url|version`` is one word that a Subscription writes and the hub takes apart."""
    if spoiler := _SPOILS_A_CANONICAL.search(subject.topic.version):
        said = f"No canonical can name a version with {spoiler[0]!r} in it: write one such as 1.0.0."
        yield Issue("value", said, "SubscriptionTopic.version", ERROR)


def version_is_given(subject: Subject) -> Iterator[Issue]:
    if not subject.topic.version:
        said = "Without a version no Subscription can ask for exactly this topic: give one, such as 1.0.0 (S-019)."
        yield Issue("business-rule", said, "SubscriptionTopic", HINT)


def version_follows_its_algorithm(subject: Subject) -> Iterator[Issue]:
    """Which version is the newest is asked whenever a Subscription names none (S-019)."""
    form, example = _ALGORITHMS.get(subject.topic.version_algorithm, (None, ""))
    if form and subject.topic.version and not form.fullmatch(subject.topic.version):
        algorithm = subject.topic.version_algorithm
        said = f"versionAlgorithm says {algorithm}, but this is no such version: write one such as {example}."
        yield Issue("value", said, "SubscriptionTopic.version", WARNING)


def derived_from_names_topics(subject: Subject) -> Iterator[Issue]:
    seen: set[str] = set()
    for position, canonical in enumerate(subject.topic.derived_from):
        url, bar, version = canonical.partition("|")
        path = f"SubscriptionTopic.derivedFrom[{position}]"
        if not CANONICAL_URL.fullmatch(url) or (bar and not version) or _SPOILS_A_CANONICAL.search(version):
            said = "This names no topic: write its canonical URL, http(s):// or urn:, or that and |version."
            yield Issue("value", said, path, ERROR)
        elif canonical in seen:
            yield Issue("duplicate", "This topic is named twice: name it once.", path, WARNING)
        seen.add(canonical)


def status_takes_subscriptions(subject: Subject) -> Iterator[Issue]:
    status, path = subject.topic.status, "SubscriptionTopic.status"
    if status == "draft":
        said = (
            "A draft takes Subscriptions only where HUB_DRAFT_TOPICS=1 is set: write active when it is ready (S-019)."
        )
        yield Issue("business-rule", said, path, HINT)
    elif status == "retired":
        said = "A retired topic takes no new Subscriptions: write active if it is to take any (S-019)."
        yield Issue("business-rule", said, path, HINT)


CANONICAL_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (
    version_can_stand_in_a_canonical,
    version_is_given,
    version_follows_its_algorithm,
    derived_from_names_topics,
    status_takes_subscriptions,
)
