"""SubscriptionTopic resources of R5 and R4B, read into the domain's words (S-018…S-059).

R4 knows no such resource: topics for R4 are written as R5 JSON files. Whether a topic can be computed on a base
(do its types, parameters and expressions exist there?) is for ``hub.matching`` to say; here only its form is judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TypeVar

from hub.domain.change import EventCode, Interaction
from hub.domain.topic import (
    STRUCTURE_DEFINITION,
    CanFilterBy,
    EventTrigger,
    NotificationShape,
    QueryCriteria,
    ResourceTrigger,
    SubscriptionTopic,
)
from hub.domain.versions import FhirVersion
from hub.errors import Malformed
from hub.fhir.reading import Json, Problems, child, children, refuse_modifiers, require_resource_type, text, texts
from hub.fhir.structure import structural_issues

CANONICAL_URL = re.compile(r"(?:https?://|urn:)[^\s|#?]+")
PARAMETER_NAME = re.compile(r"[^\s:&=?]+")
FILTER_NAME = re.compile(rf"(?:[^\s:&=?.]+:[A-Z][A-Za-z]+\.)?{PARAMETER_NAME.pattern}")
"""As a Subscription may write it: a chain with the type of its target, ``patient:Patient.birthdate``."""
TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}")
STATUSES = ("draft", "active", "retired", "unknown")
COMPARATORS = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_INTERACTIONS = {code.value: code for code in (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE)}
_RESULTS = {"test-passes": True, "test-fails": False}
MODIFIERS = (
    *("missing", "exact", "contains", "not", "text", "in", "not-in", "below", "above", "type"),
    *("identifier", "of-type", "code-text", "text-advanced", "iterate"),
)
_PLAIN_EQUALITY = "="  # R4B's way to list "no modifier" (S-020)
_R4B_MODIFIERS = (_PLAIN_EQUALITY, "above", "below", "in", "not-in", "of-type")

Read = TypeVar("Read")


def read_topic(resource: Json, version: FhirVersion) -> SubscriptionTopic:
    """The topic that ``resource``, written as FHIR ``version`` (R5 or R4B) defines it, describes.

    Raises Malformed (not built as the version says) or Unprocessable (well built, but unusable), all problems together.
    """
    require_resource_type(resource, "SubscriptionTopic")
    if version is FhirVersion.R4:
        raise Malformed("FHIR R4 has no SubscriptionTopic: write the topic as R4B or R5.", code="not-supported")
    problems = Problems(structural_issues(resource, version))
    refuse_modifiers(resource, "SubscriptionTopic", problems)
    topic = _TopicReader(version, problems).topic(resource)
    problems.raise_if_any()
    return topic


class _TopicReader:
    """Reads one topic; what it cannot use it notes in ``problems`` and reads as empty."""

    def __init__(self, version: FhirVersion, problems: Problems) -> None:
        self._version = version
        self._problems = problems

    def topic(self, resource: Json) -> SubscriptionTopic:
        root = "SubscriptionTopic"
        return SubscriptionTopic(
            url=self._url(resource, root),
            version=text(resource, "version"),
            status=self._status(resource, root),
            title=text(resource, "title"),
            derived_from=tuple(filter(None, texts(resource, "derivedFrom"))),
            effective_until=text(child(resource, "effectivePeriod"), "end"),
            resource_triggers=_each(resource, root, "resourceTrigger", self._trigger),
            event_triggers=_each(resource, root, "eventTrigger", self._event_trigger),
            can_filter_by=_each(resource, root, "canFilterBy", self._filter),
            notification_shapes=_each(resource, root, "notificationShape", self._shape),
            version_algorithm=text(resource, "versionAlgorithmString")
            or text(child(resource, "versionAlgorithmCoding"), "code"),
        )

    def _url(self, resource: Json, path: str) -> str:
        url = text(resource, "url")
        if not CANONICAL_URL.fullmatch(url):
            self._problems.add(
                "required" if not url else "value",
                f"{path}.url",
                "Give the canonical URL of the topic, http(s):// or urn:, without |version (write that into version).",
            )
        return url

    def _status(self, resource: Json, path: str) -> str:
        if not text(resource, "status"):
            self._problems.add("required", f"{path}.status", f"Give a status: one of {', '.join(STATUSES)}.")
        return self._code(resource, "status", path, STATUSES)

    def _trigger(self, trigger: Json, path: str) -> ResourceTrigger:
        interactions = texts(trigger, "supportedInteraction")
        self._codes(interactions, f"{path}.supportedInteraction", _INTERACTIONS)
        known = frozenset(_INTERACTIONS[code] for code in interactions if code in _INTERACTIONS)
        return ResourceTrigger(
            resource=self._type(trigger, path, required=True),
            interactions=known or frozenset(_INTERACTIONS.values()),
            query=self._query(child(trigger, "queryCriteria"), f"{path}.queryCriteria"),
            fhirpath=text(trigger, "fhirPathCriteria") or None,
            description=text(trigger, "description"),
        )

    def _event_trigger(self, trigger: Json, path: str) -> EventTrigger:
        codings = children(child(trigger, "event"), "coding")
        if "event" not in trigger:
            self._problems.add("required", f"{path}.event", "Say with a coding what happens: system and code.")
        codes = tuple(EventCode(text(each, "system"), text(each, "code")) for each in codings if text(each, "code"))
        return EventTrigger(self._type(trigger, path, required=True), codes)

    def _query(self, query: Json, path: str) -> QueryCriteria | None:
        for name in ("resultForCreate", "resultForDelete"):
            self._code(query, name, path, _RESULTS)
        previous, current = text(query, "previous") or None, text(query, "current") or None
        if not query:
            return None
        return QueryCriteria(
            previous=previous,
            current=current,
            result_for_create=_RESULTS.get(text(query, "resultForCreate")),
            result_for_delete=_RESULTS.get(text(query, "resultForDelete")),
            require_both=self._flag(query, "requireBoth", path),
        )

    def _filter(self, item: Json, path: str) -> CanFilterBy:
        parameter = text(item, "filterParameter")
        if not PARAMETER_NAME.fullmatch(parameter):
            self._problems.add(
                "value" if parameter else "required",
                f"{path}.filterParameter",
                "Give the bare name of the filter, such as patient or patient.gender, and list modifiers in modifier.",
            )
        comparators, modifiers = self._comparators_and_modifiers(item, path)
        return CanFilterBy(
            parameter=parameter,
            resource=self._type(item, path),
            definition=text(item, "filterDefinition"),
            comparators=frozenset(comparators),
            modifiers=frozenset(modifiers),
        )

    def _comparators_and_modifiers(self, item: Json, path: str) -> tuple[set[str], set[str]]:
        """R5 has a list for each; R4B lists both, and ``=`` for neither, as modifiers (S-020)."""
        comparators, modifiers = set(texts(item, "comparator")), set(texts(item, "modifier"))
        self._codes(comparators, f"{path}.comparator", COMPARATORS)
        if self._version is FhirVersion.R4B:
            self._codes(modifiers, f"{path}.modifier", (*COMPARATORS, *_R4B_MODIFIERS))
            return modifiers.intersection(COMPARATORS), modifiers.difference(COMPARATORS, {_PLAIN_EQUALITY})
        self._codes(modifiers, f"{path}.modifier", MODIFIERS)
        return comparators, modifiers

    def _shape(self, shape: Json, path: str) -> NotificationShape:
        return NotificationShape(
            resource=self._type(shape, path, required=True),
            includes=_directives(texts(shape, "include")),
            rev_includes=_directives(texts(shape, "revInclude")),
        )

    def _type(self, owner: Json, path: str, *, required: bool = False) -> str:
        """The bare type name of ``resource``, written as such or as the URL of its StructureDefinition (S-025)."""
        written = text(owner, "resource")
        name = written.removeprefix(STRUCTURE_DEFINITION)
        if not written and required:
            self._problems.add("required", f"{path}.resource", "Name the resource type, such as Encounter.")
        elif written and not TYPE_NAME.fullmatch(name):
            self._problems.add(
                "not-supported",
                f"{path}.resource",
                f"The hub does not know the profile {written!r}: name the resource type, such as Encounter or "
                f"{STRUCTURE_DEFINITION}Encounter.",
            )
        return name

    def _flag(self, owner: Json, name: str, path: str) -> bool:
        if not isinstance(owner.get(name, False), bool):
            self._problems.add("value", f"{path}.{name}", "Write true or false, without quotes.")
        return owner.get(name) is True

    def _code(self, owner: Json, name: str, path: str, known: Collection[str]) -> str:
        self._codes([text(owner, name)] if text(owner, name) else [], f"{path}.{name}", known)
        return text(owner, name)

    def _codes(self, codes: Collection[str], path: str, known: Collection[str]) -> None:
        unknown = sorted(code or "nothing" for code in codes if code not in known)
        if unknown:
            self._problems.add(
                "code-invalid", path, f"{', '.join(unknown)} cannot stand here: use some of {', '.join(known)}."
            )


def _each(owner: Json, path: str, name: str, read: Callable[[Json, str], Read]) -> tuple[Read, ...]:
    return tuple(read(item, f"{path}.{name}[{index}]") for index, item in enumerate(children(owner, name)))


def _directives(includes: list[str]) -> tuple[str, ...]:
    """Includes without what some topics append to them (``&iterate=…``), which is ignored (S-055)."""
    return tuple(include.partition("&")[0] for include in includes if include)
