"""The life of a SubscriptionTopic that is written through a base: publish, replace, withdraw, read, list.

A topic is published only when the hub can decide it exactly and every Subscription that uses it still fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hub.domain.subscription import FilterBy
from hub.domain.versions import FhirVersion
from hub.errors import (
    Conflict,
    Gone,
    Issue,
    NotFound,
    NotOffered,
    Refused,
    Unprocessable,
)
from hub.fhir.json import read_json
from hub.fhir.topic_forms import read_written_topic, told_as_written, topic_type, write_topic_for
from hub.intake.known import Registered
from hub.intake.offers import new_id
from hub.intake.registry import Registry
from hub.intake.topic_life import check_derivation
from hub.intake.topics import Catalogue, ListedTopic, TopicCompiler
from hub.intake.written import (
    ShownDefinition,
    check_same_id,
    name_of,
    present_instant,
    refuse_unless_written,
    shown_definition,
)
from hub.matching.filters import compile_filters
from hub.matching.topics import CompiledTopic
from hub.store.registry import Registry as RegistryLog
from hub.store.registry import TopicRecord

SHIPPED_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""lastUpdated of the topics that come with the hub."""


class TopicService:
    """SubscriptionTopics of the R4B and R5 bases, and Basics of the R4 base that stand for topics."""

    def __init__(self, registry: Registry, log: RegistryLog, compiler: TopicCompiler) -> None:
        self._registry = registry
        self._log = log
        self._compiler = compiler

    async def publish(self, tenant: str, base: FhirVersion, raw: bytes, resource: Mapping[str, Any]) -> ShownDefinition:
        return await self._write(tenant, base, new_id(), raw, resource, expected_version=0)

    async def replace(
        self,
        tenant: str,
        base: FhirVersion,
        identity: str,
        raw: bytes,
        resource: Mapping[str, Any],
        if_match: int | None,
    ) -> ShownDefinition:
        """Update, or create with the client's id. The id of a shipped topic makes it the base's own."""
        check_same_id(resource, identity, topic_type(base))
        return await self._write(tenant, base, identity, raw, resource, expected_version=if_match)

    async def withdraw(self, tenant: str, base: FhirVersion, identity: str, if_match: int | None) -> None:
        """Delete; refused while Subscriptions use it, because they would fall silent."""
        await self._registry.refresh()
        listed = self._registry.catalogue.by_id(tenant, base, identity)
        if listed and listed.shipped:
            raise NotOffered(f"{topic_type(base)}/{identity} comes with the hub and cannot be deleted")
        if listed and (users := self._registry.using(tenant, base, listed)):
            raise Conflict(f"{len(users)} Subscriptions use this topic, for instance Subscription/{users[0].key.id}")
        withdrawn = await self._log.withdraw(name_of(tenant, base, identity), present_instant(), if_match)
        refuse_unless_written(withdrawn, f"{topic_type(base)}/{identity}")
        await self._registry.refresh()

    async def knows(self, tenant: str, base: FhirVersion, identity: str) -> bool:
        """Whether this id is, or once was, a topic's: then it is never an ordinary resource's (S-065)."""
        await self._registry.refresh()
        if self._registry.catalogue.by_id(tenant, base, identity):
            return True
        return await self._log.topic(name_of(tenant, base, identity)) is not None

    async def read(self, tenant: str, base: FhirVersion, identity: str, version: int | None = None) -> ShownDefinition:
        await self._registry.refresh()
        found = await self._log.topic(name_of(tenant, base, identity), version)
        if found:
            number, alive, record = found
            if not alive:
                raise Gone(f"{topic_type(base)}/{identity} was deleted")
            resource = read_json(record.resource.encode())
            return _shown(base, identity, number, datetime.fromisoformat(record.written), resource)
        listed = self._registry.catalogue.by_id(tenant, base, identity)
        if listed is None or version not in (None, listed.version):
            raise NotFound(f"{topic_type(base)}/{identity} is not known here")
        return self.show(base, listed)

    async def shown(self, tenant: str, base: FhirVersion) -> list[ShownDefinition]:
        """All topics of a base as they go out, shipped ones included, by id."""
        await self._registry.refresh()
        listed = sorted(self._registry.catalogue.listed(tenant, base), key=lambda listed: listed.id)
        return [self.show(base, each) for each in listed]

    @staticmethod
    def show(base: FhirVersion, listed: ListedTopic) -> ShownDefinition:
        written = datetime.fromisoformat(listed.written) if listed.written else SHIPPED_SINCE
        resource = write_topic_for(base, listed.resource) if listed.shipped else listed.resource
        return _shown(base, listed.id, listed.version, written, resource)

    async def _write(
        self,
        tenant: str,
        base: FhirVersion,
        identity: str,
        raw: bytes,
        resource: Mapping[str, Any],
        *,
        expected_version: int | None,
    ) -> ShownDefinition:
        await self._registry.refresh()
        compiled, notes = self.checked(tenant, resource, base)
        self._check_derivation(tenant, base, resource, compiled)
        self._check_canonical(tenant, base, identity, compiled)
        self._check_users(tenant, base, ListedTopic(identity, dict(resource), compiled, shipped=False))
        record = TopicRecord(raw.decode("utf-8-sig"), present_instant())
        published = await self._log.publish(name_of(tenant, base, identity), record, expected_version)
        refuse_unless_written(published, f"{topic_type(base)}/{identity}")
        await self._registry.refresh()
        written = datetime.fromisoformat(record.written)
        shown = _shown(base, identity, published.version, written, dict(resource))
        return replace(shown, created=published.created, notes=notes)

    def checked(
        self, tenant: str, resource: Mapping[str, Any], base: FhirVersion
    ) -> tuple[CompiledTopic, tuple[Issue, ...]]:
        """The topic made ready, and what the lint has to say beside; raises Unprocessable with all of its errors."""
        topic = read_written_topic(dict(resource), base)
        checked = self._compiler.check(topic, base, tenant)
        try:
            return checked.accepted(), told_as_written(resource, base, checked.notes)
        except Unprocessable as problem:
            raise Unprocessable(*told_as_written(resource, base, problem.issues)) from problem

    def _check_derivation(
        self, tenant: str, base: FhirVersion, resource: Mapping[str, Any], compiled: CompiledTopic
    ) -> None:
        catalogue = self._registry.catalogue
        found = (catalogue.find(tenant, base, canonical) for canonical in compiled.topic.derived_from)
        try:
            check_derivation(compiled.topic, [listed.topic for listed in found if listed])
        except Unprocessable as problem:
            raise Unprocessable(*told_as_written(resource, base, problem.issues)) from problem

    def _check_canonical(self, tenant: str, base: FhirVersion, identity: str, compiled: CompiledTopic) -> None:
        """Two topics of one base with the same url and version would leave open which one a Subscription means."""
        canonical = compiled.topic.canonical
        for listed in self._registry.catalogue.listed(tenant, base):
            if listed.topic.canonical == canonical and listed.id != identity and not listed.shipped:
                raise Conflict(
                    f"{topic_type(base)}/{listed.id} has the canonical {canonical} already; update that one, "
                    "or give this one another version",
                    expression="" if base is FhirVersion.R4 else "SubscriptionTopic.version",
                )

    def _check_users(self, tenant: str, base: FhirVersion, topic: ListedTopic) -> None:
        """A write must not silence a Subscription: each that means this topic, now or then, must compile under it.

        A new topic can take the place of another: of a shipped one with its canonical, or of an older version.
        """
        catalogue = self._registry.catalogue
        present = catalogue.by_id(tenant, base, topic.id)
        urls = {topic.topic.url, present.topic.url if present else topic.topic.url}
        planned = catalogue.with_own(tenant, base, topic)
        for registered in self._registry.all_of(tenant, base):
            if registered.topic.partition("|")[0] in urls:
                filters = self._registry.filters_of(str(registered.key))
                if filters is not None:
                    _check_served(registered, filters, planned)


def _check_served(registered: Registered, filters: tuple[FilterBy, ...], planned: Catalogue) -> None:
    key = registered.key
    listed = planned.find(key.tenant, key.base, registered.topic)
    if listed is None:
        raise Conflict(f"Subscription/{key.id} uses {registered.topic}, which would be gone")
    try:
        compile_filters(filters, listed.compiled)
    except Refused as problem:
        raise Conflict(f"Subscription/{key.id} would no longer fit: {problem}") from problem


def _shown(
    base: FhirVersion, identity: str, version: int, last_updated: datetime, resource: Mapping[str, Any]
) -> ShownDefinition:
    return shown_definition(topic_type(base), identity, version, last_updated, resource)
