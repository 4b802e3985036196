"""``Subscription/[id]/$signing-secret``: a secret to verify notifications by, told once (SECURITY C4)."""

from __future__ import annotations

from dataclasses import dataclass

from hub.api.exchange import Exchange
from hub.api.wire import Answer
from hub.domain.subscription import SubscriptionKey
from hub.errors import NotOffered
from hub.fhir.json import write_json
from hub.fhir.signing_request import signing_answer, signing_parameters
from hub.intake.signing import SigningService


@dataclass(frozen=True, slots=True)
class SigningRoutes:
    service: SigningService

    async def answer(self, exchange: Exchange) -> Answer:
        """Only with POST: a secret must not come by a link, nor rest in anybody's cache."""
        if exchange.method != "POST":
            raise NotOffered("$signing-secret changes something: call it with POST")
        address = exchange.address
        key = SubscriptionKey(exchange.tenant, address.base, address.id)
        if signing_parameters(exchange.query, await exchange.optional_body()):
            await self.service.stop(exchange.principal, key)
            answer = signing_answer("", None)
        else:
            issued = await self.service.issue(exchange.principal, key)
            answer = signing_answer(issued.secret, issued.overlap_until)
        return Answer(200, write_json(answer), {"Cache-Control": "no-store"})
