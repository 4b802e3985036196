"""The topic catalogue: which SubscriptionTopics there are, and where each can be used (ruling 22).

Shipped topics and those of ``HUB_TOPICS_DIR`` are compiled for each FHIR version and offered on the bases where they
compile. A topic that was written through a base belongs to that base and wins there over a shipped one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart, Refused
from hub.fhir.json import read_json, write_json
from hub.fhir.topic_forms import in_r5_terms, read_filed_topic
from hub.fhir.value_sets import NO_VALUE_SETS, ValueSets
from hub.intake.parameter_book import ParameterBook
from hub.matching.classic import compile_criteria
from hub.matching.filters import CompiledFilters
from hub.matching.lint import WARNING, CheckedTopic, check_topic
from hub.matching.topics import CompiledTopic, compile_topic

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]{1,18}")

_PREFERENCE = {"active": 3, "unknown": 2, "draft": 1}
"""A canonical without version means the newest active topic; a draft only when there is no other (S-019)."""


@dataclass(frozen=True, slots=True)
class ListedTopic:
    """A topic of one base: how it is read there, and how it fires there. ``version`` is the resource's own version."""

    id: str
    resource: dict[str, Any]
    """The JSON as its author wrote it: in R5 terms for shipped topics, on R4 a Basic for its own."""
    compiled: CompiledTopic
    shipped: bool
    version: int = 1
    written: str = ""

    @property
    def topic(self) -> SubscriptionTopic:
        return self.compiled.topic

    def speaks_of(self, words: Iterable[str]) -> bool:
        """Does any of them stand in it? More than use them is found, never less."""
        text = write_json(self.resource).decode()
        return any(word in text for word in words)


