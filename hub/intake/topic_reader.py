"""Reading the topics that were written through a base from the store into the catalogue, ready or set aside."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Refused
from hub.fhir.json import read_json
from hub.fhir.topic_forms import read_written_topic
from hub.intake.held_value_sets import Changed
from hub.intake.topics import Catalogue, ListedTopic, SetAside, TopicCompiler
from hub.intake.written import home_of, name_of
from hub.store.registry import Registry as RegistryLog
from hub.store.registry import TopicRecord

log = logging.getLogger(__name__)

ASKS_VALUE_SETS = ("in=", "memberOf")
"""In every queryCriteria with ``:in`` or ``:not-in`` and every expression that asks a ValueSet."""


class TopicReader:
    def __init__(self, catalogue: Catalogue, registry_log: RegistryLog, compiler: TopicCompiler) -> None:
        self.unusable: dict[str, str] = {}
        """Those that are stored and cannot be used now, by name (``tenant|base|id``), with the reason."""
        self._catalogue = catalogue
        self._log = registry_log
        self._compiler = compiler

    async def read(self, name: str) -> set[str]:
        """Take one in as it is stored now; the urls by which it is meant, before and after."""
        tenant, base, identity = home_of(name)
        before = self._catalogue.url_of(tenant, base, identity)
        found = await self._log.topic(name)
        version, alive, record = found if found else (0, False, None)
        self.unusable.pop(name, None)
        self._catalogue.drop(tenant, base, identity)
        if record and alive:
            self._take_in(name, version, record)
        return {url for url in (before, self._catalogue.url_of(tenant, base, identity)) if url}

    def _take_in(self, name: str, version: int, record: TopicRecord) -> None:
        tenant, base, identity = home_of(name)
        topic: SubscriptionTopic | None = None
        try:
            resource = read_json(record.resource.encode())
            topic = read_written_topic(resource, base)
            compiled = self._compiler.compile(topic, base, tenant)
        except Refused as problem:  # accepted by another release of the hub, or it asks a ValueSet that is gone
            log.error("a stored topic cannot be compiled", extra={"topic": name, "reason": str(problem)})
            self.unusable[name] = str(problem)
            if topic:
                self._catalogue.set_aside(tenant, base, identity, SetAside(topic, str(problem)))
            return
        self._catalogue.put(tenant, base, ListedTopic(identity, resource, compiled, False, version, record.written))

    def concerned_by(self, changed: Changed) -> list[str]:
        """Names of those that are ready no more, or may be ready now, because of ValueSets."""
        return [name for (tenant, base), urls in changed.items() if urls for name in self._concerned(tenant, base)]

    def _concerned(self, tenant: str, base: FhirVersion) -> Iterator[str]:
        """Shipped topics ask the ValueSets of the folder, which stay."""
        for listed in self._catalogue.listed(tenant, base):
            if not listed.shipped and listed.speaks_of(ASKS_VALUE_SETS) and not self._compiles(listed, base, tenant):
                yield name_of(tenant, base, listed.id)
        yield from (name for name in self.unusable if home_of(name)[:2] == (tenant, base))

    def _compiles(self, listed: ListedTopic, base: FhirVersion, tenant: str) -> bool:
        try:
            self._compiler.compile(listed.topic, base, tenant)
        except Refused:
            return False
        return True
