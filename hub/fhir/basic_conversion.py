"""From R4 ``Basic`` to the R5 JSON of the SubscriptionTopic that its extensions stand for (S-061…S-063).

Stems of any FHIR version are read alike, and so is the form of the newer packages, which nest the whole topic under
one extension. Of every element it is kept from where in the Basic it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import Definitions, Element, definitions
from hub.fhir.elements import UNTYPED, fits, is_written_as, typed_names, value_type
from hub.fhir.reading import Json, Problems, children, text
from hub.fhir.topics import COMPARATORS

TOPIC = "SubscriptionTopic"
STEM = re.compile(r"http://hl7\.org/fhir/([0-9]+\.[0-9]+)/StructureDefinition/extension-SubscriptionTopic")
_R4B = "4.3"
_PLAIN_EQUALITY = "="
_INHERITED = frozenset(
    {"id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"}
)


def topic_element(type_: str, name: str, facts: Definitions) -> Element | None:
    """An element that a topic has as such, not as every resource or element has it."""
    return None if name in _INHERITED else facts.element(type_, name)


@dataclass(frozen=True, slots=True)
class _Owner:
    """What is being filled: the JSON of the topic or of one of its backbone elements, and its R5 expression."""

    members: dict[str, Any]
    type: str
    expression: str
    from_r4b: bool


class Conversion:
    """Turns one Basic into R5 JSON; what it cannot use it notes in ``problems`` and leaves out.

    ``places`` then tells, for the R5 expression of each element, the one in the Basic.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._facts = definitions(FhirVersion.R5)
        self.places: dict[str, str] = {TOPIC: "Basic"}

    def topic(self, resource: Json) -> dict[str, Any]:
        """The R5 JSON; it shares what stands in ``resource``."""
        if text(resource, "implicitRules"):
            self._problems.add("not-supported", "Basic.implicitRules", "The hub knows no implicit rules: leave it out.")
        members: dict[str, Any] = {"resourceType": TOPIC}
        for name in ("modifierExtension", "extension"):
            for index, extension in enumerate(children(resource, name)):
                self._root_extension(extension, f"Basic.{name}[{index}]", members, modifier=name != "extension")
        return members

    def _root_extension(self, extension: Json, path: str, members: dict[str, Any], *, modifier: bool) -> None:
        stem = STEM.match(text(extension, "url"))
        if stem is None:
            if modifier:
                self._problems.add("extension", path, "The hub does not know this modifier extension: leave it out.")
            return
        root = _Owner(members, TOPIC, TOPIC, from_r4b=stem[1] == _R4B)
        if stem.end() == len(text(extension, "url")):  # the newer packages nest the whole topic under one (S-063)
            self._nested(extension, path, root)
        else:
            self._element(extension, path, root)

    def _nested(self, extension: Json, path: str, owner: _Owner) -> None:
        """The elements of ``owner`` that stand inside an extension."""
        inside = children(extension, "extension")
        if not inside or any(name.removeprefix("_").startswith("value") for name in extension):
            self._problems.add("structure", path, "This extension has other extensions in it, and no value of its own.")
        for index, inner in enumerate(inside):
            self._element(inner, f"{path}.extension[{index}]", owner)

    def _element(self, extension: Json, path: str, owner: _Owner) -> None:
        name = _element_name(text(extension, "url"), owner.type)
        if not name:  # somebody else's extension, such as backport-related-query
            return
        element = topic_element(owner.type, name, self._facts)
        if element is None:
            names = [each for each in self._facts.element_names(owner.type) if each not in _INHERITED]
            advice = f"{owner.type} has no element {name[:64]!r}: it has {', '.join(names)}."
            self._problems.add("structure", path, advice)
        elif UNTYPED.intersection(element.types):
            made: dict[str, Any] = {}
            expression = self._append(made, name, element, path, owner)
            self._nested(extension, path, _Owner(made, element.path, expression, owner.from_r4b))
            if owner.from_r4b and element.path == f"{TOPIC}.canFilterBy":
                _split_modifiers(made)
        else:
            self._value(extension, path, name, element, owner)

    def _value(self, extension: Json, path: str, name: str, element: Element, owner: _Owner) -> None:
        keys = [key for key in extension if key.startswith("value")]
        if len(keys) != 1 or children(extension, "extension"):
            self._problems.add("structure", path, f"Give one value[x] here: {' or '.join(element.types)}.")
            return
        path, value = f"{path}.{keys[0]}", extension[keys[0]]
        definition = self._facts.element("Extension", "value")
        type_ = value_type(keys[0], definition.types if definition else ())
        names = [typed for typed, wanted in typed_names(name, element) if type_ and fits(type_, wanted, self._facts)]
        if names and is_written_as(value, type_):
            self._append(value, names[0], element, path, owner)
        else:
            advice = f"{name} is a {' or '.join(element.types)}: write it as value[x] of that."
            self._problems.add("value", path, advice)

    def _append(self, value: Any, name: str, element: Element, path: str, owner: _Owner) -> str:
        """Put the value there; the R5 expression of where it stands now."""
        expression = f"{owner.expression}.{name}"
        if element.many:
            owner.members.setdefault(name, []).append(value)
            self.places.setdefault(expression, path)
            expression = f"{expression}[{len(owner.members[name]) - 1}]"
        elif name in owner.members:
            self._problems.add("duplicate", path, f"{name} stands here twice: write it once.")
        else:
            owner.members[name] = value
        self.places.setdefault(expression, path)
        return expression


def _element_name(url: str, type_: str) -> str:
    """The R5 element that an extension of ``type_`` stands for: by its bare name or its full URL; "" for neither."""
    if stem := STEM.match(url):
        path = url[stem.end() :]
        owner = type_.removeprefix(TOPIC) + "."
        name = path.removeprefix(owner) if path.startswith(owner) else path.removeprefix(".")
        return name.removesuffix("[x]") or path
    return "" if ":" in url else url.removesuffix("[x]")


def _split_modifiers(item: dict[str, Any]) -> None:
    """R4B lists comparators, and ``=`` for neither, among the modifiers (S-020)."""
    listed = [code for code in item.pop("modifier", []) if code != _PLAIN_EQUALITY]
    comparators = [code for code in listed if code in COMPARATORS]
    modifiers = [code for code in listed if code not in COMPARATORS]
    for name, codes in (("comparator", [*item.get("comparator", []), *comparators]), ("modifier", modifiers)):
        if codes:
            item[name] = codes
