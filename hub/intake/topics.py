"""The topic catalogue: which SubscriptionTopics there are, and where each can be used (ruling 22).

Shipped topics and those of ``HUB_TOPICS_DIR`` are compiled for each FHIR version and offered on the bases where they
compile. A topic that was written through a base belongs to that base and wins there over a shipped one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart, Refused
from hub.fhir.json import read_json, write_json
from hub.fhir.newest import Rank, preference
from hub.fhir.topic_forms import in_r5_terms, read_filed_topic
from hub.intake.parameter_book import ParameterBook
from hub.intake.value_set_book import ValueSetBook
from hub.matching.classic import compile_criteria
from hub.matching.filters import CompiledFilters
from hub.matching.lint import WARNING, CheckedTopic, check_topic
from hub.matching.topics import CompiledTopic, compile_topic

log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class SetAside:
    """A topic that was written through a base and cannot be made ready now."""

    topic: SubscriptionTopic
    reason: str


@dataclass(slots=True)
class Catalogue:
    """All topics of all bases. Reading is by canonical URL; writing replaces one base's own topic."""

    _shipped: dict[FhirVersion, dict[str, ListedTopic]] = field(default_factory=dict)
    _own: dict[tuple[str, FhirVersion], dict[str, ListedTopic]] = field(default_factory=dict)
    _adapted: dict[tuple[str, FhirVersion], dict[str, ListedTopic]] = field(default_factory=dict)
    """Shipped topics made ready with the SearchParameters and ValueSets of one base."""
    _set_aside: dict[tuple[str, FhirVersion], dict[str, SetAside]] = field(default_factory=dict)

    def ship(self, version: FhirVersion, listed: ListedTopic) -> None:
        self._shipped.setdefault(version, {})[listed.id] = listed

    def adapt(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> None:
        """Put a shipped topic in place of itself, for one base."""
        self._adapted.setdefault((tenant, base), {})[listed.id] = listed

    def put(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> None:
        self.drop(tenant, base, listed.id)
        self._own.setdefault((tenant, base), {})[listed.id] = listed

    def with_own(self, tenant: str, base: FhirVersion, listed: ListedTopic) -> Catalogue:
        """How the catalogue would be with this topic of a base; it stays as it is itself."""
        own = self._own.get((tenant, base), {}) | {listed.id: listed}
        return Catalogue(self._shipped, self._own | {(tenant, base): own}, self._adapted)

    def drop(self, tenant: str, base: FhirVersion, identity: str) -> None:
        self._own.get((tenant, base), {}).pop(identity, None)
        self._set_aside.get((tenant, base), {}).pop(identity, None)

    def set_aside(self, tenant: str, base: FhirVersion, identity: str, aside: SetAside) -> None:
        """Keep an own topic that cannot be used now, so that no other is taken for it."""
        self.drop(tenant, base, identity)
        self._set_aside.setdefault((tenant, base), {})[identity] = aside

    def url_of(self, tenant: str, base: FhirVersion, identity: str) -> str:
        """Of a topic, or one that was set aside; "" when there is none."""
        aside = self._set_aside.get((tenant, base), {}).get(identity)
        listed = self.by_id(tenant, base, identity)
        return aside.topic.url if aside else listed.topic.url if listed else ""

    def why_not(self, tenant: str, base: FhirVersion, canonical: str) -> str:
        """Why the topic that a Subscription means cannot be used; "" when it can, or is not known."""
        url, _, version = canonical.partition("|")
        meant = [each for each in self._set_aside.get((tenant, base), {}).values() if each.topic.url == url]
        if version:
            return next((each.reason for each in meant if each.topic.version == version), "")
        aside = max(meant, key=lambda each: _preference(each.topic), default=None)
        if aside is None:
            return ""
        found = self.find(tenant, base, canonical)
        if found and _preference(found.topic) > _preference(aside.topic):
            return ""
        return aside.reason

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
        return max(candidates, key=lambda listed: _preference(listed.topic), default=None)


def _preference(topic: SubscriptionTopic) -> Rank:
    return preference(topic.status, topic.version)


@dataclass(frozen=True, slots=True)
class TopicCompiler:
    """Makes topics ready with what this hub knows beside the standard. ``source_base_urls`` by base (ruling 15).

    Without a tenant the standard alone says which search parameters there are, and the folder alone which ValueSets.
    """

    source_base_urls: Mapping[FhirVersion, str]
    value_sets: ValueSetBook = field(default_factory=ValueSetBook)
    book: ParameterBook = field(default_factory=ParameterBook)

    def compile(self, topic: SubscriptionTopic, base: FhirVersion, tenant: str = "") -> CompiledTopic:
        """Raises Unprocessable."""
        return compile_topic(
            topic,
            base,
            source_base_url=self.source_base_urls[base],
            facts=self.book.facts(tenant, base),
            value_sets=self.value_sets.of(tenant, base),
        )

    def check(self, topic: SubscriptionTopic, base: FhirVersion, tenant: str = "") -> CheckedTopic:
        """The same, with what the lint has to say."""
        return check_topic(
            topic,
            base,
            source_base_url=self.source_base_urls[base],
            facts=self.book.facts(tenant, base),
            value_sets=self.value_sets.of(tenant, base),
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
            value_sets=self.value_sets.of(tenant, base),
        )


def load_shipped(
    catalogue: Catalogue, extra: Path | None, compiler: TopicCompiler, tenants: Iterable[str] = ()
) -> None:
    """Read every topic file and offer it where it compiles. Raises CannotStart when a file fits nowhere.

    The bases of ``tenants`` get each of them with the ValueSets that are, or will be, written there.
    """
    for path in sorted(_shipped_folder().iterdir(), key=lambda path: path.name):
        if path.name.endswith(".json"):
            _ship(catalogue, path, compiler)
    for path in sorted(extra.glob("*.json")) if extra else ():
        _ship(catalogue, path, compiler)
    for tenant in tenants:
        for base in FhirVersion:
            for listed in list(catalogue.listed(tenant, base)):
                compiled = compiler.compile(listed.topic, base, tenant)
                catalogue.adapt(tenant, base, replace(listed, compiled=compiled))


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
