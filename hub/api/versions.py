"""``{base}/$versions``: which FHIR version a base speaks (the other versions have bases of their own, S-001)."""

from __future__ import annotations

from dataclasses import dataclass

from hub.api.exchange import ABOUT_THE_ANSWER, Exchange
from hub.api.server import READS, Routes
from hub.api.wire import Answer
from hub.errors import Malformed, NotOffered
from hub.fhir.json import write_json

PLAIN_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class SystemRoutes:
    """What is addressed to a base as a whole: ``$versions`` here, everything else by ``others``."""

    others: Routes

    async def answer(self, exchange: Exchange) -> Answer:
        if exchange.address.operation != "versions":
            return await self.others.answer(exchange)
        if exchange.method not in (*READS, "POST"):
            raise NotOffered("$versions is called with GET or POST")
        if exchange.query_without(*ABOUT_THE_ANSWER):
            raise Malformed("$versions takes no parameters; leave them out", code="not-supported")
        if exchange.method == "POST":
            await exchange.optional_body()
        return _versions(exchange)


def _versions(exchange: Exchange) -> Answer:
    """Parameters, or for who takes plain JSON only the plain form that the operation defines for it."""
    own = exchange.address.base.mime_parameter
    if exchange.header(b"accept").partition(";")[0].strip().lower() == PLAIN_JSON:
        return Answer(200, write_json({"versions": [own], "default": own}), media_type=PLAIN_JSON)
    told = [{"name": "version", "valueCode": own}, {"name": "default", "valueCode": own}]
    return Answer(200, write_json({"resourceType": "Parameters", "parameter": told}))
