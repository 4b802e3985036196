"""The door: one plain ASGI application that finds the room for a request and answers every error in FHIR's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Receive, Scope, Send

from hub.api.address import Address, read_address
from hub.api.admission import Admission
from hub.api.exchange import Exchange
from hub.api.wire import Answer, header, headers_of, internal_fault, refused
from hub.domain.versions import FhirVersion
from hub.errors import HubError, NotOffered
from hub.fhir.life_operations import SIGNING
from hub.fhir.searches import offered
from hub.security.tokens import Guard

DEV_HEADER = "X-Hub-Dev"
"""On every answer while everybody is let in (SECURITY A1)."""
READS = ("GET", "HEAD")
OWN_ROOMS = ("SearchParameter", "Subscription", "SubscriptionTopic")
"""They are neither patched nor listed by version; everything else is."""
OPEN_PATHS = frozenset(f"{version.path}/{name}" for version in FhirVersion for name in ("metadata", "$versions"))


class Routes(Protocol):
    """A room that answers exchanges."""

    async def answer(self, exchange: Exchange) -> Answer: ...


@dataclass(frozen=True, slots=True)
class FhirServer:
    """Everything below ``/fhir``. ``metadata`` answers ``{base}/metadata``, open to all (S-201)."""

    guard: Guard
    resources: Routes
    rooms: dict[str, Routes]
    metadata: Callable[[FhirVersion], Awaitable[Answer]]
    base_url: Callable[[FhirVersion], str]
    most_bytes: int
    admission: Admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        if self.guard.open_to_all:
            answer.headers[DEV_HEADER] = "1"
        await answer.send(send, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        address: Address | None = None
        try:
            principal = "" if _is_open(scope) else self.guard.principal(header(headers_of(scope), b"authorization"))
            address = read_address(scope["path"])
            async with self.admission.visit() as visit:
                base_url = self.base_url(address.base)
                exchange = Exchange(scope, receive, address, principal, base_url, self.most_bytes, visit)
                if address.is_metadata:
                    return await self._metadata(exchange)
                room = self.rooms.get(address.type, self.resources)
                return await room.answer(exchange)
        except HubError as problem:
            return refused(problem, _allowed(address, scope["method"]))
        except Exception as problem:  # noqa: BLE001 the last line: whatever it is, the caller gets an answer, the log the reason
            return internal_fault(problem)

    async def _metadata(self, exchange: Exchange) -> Answer:
        if exchange.method not in READS:
            raise NotOffered("metadata is read with GET")
        exchange.refuse_parameters()
        return await self.metadata(exchange.address.base)


def _is_open(scope: Scope) -> bool:
    """``metadata`` and ``$versions`` tell nothing about anybody; by them a client learns what to send (S-201)."""
    return scope["method"] in READS and scope["path"] in OPEN_PATHS


def _allowed(address: Address | None, method: str) -> str:
    """The methods that work at an address, for the Allow header that every 405 carries; without the one refused."""
    if address is None:
        return ""
    return ", ".join(each for each in _methods(address) if each != method)


def _methods(address: Address) -> tuple[str, ...]:
    searched, ordinary = bool(offered(address.type, address.base)), address.type not in OWN_ROOMS
    if address.operation:
        return _operation_methods(address)
    if address.special == "_search":
        return ("POST",) if searched else ()
    if address.special:
        return READS if address.is_metadata or (address.special == "_history" and address.id and ordinary) else ()
    if address.version is not None:
        return READS
    if address.id:
        return (*READS, "PUT", *(("PATCH",) if ordinary else ()), "DELETE")
    return (*(READS if searched else ()), "POST")


def _operation_methods(address: Address) -> tuple[str, ...]:
    if address.type:
        if address.operation == SIGNING:
            return ("POST",)
        return (*READS, "POST") if address.type == "Subscription" else ()
    return (*READS, "POST") if address.operation == "versions" else ("POST",)
