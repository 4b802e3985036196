"""Definitions over HTTP: topics (SubscriptionTopic on R4B and R5, Basic on R4) and SearchParameters.

Create, read, vread, update, delete, search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub.api.exchange import Exchange
from hub.api.explaining import ExplainRoutes
from hub.api.search_request import asked_of
from hub.api.searching import search_answer
from hub.api.wire import Answer, if_match, none_match, version_header
from hub.api.writing import all_well, written
from hub.domain.versions import FhirVersion
from hub.errors import NotOffered
from hub.fhir.json import write_json
from hub.intake.written import ShownDefinition

OFFERED = "create, read, vread, update, delete and search"


class DefinitionService(Protocol):
    """Definitions of one kind; see ``TopicService`` and ``SearchParameterService``."""

    async def publish(
        self, tenant: str, base: FhirVersion, raw: bytes, resource: Mapping[str, Any]
    ) -> ShownDefinition: ...

    async def replace(
        self,
        tenant: str,
        base: FhirVersion,
        identity: str,
        raw: bytes,
        resource: Mapping[str, Any],
        if_match: int | None,
    ) -> ShownDefinition: ...

    async def withdraw(self, tenant: str, base: FhirVersion, identity: str, if_match: int | None) -> None: ...

    async def read(
        self, tenant: str, base: FhirVersion, identity: str, version: int | None = None
    ) -> ShownDefinition: ...

    async def shown(self, tenant: str, base: FhirVersion) -> list[ShownDefinition]: ...


@dataclass(frozen=True, slots=True)
class DefinitionRoutes:
    """``name`` is what the definitions are called in refusals; only topics are explained."""

    service: DefinitionService
    name: str
    explain: ExplainRoutes | None = None

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        exchange.check_type()
        if address.special == "_search" and not address.id:
            return await self._search(exchange)
        if address.operation == "explain" and self.explain:
            return await self.explain.of_topic(exchange)
        if address.operation or address.special:
            raise NotOffered(f"this is not offered; on {self.name} there are {self._offered}")
        match exchange.method, bool(address.id), address.version:
            case "POST", False, None:
                return await self._create(exchange)
            case "PUT", True, None:
                return await self._update(exchange)
            case "DELETE", True, None:
                return await self._delete(exchange)
            case "GET" | "HEAD", True, _:
                return await self._read(exchange)
            case "GET" | "HEAD", False, None:
                return await self._search(exchange)
            case _:
                raise NotOffered(f"{exchange.method} is not offered here; on {self.name} there are {self._offered}")

    @property
    def _offered(self) -> str:
        return f"{OFFERED}, and $explain" if self.explain else OFFERED

    async def _read(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        address = exchange.address
        shown = await self.service.read(exchange.tenant, address.base, address.id, address.version)
        headers = version_header(shown.version, shown.last_updated)
        if none_match(exchange.headers, headers["ETag"]):
            return Answer(304, b"", headers)
        return Answer(200, write_json(shown.resource), headers)

    async def _create(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions()
        raw = await exchange.definition()
        resource = await exchange.resource_in(raw)
        return _written(exchange, await self.service.publish(exchange.tenant, exchange.address.base, raw, resource))

    async def _update(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        raw = await exchange.definition()
        resource = await exchange.resource_in(raw)
        address, expected = exchange.address, if_match(exchange.headers)
        shown = await self.service.replace(exchange.tenant, address.base, address.id, raw, resource, expected)
        return _written(exchange, shown)

    async def _delete(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        address, expected = exchange.address, if_match(exchange.headers)
        await self.service.withdraw(exchange.tenant, address.base, address.id, expected)
        return Answer(200, all_well("deleted")) if exchange.preference.outcome else Answer(204)

    async def _search(self, exchange: Exchange) -> Answer:
        search = await asked_of(exchange)
        base = exchange.address.base
        shown = {each.id: each.resource for each in await self.service.shown(exchange.tenant, base)}
        return await search_answer(exchange, search, shown.values(), shown.__getitem__)


def _written(exchange: Exchange, shown: ShownDefinition) -> Answer:
    headers = version_header(shown.version, shown.last_updated)
    location = f"{exchange.address.type}/{shown.id}/_history/{shown.version}"
    said = f"published on {exchange.address.base.path}"
    body = write_json(shown.resource)
    return written(exchange, shown.created, location, headers, body, said=said, warnings=shown.notes)
