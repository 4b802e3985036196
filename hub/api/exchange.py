"""One HTTP exchange with a FHIR base: the request, read once and checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope

from hub.api.address import Address
from hub.api.wire import (
    BodyRoom,
    Preference,
    asks_for_text,
    check_accept,
    check_content_type,
    header,
    headers_of,
    read_body,
)
from hub.beside import beside
from hub.errors import Malformed, NotFound
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json
from hub.fhir.query_strings import read_query

DEFAULT_TENANT = "default"
LARGEST_DEFINITION_BYTES = 64 * 1024
ABOUT_THE_ANSWER = ("_format", "_pretty")
"""Parameters that every request may carry: they ask nothing of the resources."""
_PRECONDITIONS = (b"if-match", b"if-none-match", b"if-none-exist", b"if-unmodified-since")


class Exchange:
    """What routes ask of a request. Nothing of the body is read before ``body`` is called."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        address: Address,
        principal: str,
        base_url: str,
        most_bytes: int,
        room: BodyRoom,
    ) -> None:
        self.address = address
        self.principal = principal
        self.base_url = base_url
        self.tenant = DEFAULT_TENANT
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Mapping[bytes, bytes] = headers_of(scope)
        self.query = read_query(scope["query_string"])
        self._scope = scope
        self._receive = receive
        self._most_bytes = most_bytes
        self._room = room
        self._raw: bytes | None = None
        self.takes_text = address.operation == "explain" and asks_for_text(self.headers, self.query)
        """The answer is for people: text/plain was asked for where it is offered."""
        if not self.takes_text:
            check_accept(self.headers, self.query, address.base)
        self.preference = Preference(self.headers)

    def header(self, name: bytes) -> str:
        return header(self.headers, name)

    def query_without(self, *names: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.query if name not in names]

    def refuse_parameters(self) -> None:
        """Raises Malformed for a query: what is asked in it would be overlooked."""
        rest = self.query_without(*ABOUT_THE_ANSWER)
        if rest:
            raise Malformed(f"{self.method} takes no parameter {rest[0][0]} here; leave it out", code="not-supported")

    def refuse_conditions(self, *, but: bytes = b"") -> None:
        """Raises Malformed for a condition on a write that the hub would not keep; ``but`` it keeps."""
        for name in _PRECONDITIONS:
            if name in self.headers and name != but:
                raise Malformed(f"{name.decode().title()} is not offered here; leave it out", code="not-supported")

    @property
    def media_type(self) -> str:
        """The announced type of the body, without parameters."""
        return self.header(b"content-type").partition(";")[0].strip().lower()

    async def body(self, most_bytes: int = 0, also: Sequence[str] = ()) -> bytes:
        """The whole body, announced as FHIR JSON or as one of ``also``; asked again, the same bytes.

        Raises UnsupportedMediaType, TooLarge.
        """
        if self.media_type not in also:
            check_content_type(self.headers, self.address.base)
        if self._raw is None:
            self._raw = await read_body(self._scope, self._receive, most_bytes or self._most_bytes, self._room)
        return self._raw

    async def definition(self) -> bytes:
        """The body of a Subscription or topic; it is read again with every event, so it must be small (SECURITY E3)."""
        return await self.body(min(self._most_bytes, LARGEST_DEFINITION_BYTES))

    async def optional_body(self) -> dict[str, Any] | None:
        """The resource of a POSTed operation; None when nothing was sent."""
        raw = await read_body(self._scope, self._receive, self._most_bytes, self._room)
        if not raw:
            return None
        check_content_type(self.headers, self.address.base)
        return await beside(len(raw), read_json, raw)

    async def resource_in(self, raw: bytes) -> dict[str, Any]:
        """The resource in the body, of the type that the address names. Raises Malformed."""
        resource = await beside(len(raw), read_json, raw)
        wanted = self.address.type
        if resource.get("resourceType") != wanted:
            raise Malformed(f'write "resourceType": "{wanted}", as in the URL', expression=f"{wanted}.resourceType")
        return resource

    def check_type(self) -> None:
        """Raises NotFound for a type that this FHIR version does not have."""
        if self.address.type not in definitions(self.address.base).resource_types:
            number = self.address.base.number
            raise NotFound(f"FHIR {number} has no resource type {self.address.type}", code="not-supported")
