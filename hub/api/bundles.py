"""Bundles over HTTP (POST on a base), the cold start ($load, $process-change; rulings 13, 26, 34), $external-event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from hub.api.exchange import Exchange
from hub.api.resources import request_of
from hub.api.wire import Answer, version_header
from hub.domain.change import Resource
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Malformed, NotFound, NotOffered, Overloaded, Refused
from hub.fhir.bundle_entries import BundleEntry, listed_entries, read_entries
from hub.fhir.external_event import ExternalEvent, read_external_event
from hub.fhir.json import read_json, write_instant, write_json
from hub.fhir.outcomes import operation_outcome
from hub.fhir.process_change import ProcessChange, read_process_change
from hub.fhir.raw_parts import entry_resources
from hub.intake.bundles import BundleIntake, EntryResult
from hub.intake.changes import Intake
from hub.intake.external_events import announce
from hub.intake.offers import Repeatable
from hub.intake.placing import placed

NDJSON = ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson")
STATUS_LINES = {200: "200 OK", 201: "201 Created", 204: "204 No Content"}
OPERATIONS = ("load", "process-change", "external-event")

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class BundleRoutes:
    """What is addressed to a base as a whole."""

    bundles: BundleIntake
    intake: Intake
    source_base_url: Callable[[FhirVersion], str]
    most_bytes: int

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if address.operation not in ("", *OPERATIONS):
            offered = ", ".join(f"${name}" for name in (*OPERATIONS, "stop", "start", "versions"))
            raise NotFound(f"there is no operation ${address.operation} on a base; there are {offered}")
        if exchange.method != "POST" or address.special:
            raise NotOffered(f"on {address.base.path} itself there is only POST of a Bundle, and GET of metadata")
        exchange.refuse_parameters()
        exchange.refuse_conditions()
        match address.operation:
            case "load":
                return await self._load(exchange)
            case "process-change":
                return await self._process_change(exchange)
            case "external-event":
                return await self._external_event(exchange)
            case _:
                return await self._bundle(exchange)

    async def _bundle(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes)
        kind, entries = await asyncio.to_thread(_read_bundle, raw)
        carry_out = {
            "transaction": self.bundles.transaction,
            "batch": self.bundles.batch,
            "history": self.bundles.history,
        }[kind]
        results = await carry_out(exchange.tenant, exchange.address.base, entries, _repeatable(exchange, raw))
        answer_type = "transaction-response" if kind == "transaction" else "batch-response"
        return Answer(200, _response(exchange, answer_type, results))

    async def _load(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes, NDJSON)
        read = _read_lines if exchange.media_type in NDJSON else _read_collection
        resources = await asyncio.to_thread(read, raw)
        count = await self.bundles.load(exchange.tenant, exchange.address.base, resources, _repeatable(exchange, b""))
        loaded = {"name": "loaded", "valueInteger": count}
        return Answer(200, write_json({"resourceType": "Parameters", "parameter": [loaded]}))

    async def _process_change(self, exchange: Exchange) -> Answer:
        raw = await exchange.body(self.most_bytes)
        change = await asyncio.to_thread(_read_change, raw)
        repeatable = _repeatable(exchange, raw)
        stored = await self.bundles.process_change(exchange.tenant, exchange.address.base, change, repeatable)
        headers = version_header(stored.version, stored.last_updated.instant)
        return Answer(200 if stored.body else 204, stored.body, headers)

    async def _external_event(self, exchange: Exchange) -> Answer:
        raw = await exchange.body()
        base = exchange.address.base
        event = await asyncio.to_thread(_read_event, raw, self.source_base_url(base))
        identity = await announce(self.intake, exchange.tenant, base, event, _repeatable(exchange, raw))
        change = {"name": "change", "valueString": str(identity)}
        return Answer(200, write_json({"resourceType": "Parameters", "parameter": [change]}))


def _repeatable(exchange: Exchange, raw: bytes) -> Repeatable:
    return Repeatable.of(request_of(exchange), raw)


def _read_bundle(raw: bytes) -> tuple[str, list[BundleEntry]]:
    bundle = read_json(raw)
    if bundle.get("resourceType") != "Bundle":
        raise Malformed("only a Bundle is POSTed to a base", expression="Bundle.resourceType")
    return str(bundle.get("type")), read_entries(raw, bundle)


def _read_change(raw: bytes) -> ProcessChange:
    return read_process_change(raw, read_json(raw))


def _read_event(raw: bytes, source_base_url: str) -> ExternalEvent:
    return read_external_event(raw, read_json(raw), source_base_url)


def _read_lines(raw: bytes) -> list[tuple[bytes, Resource, str]]:
    """NDJSON: one resource a line; empty lines do not count."""
    found: list[tuple[bytes, Resource, str]] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if line.strip():
            with placed(f"line {number}"):
                found.append((line.strip(), read_json(line), f"line {number}"))
    return found


def _read_collection(raw: bytes) -> list[tuple[bytes, Resource, str]]:
    """The resources of a Bundle of any type, whatever its entries ask for."""
    bundle = read_json(raw)
    if bundle.get("resourceType") != "Bundle":
        raise Malformed("$load takes a Bundle, or one resource a line as application/fhir+ndjson", expression="Bundle")
    entries = listed_entries(bundle)
    return [
        (body, entry["resource"], f"Bundle.entry[{index}].resource")
        for index, (entry, body) in enumerate(zip(entries, entry_resources(raw, bundle), strict=True))
        if body
    ]


def _response(exchange: Exchange, kind: str, results: Sequence[EntryResult]) -> bytes:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    if results:
        bundle["entry"] = [_entry(exchange, result) for result in results]
    return write_json(bundle)


def _entry(exchange: Exchange, result: EntryResult) -> Mapping[str, Any]:
    stored, reads = result.stored, result.method in ("GET", "HEAD")
    if result.refused is not None:
        return {"response": _refusal(result.refused)}
    if stored is None:
        return {"response": {"status": STATUS_LINES[204]}}
    status = 204 if result.method == "DELETE" else 201 if stored.created and not reads else 200
    instant = stored.last_updated.instant
    etag = version_header(stored.version, instant)["ETag"]
    response = {"status": STATUS_LINES[status], "etag": etag, "lastModified": write_instant(instant)}
    url = f"{exchange.base_url}/{stored.key.reference}"
    if not reads and status != 204:
        response["location"] = f"{url}/_history/{stored.version}"
    if stored.body and (result.method == "GET" or (not reads and exchange.preference.representation)):
        return {"fullUrl": url, "resource": orjson.Fragment(stored.body), "response": response}
    return {"response": response}


def _refusal(problem: Refused | Overloaded) -> dict[str, Any]:
    if isinstance(problem, Overloaded):
        return {"status": str(problem.status), "outcome": operation_outcome([Issue("throttled", str(problem))])}
    return {"status": str(problem.status), "outcome": operation_outcome(problem.issues)}
