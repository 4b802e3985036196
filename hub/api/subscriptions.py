"""Subscription over HTTP: create, read, vread, update, delete, search and its operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hub.api.exchange import Exchange
from hub.api.explaining import ExplainRoutes
from hub.api.repairing import RepairRoutes
from hub.api.resources import request_of
from hub.api.search_request import asked_of, read_search
from hub.api.searching import search_answer, select
from hub.api.signing import SigningRoutes
from hub.api.wire import Answer, if_match, version_header
from hub.api.writing import all_well, written
from hub.domain.subscription import SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Gone, Malformed, NotFound, NotOffered, PreconditionFailed
from hub.fhir.classic import is_classic
from hub.fhir.dialects import dialect
from hub.fhir.json import write_json
from hub.fhir.life_operations import SIGNING
from hub.fhir.operations import (
    binding_token_answer,
    binding_token_parameters,
    events_parameters,
    status_parameters,
    websocket_url_of,
)
from hub.fhir.query_strings import read_written_query
from hub.intake.binding import BindingService
from hub.intake.offers import Repeatable, derived_id
from hub.intake.progress import ProgressService
from hub.intake.registry import Registry
from hub.intake.subscription_list import SubscriptionList, list_subscriptions
from hub.intake.subscriptions import ShownSubscription, SubscriptionService
from hub.store.guards import Guards
from hub.store.subscriptions import Subscriptions

OFFERED = (
    "create, read, vread, update, delete, search, $status, $events, $explain, $signing-secret and $get-ws-binding-token"
)


@dataclass(frozen=True, slots=True)
class SubscriptionRoutes:
    service: SubscriptionService
    progress: ProgressService
    registry: Registry
    subscriptions: Subscriptions
    guards: Guards
    bindings: BindingService
    source_base_url: Callable[[FhirVersion], str]
    explain: ExplainRoutes
    repair: RepairRoutes
    signing: SigningRoutes

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if address.operation:
            return await self._operation(exchange)
        if address.special == "_search" and not address.id:
            return await self._search(exchange)
        if address.special:
            raise NotOffered(f"{address.special} is not offered; on Subscription there are {OFFERED}")
        match exchange.method, bool(address.id), address.version:
            case "POST", False, None:
                return await self._create(exchange)
            case "PUT", True, None:
                return await self._update(exchange)
            case "DELETE", True, None:
                return await self._delete(exchange)
            case "GET" | "HEAD", True, _:
                exchange.refuse_parameters()
                return _read(await self.service.read(_key(exchange), address.version))
            case "GET" | "HEAD", False, None:
                return await self._search(exchange)
            case _:
                raise NotOffered(f"{exchange.method} is not offered here; on Subscription there are {OFFERED}")

    async def _create(self, exchange: Exchange) -> Answer:
        """A repeat of the same request gets the answer of the first; a condition that finds one, that one."""
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-none-exist")
        raw = await exchange.definition()
        resource = await exchange.resource_in(raw)
        condition = exchange.headers.get(b"if-none-exist")
        repeatable = Repeatable.of(request_of(exchange), raw if condition is None else raw + b"\0" + condition)
        if first := await self._first_answer(exchange, repeatable):
            return _written(exchange, first)
        if condition is None:
            return _written(exchange, await self._register(exchange, resource, repeatable))
        return await self._create_unless_found(exchange, resource, repeatable)

    async def _first_answer(self, exchange: Exchange, repeatable: Repeatable) -> ShownSubscription | None:
        """Raises Gone when the answer is to an Idempotency-Key and what it created was deleted since."""
        if not repeatable.name:
            return None
        key = replace(_key(exchange), id=derived_id(repeatable))
        try:
            return await self.service.first_answer(key, repeatable.fingerprint)
        except Gone:
            if b"idempotency-key" in exchange.headers:
                raise
            return None  # some clients never change their X-Request-ID

    async def _register(
        self, exchange: Exchange, resource: dict[str, Any], repeatable: Repeatable
    ) -> ShownSubscription:
        key = replace(_key(exchange), id=derived_id(repeatable))
        if await self.service.was_deleted(key):
            key = replace(key, id="")
        try:
            return await self.service.register(key, exchange.principal, resource, repeatable.fingerprint)
        except PreconditionFailed:
            if first := await self._first_answer(exchange, repeatable):  # the same request, at the same moment
                return first
            raise

    async def _create_unless_found(
        self, exchange: Exchange, resource: dict[str, Any], repeatable: Repeatable
    ) -> Answer:
        """``If-None-Exist``: what it finds is told instead (200); several are 412. Two at once create one."""
        base = exchange.address.base
        search = read_search(read_written_query(exchange.header(b"if-none-exist")), "Subscription", base)
        if not search.clauses:
            raise Malformed("If-None-Exist says what must not exist; write search parameters", code="required")
        async with self.guards.hold(f"subscribe|{exchange.tenant}|{base}"):
            if first := await self._first_answer(exchange, repeatable):
                return _written(exchange, first)
            listed = await self._listed(exchange)
            matches, faults = await select(search, listed.searched())
            if faults:
                raise PreconditionFailed(*(replace(fault, severity="error") for fault in faults))
            if len(matches) > 1:
                raise PreconditionFailed(f"{len(matches)} Subscriptions meet If-None-Exist; name one of them")
            if matches:
                return _written(exchange, listed.show(matches[0]["id"]))
            return _written(exchange, await self._register(exchange, resource, repeatable))

    async def _update(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        resource = await exchange.resource_in(await exchange.definition())
        expected = if_match(exchange.headers)
        shown = await self.service.replace(_key(exchange), exchange.principal, resource, expected)
        return _written(exchange, shown)

    async def _delete(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        await self.service.remove(_key(exchange), exchange.principal, if_match(exchange.headers))
        return Answer(200, all_well("deleted")) if exchange.preference.outcome else Answer(204)

    async def _operation(self, exchange: Exchange) -> Answer:
        address, base_url = exchange.address, exchange.base_url
        if address.operation == "explain":
            return await self.explain.of_subscription(exchange)
        if address.id and self.repair.serves(address.operation):
            return await self.repair.answer(exchange)
        if address.operation == SIGNING and address.id:
            return await self.signing.answer(exchange)
        if exchange.method not in ("GET", "HEAD", "POST"):
            raise NotOffered("operations are called with GET or POST")
        body = await exchange.optional_body() if exchange.method == "POST" else None
        if address.operation == "status":
            wanted = status_parameters(exchange.query, body)
            if address.id:
                found = [await self.progress.status(_key(exchange))]
            else:
                found = await self.progress.statuses(exchange.tenant, address.base, wanted)
            self_url = f"{base_url}{exchange.path.removeprefix(address.base.path)}"
            return Answer(200, dialect(address.base).write_status_bundle(found, self_url, base_url))
        if address.operation == "events" and address.id:
            events = await self.progress.events(_key(exchange), events_parameters(exchange.query, body))
            return Answer(
                200, dialect(address.base).write_notification(events, base_url, self.source_base_url(address.base))
            )
        if address.operation == "get-ws-binding-token":
            return await self._binding_token(exchange, body)
        raise NotFound(
            f"there is no operation ${address.operation} here; there are $status, $explain, $get-ws-binding-token and, "
            "on an id, $events, $resend, $attempts, $transitions, $dead-letters, $pause, $resume, $test and "
            "$signing-secret"
        )

    async def _binding_token(self, exchange: Exchange, body: dict[str, Any] | None) -> Answer:
        """``$get-ws-binding-token`` (S-188, S-189): of one Subscription, of those named, or of all of the caller's."""
        address, base_url = exchange.address, exchange.base_url
        named = binding_token_parameters(exchange.query, body)
        ids = (address.id,) if address.id else named
        issued = await self.bindings.issue(exchange.principal, exchange.tenant, address.base, ids)
        urls = [f"{base_url}/Subscription/{key.id}" for key in issued.subscriptions]
        answer = binding_token_answer(issued.token, issued.expiration, urls, websocket_url_of(base_url))
        return Answer(200, write_json(answer), {"Cache-Control": "no-store"})

    async def _search(self, exchange: Exchange) -> Answer:
        search = await asked_of(exchange)
        listed = await self._listed(exchange)
        return await search_answer(exchange, search, listed.searched(), lambda identity: listed.show(identity).resource)

    async def _listed(self, exchange: Exchange) -> SubscriptionList:
        base = exchange.address.base
        return await list_subscriptions(exchange.tenant, base, self.service, self.registry, self.subscriptions)


def _key(exchange: Exchange) -> SubscriptionKey:
    return SubscriptionKey(exchange.tenant, exchange.address.base, exchange.address.id)


def _read(shown: ShownSubscription) -> Answer:
    return Answer(200, write_json(shown.resource), version_header(shown.version, shown.last_updated))


def _written(exchange: Exchange, shown: ShownSubscription) -> Answer:
    headers = version_header(shown.version, shown.last_updated)
    location = f"Subscription/{shown.key.id}/_history/{shown.version}"
    body = write_json(shown.resource)
    said = "stored" if is_classic(shown.resource) else "stored; a handshake goes out whenever one is due"
    return written(exchange, shown.created, location, headers, body, said=said, warnings=shown.warnings)
