"""The life of a SearchParameter that is written through a base: publish, replace, withdraw, read, list.

It is taken only when its expression can be evaluated on every type that it is for, and when it leaves alone what the
standard defines. One that a topic uses is neither changed nor deleted: what the topic means would change unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from hub.domain.subscription import FilterBy
from hub.domain.versions import FhirVersion
from hub.errors import Conflict, Gone, NotFound, Refused, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter, definitions
from hub.fhir.json import read_json
from hub.fhir.search_parameters import ROOT, is_in_use_here, read_search_parameter
from hub.intake.known import Registered
from hub.intake.offers import new_id
from hub.intake.parameter_book import ListedParameter, ParameterBook, facts_with
from hub.intake.registry import Registry
from hub.intake.topics import ListedTopic
from hub.intake.written import (
    ShownDefinition,
    check_same_id,
    name_of,
    present_instant,
    refuse_unless_written,
    shown_definition,
)
from hub.matching.classic import conditions_of
from hub.matching.search.extraction import extraction
from hub.matching.search.parameters import resolve_parameter
from hub.matching.topics import compile_topic, filter_parameter
from hub.reading.definitions import read_definition
from hub.store.registry import NewsKind, TopicRecord
from hub.store.registry import Registry as RegistryLog

KIND = NewsKind.SEARCH_PARAMETER
MOST_NAMED = 5
"""Of those that use a parameter, in one refusal."""


class SearchParameterService:
    """SearchParameters of all bases."""

    def __init__(self, registry: Registry, log: RegistryLog, book: ParameterBook) -> None:
        self._registry = registry
        self._log = log
        self._book = book

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
        """Update, or create with the client's id."""
        check_same_id(resource, identity, ROOT)
        return await self._write(tenant, base, identity, raw, resource, expected_version=if_match)

    async def withdraw(self, tenant: str, base: FhirVersion, identity: str, if_match: int | None) -> None:
        """Delete; refused while a topic uses it."""
        await self._registry.refresh()
        await self._check_unused(tenant, base, identity)
        withdrawn = await self._log.withdraw(name_of(tenant, base, identity), present_instant(), if_match, KIND)
        refuse_unless_written(withdrawn, f"{ROOT}/{identity}")
        await self._registry.refresh()

    async def read(self, tenant: str, base: FhirVersion, identity: str, version: int | None = None) -> ShownDefinition:
        found = await self._log.written(KIND, name_of(tenant, base, identity), version)
        if found is None:
            raise NotFound(f"{ROOT}/{identity} is not known here")
        number, alive, record = found
        if not alive:
            raise Gone(f"{ROOT}/{identity} was deleted")
        resource = read_json(record.resource.encode())
        return shown_definition(ROOT, identity, number, datetime.fromisoformat(record.written), resource)

    async def shown(self, tenant: str, base: FhirVersion) -> list[ShownDefinition]:
        """All of a base, by id."""
        await self._registry.refresh()
        found = sorted(self._book.listed(tenant, base), key=lambda listed: listed.id)
        return [
            shown_definition(ROOT, each.id, each.version, datetime.fromisoformat(each.written), each.resource)
            for each in found
        ]

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
        parameter = read_search_parameter(resource, base)
        await self._registry.refresh()
        self._check_place(tenant, base, identity, parameter)
        check_evaluable(parameter, self._book.facts(tenant, base))
        present = self._book.by_id(tenant, base, identity)
        if present and (present.parameter != parameter or not is_in_use_here(resource)):
            await self._check_unused(tenant, base, identity)
        record = TopicRecord(raw.decode("utf-8-sig"), present_instant())
        published = await self._log.publish(name_of(tenant, base, identity), record, expected_version, KIND)
        refuse_unless_written(published, f"{ROOT}/{identity}")
        await self._registry.refresh()
        written = datetime.fromisoformat(record.written)
        shown = shown_definition(ROOT, identity, published.version, written, resource)
        return replace(shown, created=published.created)

    def _check_place(self, tenant: str, base: FhirVersion, identity: str, parameter: SearchParameter) -> None:
        """One url and one code on a type mean one thing."""
        standard = definitions(base)
        if standard.search_parameter_by_url(parameter.url):
            raise Conflict(f"{parameter.url} is the standard's; give yours another url", expression=f"{ROOT}.url")
        for type_ in parameter.base:
            if _types_with(standard, type_, parameter.code):
                raise Conflict(
                    f"the standard defines '{parameter.code}' for {type_}; take another code", expression=f"{ROOT}.code"
                )
        for other in self._book.listed(tenant, base):
            if other.id == identity:
                continue
            if other.parameter.url == parameter.url:
                raise Conflict(f"{ROOT}/{other.id} has this url already; update that one", expression=f"{ROOT}.url")
            if other.parameter.code == parameter.code and _overlap(standard, other.parameter, parameter):
                raise Conflict(
                    f"{ROOT}/{other.id} defines '{parameter.code}' for the same type; take another code",
                    expression=f"{ROOT}.code",
                )

    async def _check_unused(self, tenant: str, base: FhirVersion, identity: str) -> None:
        """Raises Conflict naming what would mean something else, or nothing, without it."""
        listed = self._book.by_id(tenant, base, identity)
        if listed is None:
            return
        rest = (each for each in self._book.listed(tenant, base) if each.id != identity)
        without = facts_with(base, rest)
        topics = [each for each in self._registry.catalogue.listed(tenant, base) if _depends(each, without)]
        others = [each for each in self._book.listed(tenant, base) if _is_part_of(listed, each)]
        classic = await self._searching_by(tenant, base, without)
        if not topics and not others and not classic:
            return
        names = [each.topic.canonical for each in topics] + [f"{ROOT}/{each.id}" for each in others]
        users = [*classic, *(each for topic in topics for each in self._registry.using(tenant, base, topic))]
        names += [f"Subscription/{each.key.id}" for each in users]
        further = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise Conflict(
            f"'{listed.parameter.code}' is used by {', '.join(names[:MOST_NAMED])}{further}; "
            "change those first, or write a SearchParameter with another url and code"
        )

    async def _searching_by(self, tenant: str, base: FhirVersion, without: Definitions) -> list[Registered]:
        """The classic Subscriptions whose search would be refused."""
        classic = [each for each in self._registry.all_of(tenant, base) if not each.topic]
        asked = {str(each.key): self._registry.filters_of(str(each.key)) for each in classic}
        unmatched = [each for each in classic if asked[str(each.key)] is None]
        wanted = [(str(each.key), each.definition_version) for each in unmatched]
        for each, definition in zip(unmatched, await self._registry.definitions_of(wanted), strict=True):
            if definition:
                with suppress(Refused):  # what cannot be read asks for nothing
                    asked[str(each.key)] = conditions_of(read_definition(base, definition).criteria)
        return [each for each in classic if _is_refused(asked[str(each.key)] or (), without)]


