"""``$stop`` and ``$start`` on a base: the operator's kill switch for one topic of it, or for one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from hub.api.exchange import Exchange
from hub.api.server import Routes
from hub.api.wire import Answer
from hub.errors import NotOffered
from hub.fhir.json import write_json
from hub.fhir.repair_answers import stops_parameters
from hub.fhir.repair_request import stop_parameters
from hub.intake.stopping import StopService
from hub.store.stops import Stop

OPERATIONS = ("stop", "start")


@dataclass(frozen=True, slots=True)
class StopRoutes:
    """What is addressed to a base as a whole: ``$stop`` and ``$start`` here, everything else by ``others``."""

    service: StopService
    others: Routes

    async def answer(self, exchange: Exchange) -> Answer:
        address = exchange.address
        if address.operation not in OPERATIONS:
            return await self.others.answer(exchange)
        if exchange.method != "POST":
            raise NotOffered(f"${address.operation} is called with POST")
        asked = stop_parameters(exchange.query, await exchange.optional_body())
        stop = Stop(exchange.tenant, address.base.value if asked.topic else "", asked.topic or asked.endpoint)
        count = await self.service.change(stop, exchange.principal, stopped=address.operation == "stop")
        standing = sorted(
            ("topic" if each.is_topic else "endpoint", each.name, since)
            for each, since in (await self.service.all()).items()
            if each.tenant == exchange.tenant and each.base in ("", address.base.value)
        )
        return Answer(200, write_json(stops_parameters(standing, count)))
