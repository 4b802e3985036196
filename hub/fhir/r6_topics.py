"""SubscriptionTopics in the shape of the R6 ballot, read into the same model (S-069, S-070).

R6 merges resourceTrigger and eventTrigger into ``trigger``, with events, filters and shapes inside it. Here it becomes
R5 JSON and is read as such: a resourceTrigger, one eventTrigger for each event, filters and shapes that name the type
of their trigger where they named none. What is wrong is told by its place in the R6 shape.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Refused
from hub.fhir.reading import Json
from hub.fhir.topics import read_topic

_OLD_TRIGGERS = ("resourceTrigger", "eventTrigger")
_CRITERIA = ("supportedInteraction", "queryCriteria", "fhirPathCriteria")
_SCOPED = ("canFilterBy", "notificationShape")
_RELATED_QUERY = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-related-query"
_ROOT = "SubscriptionTopic"


def is_r6_topic(resource: Json) -> bool:
    """Is this a topic of the R6 shape?"""
    is_topic = resource.get("resourceType") == _ROOT and "trigger" in resource
    return is_topic and not any(name in resource for name in _OLD_TRIGGERS)


def read_r6_topic(resource: Json) -> SubscriptionTopic:
    """The topic that ``resource`` describes. Raises Malformed or Unprocessable, all problems of a kind together."""
    written, places = _converted(resource)
    try:
        return read_topic(written, FhirVersion.R5)
    except Refused as refusal:
        raise type(refusal)(*_told(refusal.issues, places)) from None


def r6_as_topic(resource: Json) -> dict[str, Any]:
    """The R5 JSON that a topic of the R6 shape stands for; what cannot be read in it stays as it is."""
    return _converted(resource)[0]


def told_in_r6(resource: Json, issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """``issues`` about the R5 form of ``resource``, each with its place in the R6 shape."""
    return _told(issues, _converted(resource)[1])


def _converted(resource: Json) -> tuple[dict[str, Any], dict[str, str]]:
    """The R5 JSON, and for the elements that moved the places that they are from."""
    topic = {name: value for name, value in copy.deepcopy(dict(resource)).items() if name != "trigger"}
    places = {f"{_ROOT}.{name}": f"{_ROOT}.trigger" for name in _OLD_TRIGGERS}
    triggers = resource["trigger"]
    if not isinstance(triggers, list):  # for the reader to refuse
        return topic | {"resourceTrigger": triggers}, places
    for index, trigger in enumerate(copy.deepcopy(triggers)):
        path = f"{_ROOT}.trigger[{index}]"
        for name, item, place in _parts(trigger, path):
            there = topic.setdefault(name, [])
            if isinstance(there, list):
                moved = f"{_ROOT}.{name}[{len(there)}]"
                places[moved] = place
                if name == "eventTrigger":  # one place in R6 for what are two elements in R5
                    places |= {f"{moved}.event": place, f"{moved}.resource": f"{path}.resource"}
                there.append(item)
    return topic, places


def _parts(trigger: Any, path: str) -> list[tuple[str, Any, str]]:
    """(R5 element, what stands in it, its place in R6) of one trigger.

    A trigger that names events and no interaction or criteria is about these events alone: as a resourceTrigger it
    would fire on every change.
    """
    if not isinstance(trigger, Mapping):
        return [("resourceTrigger", trigger, path)]
    moved = {*_SCOPED, "event"}
    events = _listed(trigger, "event")
    parts: list[tuple[str, Any, str]] = []
    if not events or any(name in trigger for name in _CRITERIA):
        parts.append(("resourceTrigger", {name: trigger[name] for name in trigger if name not in moved}, path))
    plain = {name: trigger[name] for name in ("description", "resource") if name in trigger}
    places = [f"{path}.event[{index}]" for index in range(len(events))]
    parts += [("eventTrigger", plain | {"event": event}, place) for event, place in zip(events, places, strict=True)]
    for name in _SCOPED:
        for index, item in enumerate(_listed(trigger, name)):
            parts.append((name, _scoped(item, trigger), f"{path}.{name}[{index}]"))
    return parts


def _listed(owner: Json, name: str) -> list[Any]:
    """What stands there, also where one stands without a list, as ballots wrote ``event``."""
    found = owner.get(name, [])
    return found if isinstance(found, list) else [found]


def _scoped(item: Any, trigger: Json) -> Any:
    """A filter or shape about the type of its trigger, with relatedQuery as the extension of the Backport guide."""
    if not isinstance(item, Mapping):
        return item
    scoped = {name: value for name, value in item.items() if name != "relatedQuery"}
    if "resource" not in scoped and "resource" in trigger:
        scoped["resource"] = trigger["resource"]
    found = [_related_query(query) for query in _listed(item, "relatedQuery") if isinstance(query, Mapping)]
    return scoped | {"extension": [*_listed(scoped, "extension"), *found]} if found else scoped


def _related_query(query: Json) -> dict[str, Any]:
    inside = [
        {"url": name, value: query[name]}
        for name, value in (("queryType", "valueCoding"), ("query", "valueString"))
        if name in query
    ]
    return {"url": _RELATED_QUERY, "extension": inside}


def _told(issues: Iterable[Issue], places: Mapping[str, str]) -> tuple[Issue, ...]:
    """Each once: what is one element in R6 can be wrong in both of the triggers that it became."""
    return tuple(dict.fromkeys(_placed(issue, places) for issue in issues))


def _placed(issue: Issue, places: Mapping[str, str]) -> Issue:
    """The issue with its path in R6: the longest part of it that moved, exchanged for where it stood."""
    known = issue.expression
    while known and known not in places:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    return replace(issue, expression=places[known] + issue.expression[len(known) :]) if known else issue
