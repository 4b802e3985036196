"""SubscriptionTopics in FHIR R4, which has no such resource: a ``Basic`` with cross-version extensions (S-060…S-065).

A Basic is turned into the R5 JSON that its extensions stand for and read as such, so the rules of topics stay in
``hub.fhir.topics``; what is wrong is told by its place in the Basic. Extensions of others are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Refused, Unprocessable
from hub.fhir.definitions import PRIMITIVES, Definitions, Element, definitions
from hub.fhir.elements import UNTYPED, fits, json_name, read_pairs, typed_names, value_type, write_pairs
from hub.fhir.reading import Json, Problems, child, children, require_resource_type, text
from hub.fhir.structure import structural_issues
from hub.fhir.topics import COMPARATORS, read_topic

FHIR_TYPES = "http://hl7.org/fhir/fhir-types"
TOPIC = "SubscriptionTopic"
_STEM = re.compile(r"http://hl7\.org/fhir/([0-9]+\.[0-9]+)/StructureDefinition/extension-SubscriptionTopic")
_WRITTEN_STEM = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic"
_BARE = re.compile(r"[a-z][A-Za-z]*(?:\[x\])?")
_R4B_STEM = "4.3"
_PLAIN_EQUALITY = "="
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

    Raises Malformed (no Basic for a topic, or not built as R4 defines one) or Unprocessable (the topic is unusable),
    all problems together, each with the place in the Basic as its expression.
    """
    written, places = _converted(resource)
    try:
        return read_topic(written, FhirVersion.R5)
    except Refused as refusal:
        raise Unprocessable(*(_placed(issue, places) for issue in refusal.issues)) from None


def basic_as_topic(resource: Json) -> dict[str, Any]:
    """The R5 JSON that the ``Basic`` stands for; raises what ``read_basic_topic`` raises for an unreadable Basic."""
    return _converted(resource)[0]


def write_basic_topic(r5_resource: Json) -> dict[str, Any]:
    """A SubscriptionTopic in R5 JSON as R4 ``Basic``, with the extensions of the 5.0 form (S-061…S-063).

    Contained resources are left out: they are R5, and nothing of the topic depends on them. Raises Unprocessable for
    modifier extensions, whose meaning would be lost.
    """
    require_resource_type(r5_resource, TOPIC)
    if r5_resource.get("modifierExtension"):
        raise Unprocessable(
            "This topic has modifier extensions, which Basic cannot show in its place: remove them.",
            expression=f"{TOPIC}.modifierExtension",
        )
    extensions = list(_written_elements(r5_resource, TOPIC, definitions(FhirVersion.R5), f"{_WRITTEN_STEM}."))
    status_url = f"{_WRITTEN_STEM}.status"
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
    elements = {name: element for name in facts.element_names(type_) if (element := _own_element(type_, name, facts))}
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


def _own_element(type_: str, name: str, facts: Definitions) -> Element | None:
    inherited = ("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")
    return None if name in inherited else facts.element(type_, name)


def _written_element(
    value: Any, sibling: Any, url: str, type_: str, element: Element, facts: Definitions
) -> dict[str, Any]:
    if UNTYPED.intersection(element.types):
        return {"url": url, "extension": list(_written_elements(value, type_, facts, ""))}
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
    conversion = _Conversion(problems)
    written = conversion.topic(resource)
    problems.raise_if_any()
    return written, conversion.places


def _placed(issue: Issue, places: Mapping[str, str]) -> Issue:
    """The issue of the R5 form, with its expression in the Basic: that of the element or the nearest one around it."""
    known = issue.expression
    while known not in places and known:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    return replace(issue, diagnostics=f"{issue.expression}: {issue.diagnostics}", expression=places.get(known, "Basic"))


