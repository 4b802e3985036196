"""``Basic``: on R4 some of them stand for SubscriptionTopics (S-060…S-065), all others are ordinary data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hub.api.exchange import Exchange
from hub.api.resources import ResourceRoutes
from hub.api.search_request import asked_of
from hub.api.topics import DefinitionRoutes
from hub.api.wire import Answer
from hub.beside import beside
from hub.domain.change import ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Conflict, Gone, NotFound, NotOffered
from hub.fhir.basic_topics import FHIR_TYPES, is_topic
from hub.fhir.json import read_json

TOPICS = f"{FHIR_TYPES}|SubscriptionTopic"


@dataclass(frozen=True, slots=True)
class BasicRoutes:
    """Hands each request to the room that the Basic belongs to. An id is a topic's or ordinary data's, never both."""

    topics: DefinitionRoutes
    ordinary: ResourceRoutes
    knows: Callable[[str, FhirVersion, str], Awaitable[bool]]
    """Is, or once was, an id a topic's?"""

    async def answer(self, exchange: Exchange) -> Answer:
        if exchange.address.base is FhirVersion.R4 and await self._is_about_topics(exchange):
            return await self.topics.answer(exchange)
        return await self.ordinary.answer(exchange)

    async def _is_about_topics(self, exchange: Exchange) -> bool:
        address = exchange.address
        if address.operation == "explain":
            return True  # ordinary data has no such operation
        if address.operation or (address.special and address.special != "_search"):
            return bool(address.id) and await self._holds_topic(exchange)
        if address.id:
            held = await self._holds_topic(exchange)
            return await self._is_put_of_topic(exchange, held) if exchange.method == "PUT" else held
        if exchange.method == "POST" and not address.special:
            return is_topic(await _parsed(exchange))
        if address.special or exchange.method in ("GET", "HEAD"):
            await _check_search(exchange)
            return True
        return False

    async def _holds_topic(self, exchange: Exchange) -> bool:
        address = exchange.address
        return await self.knows(exchange.tenant, address.base, address.id)

    async def _is_put_of_topic(self, exchange: Exchange, held: bool) -> bool:
        """Raises Conflict when a topic would become ordinary data, or ordinary data a topic."""
        written = is_topic(await _parsed(exchange))
        reference = f"Basic/{exchange.address.id}"
        if held and not written:
            raise Conflict(f"{reference} is a SubscriptionTopic; give other data another id", expression="Basic.code")
        if written and not held and await self._holds_data(exchange):
            raise Conflict(f"{reference} is ordinary data; give the topic another id", expression="Basic.code")
        return written

    async def _holds_data(self, exchange: Exchange) -> bool:
        address = exchange.address
        try:
            await self.ordinary.intake.read(ResourceKey(exchange.tenant, address.base, "Basic", address.id), None)
        except (NotFound, Gone):
            return False
        return True


async def _parsed(exchange: Exchange) -> dict[str, Any]:
    raw = await exchange.body()
    return await beside(len(raw), read_json, raw)


async def _check_search(exchange: Exchange) -> None:
    """Raises NotOffered unless only topics are asked for: ordinary Basics are not searched, and would be missed."""
    if ("code", TOPICS) not in (await asked_of(exchange)).pairs:
        raise NotOffered(f"searching Basic is offered for topics; write code={TOPICS}")
