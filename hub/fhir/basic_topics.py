"""SubscriptionTopics in FHIR R4, which has no such resource: a ``Basic`` with cross-version extensions (S-060…S-065).

A Basic is turned into the R5 JSON that its extensions stand for and read as such, so the rules of topics stay in
``hub.fhir.topics``; what is wrong is told by its place in the Basic. Extensions of others are not looked at.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Refused, Unprocessable
from hub.fhir.basic_conversion import TOPIC, Conversion, topic_element
from hub.fhir.definitions import Definitions, Element, definitions
from hub.fhir.elements import UNTYPED, read_pairs, typed_names, write_pairs
from hub.fhir.reading import Json, Problems, child, children, refuse_modifiers, require_resource_type
from hub.fhir.structure import structural_issues
from hub.fhir.topics import read_topic
from hub.fhirpath.navigation import json_name

FHIR_TYPES = "http://hl7.org/fhir/fhir-types"
_STEM = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic"
_AS_IT_IS = ("id", "meta", "language", "text")
"""Elements that Basic writes as SubscriptionTopic does."""


def is_topic(resource: Json) -> bool:
    """Is this a ``Basic`` that stands for a SubscriptionTopic? Every other Basic is ordinary data (S-060, S-065)."""
    return resource.get("resourceType") == "Basic" and any(
        coding.get("system") == FHIR_TYPES and coding.get("code") == TOPIC
        for coding in children(child(resource, "code"), "coding")
    )


def read_basic_topic(resource: Json) -> SubscriptionTopic:
    """The topic that an R4 ``Basic`` describes.

    Raises Malformed (no Basic, or not built as R4 defines one), else Unprocessable: extensions that do not make a
    topic, else a topic that is unusable; all problems of a kind together, each with its place in the Basic.
    """
    written, places = _converted(resource)
    try:
        return read_topic(written, FhirVersion.R5)
    except Refused as refusal:
        raise Unprocessable(*(_placed(issue, places) for issue in refusal.issues)) from None


def basic_as_topic(resource: Json) -> dict[str, Any]:
    """The R5 JSON that the ``Basic`` stands for; raises what ``read_basic_topic`` raises for an unreadable Basic."""
    return _converted(resource)[0]


def told_in_basic(resource: Json, issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """``issues`` about the topic that a readable ``Basic`` stands for, each with its place in the Basic."""
    _, places = _converted(resource)
    return tuple(_placed(issue, places) for issue in issues)


def write_basic_topic(r5_resource: Json) -> dict[str, Any]:
    """A SubscriptionTopic in R5 JSON as R4 ``Basic``, with the extensions of the 5.0 form (S-061…S-063).

    Contained resources are left out: they are R5, and nothing of the topic depends on them. Raises Unprocessable for
    modifier extensions and implicit rules, whose meaning would be lost.
    """
    require_resource_type(r5_resource, TOPIC)
    problems = Problems()
    refuse_modifiers(r5_resource, TOPIC, problems)
    problems.raise_if_any()
    r5_resource = copy.deepcopy(dict(r5_resource))
    extensions = list(_written_elements(r5_resource, TOPIC, definitions(FhirVersion.R5), f"{_STEM}."))
    status_url = f"{_STEM}.status"
    basic: dict[str, Any] = {"resourceType": "Basic"}
    basic |= {name: r5_resource[name] for name in _AS_IT_IS if name in r5_resource}
    basic["modifierExtension"] = [extension for extension in extensions if extension["url"] == status_url]
    basic["extension"] = [extension for extension in extensions if extension["url"] != status_url]
    basic["extension"] += children(r5_resource, "extension")
    basic["code"] = {"coding": [{"system": FHIR_TYPES, "code": TOPIC}]}
    return {name: value for name, value in basic.items() if value}


def _written_elements(members: Json, type_: str, facts: Definitions, prefix: str) -> Iterator[dict[str, Any]]:
    """One extension for each element, in the order of the JSON."""
    names = [name.removeprefix("_") for name in members]
    elements = {name: element for name in facts.element_names(type_) if (element := topic_element(type_, name, facts))}
    typed = {
        typed_name: (name, found, element)
        for name, element in elements.items()
        for typed_name, found in typed_names(name, element)
    }
    for name in dict.fromkeys(names):
        if name in typed:
            element_name, found, element = typed[name]
            for value, sibling in read_pairs(members, name):
                yield _written_element(value, sibling, prefix + element_name, found, element, facts)


def _written_element(
    value: Any, sibling: Any, url: str, type_: str, element: Element, facts: Definitions
) -> dict[str, Any]:
    if UNTYPED.intersection(element.types):
        inner = [*_written_elements(value, type_, facts, ""), *children(value, "extension")]
        return {"url": url, "extension": inner}
    written = {"url": url}
    write_pairs(written, json_name("value", type_), [(value, sibling)], many=False)
    return written


def _converted(resource: Json) -> tuple[dict[str, Any], dict[str, str]]:
    """The R5 JSON, and for each of its elements the place in the Basic that it is from."""
    require_resource_type(resource, "Basic")
    problems = Problems(structural_issues(resource, FhirVersion.R4))
    problems.raise_if_any()
    if not is_topic(resource):
        problems.add("value", "Basic.code", f"Give the code {TOPIC} of {FHIR_TYPES}: without it this is no topic.")
    conversion = Conversion(problems)
    written = conversion.topic(copy.deepcopy(dict(resource)))
    problems.raise_if_any()
    return written, conversion.places


def _placed(issue: Issue, places: Mapping[str, str]) -> Issue:
    """The issue of the R5 form, with its expression in the Basic: that of the element or the nearest one around it."""
    known = issue.expression
    while known not in places and known:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    return replace(issue, diagnostics=f"{issue.expression}: {issue.diagnostics}", expression=places.get(known, "Basic"))