class _Conversion:
    """Turns one Basic into R5 JSON; what it cannot use it notes in ``problems`` and leaves out."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._facts = definitions(FhirVersion.R5)
        self.places: dict[str, str] = {TOPIC: "Basic"}

    def topic(self, resource: Json) -> dict[str, Any]:
        if text(resource, "implicitRules"):
            self._problems.add("not-supported", "Basic.implicitRules", "The hub knows no implicit rules: leave it out.")
        members: dict[str, Any] = {"resourceType": TOPIC}
        for name in ("modifierExtension", "extension"):
            for index, extension in enumerate(children(resource, name)):
                self._root_extension(extension, f"Basic.{name}[{index}]", members, modifier=name != "extension")
        return members

    def _root_extension(self, extension: Json, path: str, members: dict[str, Any], *, modifier: bool) -> None:
        stem = _STEM.match(text(extension, "url"))
        if stem is None:
            if modifier:
                self._problems.add("extension", path, "The hub does not know this modifier extension: leave it out.")
            return
        if stem.end() == len(text(extension, "url")):  # the newer packages nest the whole topic under one (S-063)
            self._nested(extension, path, members, TOPIC, TOPIC, stem[1])
        else:
            self._element(extension, path, members, TOPIC, TOPIC, stem[1])

    def _nested(
        self, extension: Json, path: str, members: dict[str, Any], type_: str, place: str, version: str
    ) -> None:
        """The elements of ``type_`` that stand inside an extension; ``place`` is the R5 expression of their owner."""
        if any(name.removeprefix("_").startswith("value") for name in extension) or not children(
            extension, "extension"
        ):
            self._problems.add("structure", path, "This extension has other extensions in it, and no value of its own.")
        for index, inner in enumerate(children(extension, "extension")):
            self._element(inner, f"{path}.extension[{index}]", members, type_, place, version)

    def _element(
        self, extension: Json, path: str, members: dict[str, Any], type_: str, place: str, version: str
    ) -> None:
        name = _element_name(text(extension, "url"), type_)
        if not name:  # somebody else's extension, such as backport-related-query
            return
        element = _own_element(type_, name, self._facts)
        if element is None:
            known = ", ".join(
                known for known in self._facts.element_names(type_) if _own_element(type_, known, self._facts)
            )
            self._problems.add("structure", path, f"{type_} has no element {name[:64]!r}: it has {known}.")
            return
        if UNTYPED.intersection(element.types):
            self._backbone(extension, path, members, name, element, place, version)
        else:
            self._value(extension, path, members, name, element, place)

    def _backbone(
        self,
        extension: Json,
        path: str,
        members: dict[str, Any],
        name: str,
        element: Element,
        place: str,
        version: str,
    ) -> None:
        made: dict[str, Any] = {}
        expression = self._append(members, name, element, made, path, place)
        self._nested(extension, path, made, element.path, expression, version)
        if version == _R4B_STEM and element.path == f"{TOPIC}.canFilterBy":
            _split_modifiers(made)

    def _value(
        self, extension: Json, path: str, members: dict[str, Any], name: str, element: Element, place: str
    ) -> None:
        keys = [key for key in extension if key.startswith("value")]
        if len(keys) != 1 or children(extension, "extension"):
            self._problems.add("structure", path, f"Give one value[x] here: {' or '.join(element.types)}.")
            return
        value_types = self._facts.element("Extension", "value")
        type_ = value_type(keys[0], value_types.types if value_types else ())
        wanted = [found for _, found in typed_names(name, element) if type_ and fits(type_, found, self._facts)]
        if not wanted or (type_ in PRIMITIVES) == isinstance(extension[keys[0]], dict):
            self._problems.add(
                "value", f"{path}.{keys[0]}", f"{name} is a {' or '.join(element.types)}: write it as value[x] of that."
            )
            return
        typed_name = json_name(name, wanted[0]) if element.choice else name
        self._append(members, typed_name, element, extension[keys[0]], f"{path}.{keys[0]}", place)

    def _append(self, members: dict[str, Any], name: str, element: Element, value: Any, path: str, place: str) -> str:
        """Put the value there; the R5 expression of where it stands now."""
        expression = f"{place}.{name}"
        if element.many:
            members.setdefault(name, []).append(value)
            self.places.setdefault(expression, path)
            expression = f"{expression}[{len(members[name]) - 1}]"
        elif name in members:
            self._problems.add("duplicate", path, f"{name} stands here twice: write it once.")
        else:
            members[name] = value
        self.places.setdefault(expression, path)
        return expression


def _element_name(url: str, type_: str) -> str:
    """The R5 element that an extension of ``type_`` stands for: by its bare name or its full URL; "" for neither."""
    name = url
    if stem := _STEM.match(url):
        path = url[stem.end() :]
        owner = type_.removeprefix(TOPIC) + "."
        name = path.removeprefix(owner) if path.startswith(owner) else path.removeprefix(".")
        return name.removesuffix("[x]") or path
    return name.removesuffix("[x]") if _BARE.fullmatch(name) else ""


def _split_modifiers(item: dict[str, Any]) -> None:
    """R4B lists comparators, and ``=`` for neither, among the modifiers (S-020)."""
    listed = [code for code in item.pop("modifier", []) if code != _PLAIN_EQUALITY]
    comparators = [code for code in listed if code in COMPARATORS]
    modifiers = [code for code in listed if code not in COMPARATORS]
    for name, codes in (("comparator", [*item.get("comparator", []), *comparators]), ("modifier", modifiers)):
        if codes:
            item[name] = codes
