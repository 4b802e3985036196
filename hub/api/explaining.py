"""``$explain`` over HTTP: on a Subscription, on all of them, on a topic. JSON Parameters, or text for people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from hub.api.exchange import Exchange
from hub.api.wire import Answer
from hub.domain.change import ChangeId, ResourceChange
from hub.domain.explanation import Explanation
from hub.domain.subscription import SubscriptionKey
from hub.errors import Malformed, NotFound, NotOffered
from hub.fhir.dialects import dialect
from hub.fhir.explain_request import ExplainRequest, read_explain_request
from hub.fhir.explanations import explanation_parameters, explanation_text
from hub.fhir.json import write_json
from hub.fhir.subscriptions import Limits
from hub.intake.explaining import GIVEN, ExplainService
from hub.intake.publishing import TopicService
from hub.intake.registry import Registry
from hub.matching.topics import CompiledTopic


@dataclass(frozen=True, slots=True)
class ExplainRoutes:
    service: ExplainService
    topics: TopicService
    registry: Registry
    limits: Limits

    async def of_subscription(self, exchange: Exchange) -> Answer:
        """``Subscription/[id]/$explain``, and ``Subscription/$explain`` for one that need not be stored."""
        asked = await _asked(exchange)
        _refuse(asked.topic, "topic", "a Subscription names its topic itself")
        key = SubscriptionKey(exchange.tenant, exchange.address.base, exchange.address.id)
        if key.id:
            _refuse(asked.subscription, "subscription", "the URL names one")
            if asked.change is not None:
                return _answer(exchange, await self.service.of_change(key, asked.change))
            change = asked.given_change(key.tenant, key.base, _now())
            return _answer(exchange, await self.service.of_states(key, change))
        if asked.subscription is None:
            raise Malformed("give a subscription, or name one in the URL", expression="Parameters.parameter")
        subscription = dialect(key.base).read_subscription(asked.subscription, self.limits)
        await self.registry.refresh()
        change, name = await self._change(exchange, asked)
        return _answer(exchange, await self.service.of_draft(key, subscription, change, name))

    async def of_topic(self, exchange: Exchange) -> Answer:
        """``SubscriptionTopic/[id]/$explain``, and on the type for one that is given; on R4 these are ``Basic``."""
        asked = await _asked(exchange)
        _refuse(asked.subscription, "subscription", "ask for it on Subscription/$explain")
        await self.registry.refresh()
        topic = self._topic(exchange, asked)
        change, name = await self._change(exchange, asked)
        return _answer(exchange, await self.service.of_topic(topic, change, name))

    def _topic(self, exchange: Exchange, asked: ExplainRequest) -> CompiledTopic:
        base, catalogue = exchange.address.base, self.registry.catalogue
        if exchange.address.id:
            _refuse(asked.topic, "topic", "the URL names one")
            listed = catalogue.by_id(exchange.tenant, base, exchange.address.id)
            if listed is None:
                raise NotFound(f"{exchange.address.type}/{exchange.address.id} is not known here")
            return listed.compiled
        if asked.topic is None:
            raise Malformed("give a topic: its canonical, or the resource itself", expression="Parameters.parameter")
        if not isinstance(asked.topic, str):
            return self.topics.checked(exchange.tenant, asked.topic, base)[0]
        listed = catalogue.find(exchange.tenant, base, asked.topic)
        if listed is None:
            raise NotFound(f"the topic {asked.topic} is not known here; {base.path}/metadata lists those that are")
        return listed.compiled

    async def _change(self, exchange: Exchange, asked: ExplainRequest) -> tuple[ResourceChange, str]:
        if asked.change is not None:
            return await self.service.change_named(exchange.tenant, exchange.address.base, asked.change)
        return asked.given_change(exchange.tenant, exchange.address.base, _now()), GIVEN


def _now() -> ChangeId:
    return ChangeId(time.time_ns() // 1_000_000, 0)


async def _asked(exchange: Exchange) -> ExplainRequest:
    if exchange.method not in ("GET", "HEAD", "POST"):
        raise NotOffered("operations are called with GET or POST")
    body = await exchange.optional_body() if exchange.method == "POST" else None
    return read_explain_request(exchange.query, body)


def _refuse(given: Any, name: str, why: str) -> None:
    if given is not None:
        raise Malformed(f"{name} is not taken here: {why}; leave it out", expression="Parameters.parameter")


def _answer(exchange: Exchange, explanation: Explanation) -> Answer:
    if exchange.takes_text:
        return Answer(200, explanation_text(explanation).encode(), media_type="text/plain")
    return Answer(200, write_json(explanation_parameters(explanation)))