@dataclass(slots=True)
class Catalogue:
    """All topics of all bases. Reading is by canonical URL; writing replaces one base's own topic."""

    _shipped: dict[FhirVersion, dict[str, ListedTopic]] = field(default_factory=dict)
    _own: dict[tuple[str, FhirVersion], dict[str, ListedTopic]] = field(default_factory=dict)
    _adapted: dict[tuple[str, FhirVersion], dict[str, ListedTopic]] = field(default_factory=dict)
    """Shipped topics made ready with the SearchParameters of one base."""

    def ship(self, version: FhirVersion, listed: ListedTopic) -> None:
        self._shipped.setdefault(version, {})[listed.id] = listed

    def adapt(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> None:
        """Put a shipped topic in place of itself, for one base."""
        self._adapted.setdefault((tenant, base), {})[listed.id] = listed

    def put(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> None:
        self._own.setdefault((tenant, base), {})[listed.id] = listed

    def with_own(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> Catalogue:
        """How the catalogue would be with this topic of a base; it stays as it is itself."""
        own = self._own.get((tenant, base), {}) | {listed.id: listed}
        return Catalogue(self._shipped, self._own | {(tenant, base): own}, self._adapted)

    def drop(self, tenant: str, base: FhirVersion, identity: str) -> None:
        self._own.get((tenant, base), {}).pop(identity, None)

    def own_names(self) -> list[str]:
        """Names (``tenant|base|id``) of the topics that were written through a base."""
        return [f"{tenant}|{base}|{identity}" for (tenant, base), own in self._own.items() for identity in own]

    def listed(self, tenant: str, base: FhirVersion) -> Iterator[ListedTopic]:
        """Every topic of a base, its own first; a shipped one is hidden by an own one of the same id or canonical."""
        own = self._own.get((tenant, base), {})
        canonicals = {listed.topic.canonical for listed in own.values()}
        yield from own.values()
        shipped = self._shipped.get(base, {}) | self._adapted.get((tenant, base), {})
        for identity, listed in shipped.items():
            if identity not in own and listed.topic.canonical not in canonicals:
                yield listed

    def by_id(self, tenant: str, base: FhirVersion, identity: str) -> ListedTopic | None:
        return next((listed for listed in self.listed(tenant, base) if listed.id == identity), None)

    def find(self, tenant: str, base: FhirVersion, canonical: str) -> ListedTopic | None:
        """The topic a Subscription means: ``url|version`` exactly, ``url`` alone the newest active one, and without an
        active one the next best (S-018, S-019)."""
        url, _, version = canonical.partition("|")
        candidates = [listed for listed in self.listed(tenant, base) if listed.topic.url == url]
        if version:
            return next((listed for listed in candidates if listed.topic.version == version), None)
        return max(candidates, key=_preference, default=None)


def _preference(listed: ListedTopic) -> tuple[int, tuple[tuple[int, int | str], ...]]:
    return _PREFERENCE.get(listed.topic.status, 0), _version_order(listed.topic.version)


def _version_order(version: str) -> tuple[tuple[int, int | str], ...]:
    """Numbers compare as numbers: 1.10 is newer than 1.9."""
    return tuple((1, int(part)) if _NUMBER.fullmatch(part) else (0, part) for part in version.split("."))


@dataclass(frozen=True, slots=True)
class TopicCompiler:
    """Makes topics ready with what this hub knows beside the standard. ``source_base_urls`` by base (ruling 15).

    Without a tenant it is the standard alone that says which search parameters there are.
    """

    source_base_urls: Mapping[FhirVersion, str]
    value_sets: ValueSets = NO_VALUE_SETS
    book: ParameterBook = field(default_factory=ParameterBook)

    def compile(self, topic: SubscriptionTopic, base: FhirVersion, tenant: str = "") -> CompiledTopic:
        """Raises Unprocessable."""
        return compile_topic(
            topic,
            base,
            source_base_url=self.source_base_urls[base],
            facts=self.book.facts(tenant, base),
            value_sets=self.value_sets,
        )

    def check(self, topic: SubscriptionTopic, base: FhirVersion, tenant: str = "") -> CheckedTopic:
        """The same, with what the lint has to say."""
        return check_topic(
            topic,
            base,
            source_base_url=self.source_base_urls[base],
            facts=self.book.facts(tenant, base),
            value_sets=self.value_sets,
        )

    def compile_criteria(
        self, criteria: str, base: FhirVersion, tenant: str = ""
    ) -> tuple[CompiledTopic, CompiledFilters]:
        """The search of a classic Subscription. Raises Unprocessable at Subscription.criteria."""
        return compile_criteria(
            criteria,
            base,
            source_base_url=self.source_base_urls[base],
            facts=self.book.facts(tenant, base),
            value_sets=self.value_sets,
        )


def load_shipped(catalogue: Catalogue, extra: Path | None, compiler: TopicCompiler) -> None:
    """Read every topic file and offer it where it compiles. Raises CannotStart when a file fits nowhere."""
    for path in sorted(_shipped_folder().iterdir(), key=lambda path: path.name):
        if path.name.endswith(".json"):
            _ship(catalogue, path, compiler)
    for path in sorted(extra.glob("*.json")) if extra else ():
        _ship(catalogue, path, compiler)


def _shipped_folder() -> Traversable:
    installed = resources.files("hub") / "_topics"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "topics"


def _ship(catalogue: Catalogue, path: Traversable | Path, compiler: TopicCompiler) -> None:
    try:
        resource = read_json(path.read_bytes())
        topic = read_filed_topic(resource)
        resource = in_r5_terms(resource)
    except Refused as problem:
        raise CannotStart(f"the topic file {path.name} cannot be read: {problem}") from problem
    problems: list[str] = []
    for version in FhirVersion:
        try:
            checked = compiler.check(topic, version)
            compiled = checked.accepted()
        except Refused as problem:
            problems.append(f"{version}: {problem}")
            continue
        _log_warnings(topic, version, checked)
        identity = str(resource.get("id") or path.name.removesuffix(".json"))
        catalogue.ship(version, ListedTopic(identity, resource, compiled, shipped=True))
    if len(problems) == len(FhirVersion):
        raise CannotStart(f"the topic file {path.name} fits no FHIR version: {'; '.join(problems)}")
    for problem_text in problems:
        log.info("topic not offered on one base", extra={"topic": topic.url, "reason": problem_text})


def _log_warnings(topic: SubscriptionTopic, version: FhirVersion, checked: CheckedTopic) -> None:
    """``hub topics check`` tells the hints too."""
    for issue in checked.notes:
        if issue.severity == WARNING:
            told = {"topic": topic.url, "base": version.value, "element": issue.expression, "reason": issue.diagnostics}
            log.warning("topic has no effect in part", extra=told)