def check_evaluable(parameter: SearchParameter, facts: Definitions) -> None:
    """Raises Unprocessable unless it can be evaluated on every type that it is for."""
    for type_ in parameter.base:
        try:
            resolve_parameter(type_, parameter, facts)
            extraction(parameter, type_, facts, "")
        except Refused as problem:
            raise Unprocessable(
                *(replace(issue, expression=f"{ROOT}.expression") for issue in problem.issues)
            ) from problem


def _depends(listed: ListedTopic, without: Definitions) -> bool:
    """Would the topic be refused, lose a filter, or filter by something else?"""
    topic, present = listed.topic, listed.compiled
    try:
        planned = compile_topic(
            topic,
            present.version,
            source_base_url=present.source_base_url,
            facts=without,
            value_sets=present.value_sets,
        )
    except Refused:
        return True
    if planned.warnings != present.warnings:
        return True
    return any(
        filter_parameter(entry, type_, without) != filter_parameter(entry, type_, present.facts)
        for entry in topic.can_filter_by
        for type_ in present.focus_types
    )


def _is_refused(conditions: Iterable[FilterBy], facts: Definitions) -> bool:
    """Does any of them ask for what the facts do not have?"""
    return any(not _resolves(each.resource_type, each.parameter, facts) for each in conditions)


def _resolves(resource_type: str, parameter: str, facts: Definitions) -> bool:
    try:
        resolve_parameter(resource_type, parameter, facts)
    except Refused:
        return False
    return True


def _is_part_of(listed: ListedParameter, other: ListedParameter) -> bool:
    return any(url == listed.parameter.url for url, _ in other.parameter.components) and other.id != listed.id


def _types_with(facts: Definitions, type_: str, code: str) -> bool:
    """Has the type this code, or for Resource any type?"""
    if facts.search_parameter(type_, code):
        return True
    below = (each for each in facts.resource_types if facts.is_a(each, type_))
    return any(facts.search_parameter(each, code) for each in below)


def _overlap(facts: Definitions, one: SearchParameter, other: SearchParameter) -> bool:
    return any(facts.is_a(a, b) or facts.is_a(b, a) for a in one.base for b in other.base)
