"""SubscriptionTopic over HTTP on the R4B and R5 bases: create, read, vread, update, delete, search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.api.exchange import Exchange
from hub.api.searching import page_of, read_page, searchset, unknown_parameter
from hub.api.wire import Answer, if_match, version_header
from hub.api.writing import all_well, written
from hub.domain.topic import STRUCTURE_DEFINITION
from hub.errors import NotOffered
from hub.fhir.json import write_json
from hub.intake.publishing import ShownTopic, TopicService
from hub.intake.topics import ListedTopic

OFFERED = "create, read, vread, update, delete and search"
SEARCH_PARAMETERS = ("_id", "code", "derived-or-self", "resource", "status", "url")

Test = Callable[[ListedTopic], bool]


@dataclass(frozen=True, slots=True)
class TopicRoutes:
    service: TopicService

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        exchange.check_type()
        if address.operation or address.special:
            raise NotOffered(f"this is not offered; on SubscriptionTopic there are {OFFERED}")
        match exchange.method, bool(address.id), address.version:
            case "POST", False, None:
                return await self._create(exchange)
            case "PUT", True, None:
                return await self._update(exchange)
            case "DELETE", True, None:
                return await self._delete(exchange)
            case "GET" | "HEAD", True, version:
                exchange.refuse_parameters()
                shown = await self.service.read(exchange.tenant, address.base, address.id, version)
                return Answer(200, write_json(shown.resource), version_header(shown.version, shown.last_updated))
            case "GET" | "HEAD", False, None:
                return await self._search(exchange)
            case _:
                raise NotOffered(f"{exchange.method} is not offered here; on SubscriptionTopic there are {OFFERED}")

    async def _create(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions()
        raw = await exchange.definition()
        resource = exchange.resource_in(raw)
        return _written(exchange, await self.service.publish(exchange.tenant, exchange.address.base, raw, resource))

    async def _update(self, exchange: Exchange) -> Answer:
        exchange.refuse_parameters()
        exchange.refuse_conditions(but=b"if-match")
        raw = await exchange.definition()
        resource = exchange.resource_in(raw)
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
        page, conditions = read_page(exchange.query)
        tests = [_test(name, value) for name, value in conditions]
        listed = await self.service.listed(exchange.tenant, exchange.address.base)
        found = [topic for topic in listed if all(test(topic) for test in tests)]
        shown, following = page_of(found, page, lambda topic: topic.id)
        resources = [self.service.show(exchange.address.base, topic).resource for topic in shown]
        return Answer(200, searchset(exchange, "SubscriptionTopic", resources, len(found), page, following))


def _written(exchange: Exchange, shown: ShownTopic) -> Answer:
    headers = version_header(shown.version, shown.last_updated)
    location = f"SubscriptionTopic/{shown.id}/_history/{shown.version}"
    return written(exchange, shown.created, location, headers, write_json(shown.resource))


def _test(name: str, value: str) -> Test:
    """One search condition; commas are OR. Raises Malformed for what is not offered."""
    wanted = set(value.split(","))
    match name:
        case "_id":
            return lambda listed: listed.id in wanted
        case "url":
            return lambda listed: listed.topic.url in wanted
        case "derived-or-self":
            return lambda listed: bool(wanted & {listed.topic.url, listed.topic.canonical, *_derived_from(listed)})
        case "resource":
            types = {each.removeprefix(STRUCTURE_DEFINITION) for each in wanted}
            return lambda listed: any(trigger.resource in types for trigger in listed.topic.resource_triggers)
        case "status":
            codes = {each.rpartition("|")[2] for each in wanted}
            return lambda listed: listed.topic.status in codes
        case "code":
            return lambda listed: bool(wanted & _event_codes(listed))
        case _:
            raise unknown_parameter(name, SEARCH_PARAMETERS)


def _event_codes(listed: ListedTopic) -> set[str]:
    """The codes of the events that trigger the topic, as ``code`` and as ``system|code``."""
    codings = [
        coding
        for trigger in listed.resource.get("eventTrigger", ())
        for coding in trigger.get("event", {}).get("coding", ())
    ]
    return {
        form for each in codings for form in (each.get("code", ""), f"{each.get('system', '')}|{each.get('code', '')}")
    }


def _derived_from(listed: ListedTopic) -> set[str]:
    """The canonicals this topic is derived from, with and without version (S-022)."""
    return {form for canonical in listed.topic.derived_from for form in (canonical, canonical.partition("|")[0])}
