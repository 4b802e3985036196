"""What the lint says of a written topic, for each FHIR version: where it is offered and where it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hub.authoring.files import Written
from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Refused, Unprocessable
from hub.fhir.basic_topics import read_basic_topic, told_in_basic
from hub.fhir.r6_topics import is_r6_topic, read_r6_topic, told_in_r6
from hub.fhir.topics import read_topic
from hub.intake.topic_life import check_derivation
from hub.matching.lint import ERROR, check_topic

R4, R4B, R5 = FhirVersion


_VERSIONS = "\0"
"""Stands for the number of the version in a text until it is known which versions the text is about."""


class Form(StrEnum):
    """The shape in which a topic is written."""

    BASIC = "R4 Basic"
    R4B = "R4B"
    R5 = "R5"
    R6 = "R6 ballot"


BASES = {Form.BASIC: (R4,), Form.R4B: (R4B,), Form.R5: (R4, R4B, R5), Form.R6: (R4, R4B, R5)}
"""Where a topic of each form can be offered: as a file everywhere, else by writing it through its base (ruling 22)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One issue, and the versions that it is about."""

    issue: Issue
    bases: tuple[FhirVersion, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say of one topic; ``bases`` are those it was checked for, ``offered`` those that take it."""

    source: str
    canonical: str
    form: Form
    bases: tuple[FhirVersion, ...]
    offered: tuple[FhirVersion, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """A topic as it was read, None when it cannot be; ``issues`` then say why."""

    written: Written
    form: Form
    topic: SubscriptionTopic | None
    issues: tuple[Issue, ...] = ()
    bases: tuple[FhirVersion, ...] = ()


def check_written(topics: Sequence[Written], bases: Sequence[FhirVersion] = ()) -> list[Finding]:
    """Check topics together: for ``bases``, or where their forms can be offered."""
    read = [replace(each, bases=tuple(bases) or BASES[each.form]) for each in map(_read, topics)]
    return [_finding(each, read[:position], read) for position, each in enumerate(read)]


def _read(written: Written) -> _Read:
    resource = written.resource
    if resource["resourceType"] == "Basic":
        return _attempt(written, Form.BASIC, read_basic_topic)
    if is_r6_topic(resource):
        return _attempt(written, Form.R6, read_r6_topic)
    as_r5 = _attempt(written, Form.R5, lambda json: read_topic(json, R5))
    as_r4b = as_r5 if as_r5.topic else _attempt(written, Form.R4B, lambda json: read_topic(json, R4B))
    return as_r4b if len(as_r4b.issues) < len(as_r5.issues) else as_r5


def _attempt(written: Written, form: Form, read: Callable[[Mapping[str, Any]], SubscriptionTopic]) -> _Read:
    try:
        return _Read(written, form, read(written.resource))
    except Refused as refusal:
        return _Read(written, form, None, tuple(refusal.issues))


def _finding(each: _Read, before: Sequence[_Read], every: Sequence[_Read]) -> Finding:
    source, topic, form, bases = each.written.source, each.topic, each.form, each.bases
    if topic is None:
        url = each.written.resource.get("url")
        said = tuple(Said(issue, bases) for issue in each.issues)
        return Finding(source, url if isinstance(url, str) else "", form, bases, (), said)
    issues = {
        base: (*_duplicates(topic, before, base), *_derivation(topic, every), *check_topic(topic, base).issues)
        for base in bases
    }
    offered = tuple(base for base in bases if all(issue.severity != ERROR for issue in issues[base]))
    said = tuple(_merged({base: _placed(each, issues[base]) for base in bases}))
    return Finding(source, topic.canonical, form, bases, offered, said)


def _duplicates(topic: SubscriptionTopic, before: Sequence[_Read], base: FhirVersion) -> Iterator[Issue]:
    """Which of two topics of a base with one canonical a Subscription means would be left open (ruling 22)."""
    for other in before:
        if base in other.bases and other.topic is not None and other.topic.canonical == topic.canonical:
            said = f"{other.written.source} has the canonical {topic.canonical} too: give one of them another version."
            yield Issue("duplicate", said, "SubscriptionTopic.version", ERROR)


def _derivation(topic: SubscriptionTopic, every: Sequence[_Read]) -> Sequence[Issue]:
    """What a derived topic owes to those of its bases that are checked with it (S-022)."""
    known = [each.topic for each in every if each.topic is not None]
    named = [base for base in known if {base.url, base.canonical} & set(topic.derived_from)]
    try:
        check_derivation(topic, named)
    except Unprocessable as refusal:
        return refusal.issues
    return ()


def _placed(each: _Read, issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """With their places as the file writes them."""
    match each.form:
        case Form.BASIC:
            return told_in_basic(each.written.resource, issues)
        case Form.R6:
            return told_in_r6(each.written.resource, issues)
    return tuple(issues)


def _merged(issues: Mapping[FhirVersion, Iterable[Issue]]) -> Iterator[Said]:
    """What is the same in several versions, once; the versions that a text names are named together."""
    bases: dict[Issue, list[FhirVersion]] = {}
    for base, found in issues.items():
        for issue in found:
            general = replace(issue, diagnostics=issue.diagnostics.replace(f"FHIR {base.number}", _VERSIONS))
            bases.setdefault(general, []).append(base)
    order = {"error": 0, "warning": 1}
    for issue, about in sorted(bases.items(), key=lambda one: order.get(one[0].severity, 2)):
        numbers = "FHIR " + ", ".join(base.number for base in about)
        yield Said(replace(issue, diagnostics=issue.diagnostics.replace(_VERSIONS, numbers)), tuple(about))
