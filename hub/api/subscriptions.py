"""Subscription over HTTP: create, read, vread, update, delete, search, $status, $events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.api.exchange import Exchange
from hub.api.searching import page_of, read_page, searchset, unknown_parameter
from hub.api.wire import Answer, if_match, version_header
from hub.api.writing import all_well, written
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, NotFound, NotOffered
from hub.fhir.dialects import dialect
from hub.fhir.json import write_json
from hub.fhir.operations import events_parameters, status_parameters
from hub.intake.progress import ProgressService
from hub.intake.registry import Registered, Registry
from hub.intake.subscriptions import ShownSubscription, SubscriptionService
from hub.store.subscriptions import Record, Subscriptions

OFFERED = "create, read, vread, update, delete, search, $status and $events"
SEARCH_PARAMETERS = ("_id", "status", "topic", "type", "url")

Test = Callable[[Registered, Record], bool]


@dataclass(frozen=True, slots=True)
class SubscriptionRoutes:
    service: SubscriptionService
    progress: ProgressService
    registry: Registry
    subscriptions: Subscriptions
    source_base_url: Callable[[FhirVersion], str]

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if address.operation:
            return await self._operation(exchange)
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
        exchange.refuse_parameters()
        exchange.refuse_conditions()
        resource = exchange.resource_in(await exchange.definition())
        shown = await self.service.register(_key(exchange), exchange.principal, resource)
        return _written(exchange, shown)

    async def _update(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        resource = exchange.resource_in(await exchange.definition())
        expected = if_match(exchange.headers)
        shown = await self.service.replace(_key(exchange), exchange.principal, resource, expected)
        return _written(exchange, shown)

    async def _delete(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        await self.service.remove(_key(exchange), if_match(exchange.headers))
        return Answer(200, all_well("deleted")) if exchange.preference.outcome else Answer(204)

    async def _operation(self, exchange: Exchange) -> Answer:
        address, base_url = exchange.address, exchange.base_url
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
        raise NotFound(f"there is no operation ${address.operation} here; there are $status and, on an id, $events")

    async def _search(self, exchange: Exchange) -> Answer:
        page, conditions = read_page(exchange.query)
        tests = [_test(name, value) for name, value in conditions]
        await self.registry.refresh()
        known = list(self.registry.all_of(exchange.tenant, exchange.address.base))
        records = await self.subscriptions.records([str(registered.key) for registered in known])
        found = sorted(
            (
                (registered, record)
                for registered, record in zip(known, records, strict=True)
                if record and record.status and all(test(registered, record) for test in tests)
            ),
            key=lambda pair: pair[0].key.id,
        )
        shown, following = page_of(found, page, lambda pair: pair[0].key.id)
        resources = [
            self.service.show(registered.key, registered.definition_version, registered.definition, record).resource
            for registered, record in shown
        ]
        return Answer(200, searchset(exchange, "Subscription", resources, len(found), page, following))


def _key(exchange: Exchange) -> SubscriptionKey:
    return SubscriptionKey(exchange.tenant, exchange.address.base, exchange.address.id)


def _read(shown: ShownSubscription) -> Answer:
    return Answer(200, write_json(shown.resource), version_header(shown.version, shown.last_updated))


def _written(exchange: Exchange, shown: ShownSubscription) -> Answer:
    headers = version_header(shown.version, shown.last_updated)
    location = f"Subscription/{shown.key.id}/_history/{shown.version}"
    body = write_json(shown.resource)
    said = "stored; a handshake goes out whenever one is due"
    return written(exchange, shown.created, location, headers, body, said=said, warnings=shown.warnings)


def _test(name: str, value: str) -> Test:
    """One search condition; commas are OR. Raises Malformed for what is not offered."""
    wanted = set(value.split(","))
    match name:
        case "_id":
            return lambda registered, record: registered.key.id in wanted
        case "status":
            if not wanted <= set(Status):
                raise Malformed(f"status must be one of {', '.join(Status)}", code="value")
            return lambda registered, record: record.status in wanted
        case "topic" | "criteria":
            return lambda registered, record: _names_topic(registered.subscription.topic, wanted)
        case "type":
            codes = {code.rpartition("|")[2] for code in wanted}
            return lambda registered, record: registered.subscription.channel.type in codes
        case "url":
            return lambda registered, record: registered.subscription.channel.endpoint in wanted
        case _:
            raise unknown_parameter(name, SEARCH_PARAMETERS)


def _names_topic(topic: str, wanted: set[str]) -> bool:
    """A canonical without version means every version of it (S-256)."""
    return topic in wanted or topic.partition("|")[0] in wanted
