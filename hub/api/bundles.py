"""Bundles over HTTP (POST on a base), and the cold start: $load and $process-change (rulings 13, 26, 34)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hub.api.exchange import Exchange
from hub.api.resources import request_of
from hub.api.wire import Answer, version_header
from hub.domain.change import ResourceKey
from hub.errors import Malformed, NotFound, NotOffered
from hub.fhir.bundle_entries import read_entries, resource_texts
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json, write_json
from hub.fhir.outcomes import operation_outcome
from hub.fhir.process_change import read_process_change
from hub.intake.bundles import BundleIntake, EntryResult
from hub.intake.offers import Repeatable, removal, replacement

NDJSON = ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson")
STATUS_LINES = {200: "200 OK", 201: "201 Created", 204: "204 No Content"}


@dataclass(frozen=True, slots=True)
class BundleRoutes:
    """What is addressed to a base as a whole."""

    bundles: BundleIntake
    most_bytes: int

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if exchange.method != "POST":
            raise NotOffered(f"on {address.base.path} itself there is only POST of a Bundle, and GET of metadata")
        match address.operation:
            case "":
                return await self._bundle(exchange)
            case "load":
                return await self._load(exchange)
            case "process-change":
                return await self._process_change(exchange)
            case other:
                raise NotFound(f"there is no operation ${other} on a base; there are $load and $process-change")

    async def _bundle(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes)
        bundle = read_json(raw)
        if bundle.get("resourceType") != "Bundle":
            raise Malformed("only a Bundle is POSTed to a base", expression="Bundle.resourceType")
        entries = read_entries(raw, bundle)
        kind = bundle["type"]
        carry_out = {
            "transaction": self.bundles.transaction,
            "batch": self.bundles.batch,
            "history": self.bundles.history,
        }[kind]
        results = await carry_out(exchange.tenant, exchange.address.base, entries, request_of(exchange), raw)
        answer_type = "transaction-response" if kind == "transaction" else "batch-response"
        return Answer(200, _response(exchange, answer_type, results))

    async def _load(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes, NDJSON)
        if exchange.media_type in NDJSON:
            resources: list[tuple[bytes, Mapping[str, Any]]] = [
                (line, read_json(line)) for line in raw.splitlines() if line.strip()
            ]
        else:
            bundle = read_json(raw)
            if bundle.get("resourceType") != "Bundle":
                raise Malformed("$load takes a Bundle, or one resource a line as application/fhir+ndjson")
            resources = _resources_of(raw)
        count = await self.bundles.load(exchange.tenant, exchange.address.base, resources)
        loaded = {"name": "loaded", "valueInteger": count}
        return Answer(200, write_json({"resourceType": "Parameters", "parameter": [loaded]}))

    async def _process_change(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes)
        base = exchange.address.base
        told = read_process_change(raw, read_json(raw), definitions(base).resource_types)
        key = ResourceKey(exchange.tenant, base, told.type, told.id)
        repeatable = Repeatable.of(request_of(exchange), raw)
        if told.current is None:
            change = removal(key, repeatable, None)
        else:
            change = replacement(key, *told.current, repeatable, None)
        stored = await self.bundles.process_change(key, told.previous, change)
        return Answer(200, stored.body, version_header(stored.version, stored.last_updated.instant))


def _response(exchange: Exchange, kind: str, results: Sequence[EntryResult]) -> bytes:
    entries = [_entry(exchange, result) for result in results]
    return write_json({"resourceType": "Bundle", "type": kind, "entry": entries})


def _entry(exchange: Exchange, result: EntryResult) -> dict[str, Any]:
    if result.refused is not None:
        outcome = operation_outcome(result.refused.issues)
        return {"response": {"status": str(result.refused.status), "outcome": outcome}}
    stored = result.stored
    assert stored is not None
    reads = result.method in ("GET", "HEAD")
    status = 204 if result.method == "DELETE" else 201 if stored.created and not reads else 200
    headers = version_header(stored.version, stored.last_updated.instant)
    url = f"{exchange.base_url}/{stored.key.reference}"
    response: dict[str, Any] = {"status": STATUS_LINES[status], "etag": headers["ETag"]}
    response["lastModified"] = stored.last_updated.instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if not reads and status != 204:
        response["location"] = f"{url}/_history/{stored.version}"
    entry: dict[str, Any] = {"response": response}
    if stored.body and (reads or exchange.preference.representation):
        entry = {"fullUrl": url, "resource": orjson.Fragment(stored.body), **entry}
    return entry


def _resources_of(raw: bytes) -> list[tuple[bytes, Mapping[str, Any]]]:
    texts = [text for text in resource_texts(raw) if text]
    return [(text.encode(), read_json(text.encode())) for text in texts]
