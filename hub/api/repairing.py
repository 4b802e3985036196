"""Operations on one Subscription for whoever looks after it: ``$attempts``, ``$transitions``, ``$dead-letters``,
``$resend`` (S-190), ``$pause``, ``$resume`` and ``$test``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.api.exchange import ABOUT_THE_ANSWER, Exchange
from hub.api.server import READS
from hub.api.wire import Answer
from hub.api.writing import all_well
from hub.domain.subscription import SubscriptionKey
from hub.errors import Issue, Malformed, NotOffered
from hub.fhir.json import write_json
from hub.fhir.reading import require_resource_type
from hub.fhir.repair_answers import (
    attempts_parameters,
    dead_letter_part,
    parameters,
    pause_parameters,
    transitions_parameters,
)
from hub.fhir.repair_request import LetterAction, letter_parameters, numbers_text, resend_parameters
from hub.intake.probing import ProbeService
from hub.intake.repair import KEPT, RepairService, SentAgain, waiting_in

MOST_LISTED = 1000
"""Dead letters in one answer, lowest numbers first; the others follow when these are redriven or dropped."""
READING = ("attempts", "transitions", "dead-letters")
CHANGING = ("resend", "pause", "resume", "test")


@dataclass(frozen=True, slots=True)
class RepairRoutes:
    service: RepairService
    probe: ProbeService

    def serves(self, operation: str) -> bool:
        return operation in READING or operation in CHANGING

    async def answer(self, exchange: Exchange) -> Answer:
        """``exchange`` names one Subscription and one of these operations."""
        operation, method = exchange.address.operation, exchange.method
        if method != "POST" and (operation in CHANGING or method not in READS):
            raise NotOffered(f"${operation} is called with POST" + (" or GET" if operation in READING else ""))
        body = await exchange.optional_body() if method == "POST" else None
        match operation:
            case "attempts":
                _no_parameters(exchange, body)
                return _told(attempts_parameters(await self.service.attempts(_key(exchange))))
            case "transitions":
                _no_parameters(exchange, body)
                return await self._transitions(exchange)
            case "dead-letters":
                return await self._dead_letters(exchange, body)
            case "test":
                _no_parameters(exchange, body)
                change, focus = await self.probe.test(_key(exchange), exchange.principal)
                told = (("change", str(change)), ("focus", focus))
                return _told(parameters([{"name": name, "valueString": value} for name, value in told]))
            case "resend":
                sent = await self.service.resend(_key(exchange), resend_parameters(exchange.query, body))
                return _sent(sent)
            case _:
                _no_parameters(exchange, body)
                return await self._pause(exchange)

    async def _transitions(self, exchange: Exchange) -> Answer:
        record, transitions = await self.service.transitions(_key(exchange))
        assert record.status is not None
        return _told(transitions_parameters(record.status, record.paused, transitions))

    async def _dead_letters(self, exchange: Exchange, body: dict[str, Any] | None) -> Answer:
        """Listed; with an action, which is a POST's alone, sent again or dropped."""
        asked, key = letter_parameters(exchange.query, body), _key(exchange)
        if asked.action is None:
            record, letters = await self.service.dead_letters(key)
            redriven = [each.numbers for each in record.again if each.letters]
            parts = [
                dead_letter_part(
                    letter.number, str(letter.reference.change), letter.status, letter.detail,
                    waiting=any(letter.number in numbers for numbers in redriven),
                )
                for letter in letters[:MOST_LISTED]
            ]  # fmt: skip
            if len(letters) > MOST_LISTED:
                parts.append({"name": "not-listed", "valueInteger": len(letters) - MOST_LISTED})
            return _told(parameters(parts))
        if exchange.method != "POST":
            raise NotOffered("dead letters are redriven and dropped with POST")
        if asked.action is LetterAction.REDRIVE:
            return _sent(await self.service.redrive(key, asked.numbers))
        count = await self.service.drop(key, asked.numbers, exchange.principal)
        return Answer(200, all_well(f"dropped {count} dead letter{'' if count == 1 else 's'}"))

    async def _pause(self, exchange: Exchange) -> Answer:
        paused = exchange.address.operation == "pause"
        record = await self.service.pause(_key(exchange), exchange.principal, paused=paused)
        return _told(pause_parameters(record.paused, waiting_in(record), KEPT))


def _key(exchange: Exchange) -> SubscriptionKey:
    return SubscriptionKey(exchange.tenant, exchange.address.base, exchange.address.id)


def _told(resource: dict[str, Any]) -> Answer:
    return Answer(200, write_json(resource))


def _sent(sent: SentAgain) -> Answer:
    """An OperationOutcome, as $resend is defined to answer."""
    said = f"on their way again, after what waits: {numbers_text(sent.numbers)}" if sent.numbers else "nothing new"
    warnings = [Issue("informational", warning, severity="warning") for warning in sent.warnings]
    return Answer(200, all_well(said, warnings))


def _no_parameters(exchange: Exchange, body: dict[str, Any] | None) -> None:
    if exchange.query_without(*ABOUT_THE_ANSWER):
        raise Malformed(f"${exchange.address.operation} takes no parameters; leave them out", code="not-supported")
    if body is not None:
        require_resource_type(body, "Parameters")
        if body.get("parameter"):
            raise Malformed(f"${exchange.address.operation} takes no parameters; leave them out", code="not-supported")
