"""``OperationDefinition``: those of the hub's own operations are read here, all others are ordinary data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.api.exchange import Exchange
from hub.api.server import READS, Routes
from hub.api.wire import Answer, none_match, version_header
from hub.errors import NotFound, NotOffered
from hub.fhir.json import write_instant, write_json
from hub.fhir.own_operations import operation_definition

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""lastUpdated of the definitions that come with the hub."""


@dataclass(frozen=True, slots=True)
class OperationDefinitionRoutes:
    ordinary: Routes

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        definition = operation_definition(address.id, exchange.base_url, address.base)
        if definition is None:
            return await self.ordinary.answer(exchange)
        if exchange.method not in READS or address.operation or address.special:
            raise NotOffered(f"OperationDefinition/{address.id} comes with the hub; it can only be read")
        if address.version not in (None, 1):
            raise NotFound(f"OperationDefinition/{address.id} has no version {address.version}")
        exchange.refuse_parameters()
        return _read(exchange, definition)


def _read(exchange: Exchange, definition: Mapping[str, Any]) -> Answer:
    headers = version_header(1, SINCE)
    if none_match(exchange.headers, headers["ETag"]):
        return Answer(304, b"", headers)
    meta = {"versionId": "1", "lastUpdated": write_instant(SINCE)}
    return Answer(200, write_json({**definition, "meta": meta}), headers)
