"""Ordinary resources over HTTP: create, read, vread, history, update, patch, delete. The hot route: plain ASGI."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hub.api.address import Address
from hub.api.exchange import ABOUT_THE_ANSWER, Exchange
from hub.api.history import history_answer, read_history_page
from hub.api.wire import Answer, if_match, none_match, version_header
from hub.api.writing import all_well, written
from hub.beside import beside
from hub.domain.change import ResourceKey
from hub.domain.trail import Trail, objection_to_correlation, valid_traceparent
from hub.errors import Malformed, NotOffered
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json
from hub.fhir.patch import JSON_PATCH, apply_fhirpath_patch, apply_json_patch, read_json_patch
from hub.fhir.query_strings import read_written_query
from hub.intake.changes import Intake, Query, Stored
from hub.intake.offers import Repeatable, Request

OFFERED = "create (POST /Type), read, vread, history, update (PUT /Type/id), patch and delete"
READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class ResourceRoutes:
    """Serves every type that has no room of its own."""

    intake: Intake

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if address.special == "_history" and address.id and not address.operation and exchange.method in READS:
            return await self._history(exchange)
        if address.operation or address.special or not address.type:
            raise NotOffered(f"this is not offered; on {address.base.path} there are {OFFERED}")
        exchange.check_type()
        match exchange.method, bool(address.id), address.version:
            case "POST", False, None:
                return await self._create(exchange)
            case "PUT", True, None:
                return await self._update(exchange)
            case "PUT" | "DELETE", False, None if exchange.query_without(*ABOUT_THE_ANSWER):
                return await self._conditional(exchange)
            case "PATCH", True, None:
                return await self._patch(exchange)
            case "PATCH", False, None if query := exchange.query_without(*ABOUT_THE_ANSWER):
                return await self._patch(exchange, query)
            case "DELETE", True, None:
                return await self._delete(exchange)
            case "GET" | "HEAD", True, _:
                return await self._read(exchange)
            case "GET" | "HEAD", False, None:
                raise NotOffered(
                    f"searching {address.type} is not offered; the hub keeps resources only to judge changes"
                )
            case _:
                raise NotOffered(f"{exchange.method} is not offered here; there are {OFFERED}")

    async def _history(self, exchange: Exchange) -> Answer:
        exchange.check_type()
        count, first = read_history_page(exchange)
        return history_answer(exchange, await self.intake.history(_key(exchange), count, first), count)

    async def _create(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-none-exist")
        raw = await exchange.body()
        resource = await exchange.resource_in(raw)
        conditional = b"if-none-exist" in exchange.headers
        condition = read_written_query(exchange.header(b"if-none-exist")) if conditional else ()
        stored = await self.intake.create(_key(exchange), raw, resource, _repeatable(exchange, raw), condition)
        return _written(exchange, stored)

    async def _update(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        raw = await exchange.body()
        resource = await exchange.resource_in(raw)
        expected = if_match(exchange.headers)
        stored = await self.intake.update(_key(exchange), raw, resource, _repeatable(exchange, raw), expected)
        return _written(exchange, stored)

    async def _conditional(self, exchange: Exchange) -> Answer:
        exchange.refuse_conditions(but=b"if-match")
        query, expected = exchange.query_without(*ABOUT_THE_ANSWER), if_match(exchange.headers)
        if exchange.method == "DELETE":
            repeatable = _repeatable(exchange, b"")
            gone = await self.intake.delete_where(_key(exchange), query, repeatable, expected)
            return Answer(204, b"", version_header(gone.version, gone.last_updated.instant) if gone else {})
        raw = await exchange.body()
        resource = await exchange.resource_in(raw)
        repeatable = _repeatable(exchange, raw)
        stored = await self.intake.update_where(_key(exchange), query, raw, resource, repeatable, expected)
        return _written(exchange, stored)

    async def _patch(self, exchange: Exchange, query: Query = ()) -> Answer:
        """Of the resource with this id, or of the one that ``query`` finds."""
        if not query:
            exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        raw = await exchange.body(also=[JSON_PATCH])
        if exchange.media_type == JSON_PATCH:
            change = partial(apply_json_patch, patch=read_json_patch(raw))
        else:
            facts = definitions(exchange.address.base)
            change = partial(apply_fhirpath_patch, parameters=await beside(len(raw), read_json, raw), facts=facts)
        expected = if_match(exchange.headers)
        stored = await self.intake.patch(_key(exchange), change, _repeatable(exchange, raw), expected, query)
        return _written(exchange, stored)

    async def _delete(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        stored = await self.intake.delete(_key(exchange), _repeatable(exchange, b""), if_match(exchange.headers))
        headers = version_header(stored.version, stored.last_updated.instant)
        if exchange.preference.outcome:
            return Answer(200, all_well("deleted"), headers)
        return Answer(204, b"", headers)

    async def _read(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        stored = await self.intake.read(_key(exchange), exchange.address.version)
        headers = version_header(stored.version, stored.last_updated.instant)
        if none_match(exchange.headers, headers["ETag"]):
            return Answer(304, b"", headers)
        return Answer(200, stored.body, headers)


def _key(exchange: Exchange) -> ResourceKey:
    address: Address = exchange.address
    return ResourceKey(exchange.tenant, address.base, address.type, address.id)


def request_of(exchange: Exchange) -> Request:
    return Request(
        method=exchange.method,
        path=exchange.path,
        principal=exchange.principal,
        idempotency_key=_idempotency_key(exchange),
        request_id=exchange.header(b"x-request-id"),
        trail=_trail(exchange),
    )


def _trail(exchange: Exchange) -> Trail:
    """Raises Malformed for a correlation that could not be carried on; a traceparent that is none is overlooked."""
    correlation = exchange.header(b"x-correlation-id")
    if objection := objection_to_correlation(correlation):
        raise Malformed(objection, code="value")
    return Trail(correlation, valid_traceparent(exchange.headers.get(b"traceparent", b"").decode("latin-1")))


def _repeatable(exchange: Exchange, body: bytes) -> Repeatable:
    return Repeatable.of(request_of(exchange), body)


def _idempotency_key(exchange: Exchange) -> str:
    """The key, "" without the header. Raises Malformed for an empty one, which would make every request a repeat."""
    if b"idempotency-key" not in exchange.headers:
        return ""
    key = exchange.header(b"idempotency-key").strip('" ')
    if not key:
        raise Malformed("Idempotency-Key is empty; give each request a key of its own, or none", code="value")
    return key


def _written(exchange: Exchange, stored: Stored) -> Answer:
    headers = version_header(stored.version, stored.last_updated.instant)
    location = f"{stored.key.reference}/_history/{stored.version}"
    return written(exchange, stored.created, location, headers, stored.body)
