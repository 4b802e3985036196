"""What every answer has in common: negotiation, headers, and errors turned into OperationOutcomes."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

from starlette.types import Receive, Scope, Send

from hub.domain.versions import FhirVersion
from hub.errors import (
    HubError,
    Issue,
    Malformed,
    NotAcceptable,
    NotOffered,
    NotTaken,
    Overloaded,
    Refused,
    TooLarge,
    TooSlow,
    Unauthorised,
    Unavailable,
    UnsupportedMediaType,
)
from hub.fhir.bundle_entries import ENTITY_TAG
from hub.fhir.json import write_json
from hub.fhir.outcomes import operation_outcome

log = logging.getLogger(__name__)

FHIR_JSON = "application/fhir+json"
_JSON_TYPES = {FHIR_JSON, "application/json", "text/json"}
_JSON_FORMATS = {"json", *_JSON_TYPES}
_NO_QUALITY = re.compile(r"q=0(?:\.0{0,3})?")
_BODILESS = (204, 304)
RETRY_AFTER_UNAVAILABLE = "2"
RETRY_AFTER_NOT_TAKEN = "5"
BODY_SECONDS = 30.0
"""For a whole body: whoever sends it slower keeps others out (HUB_MAX_REQUESTS_IN_FLIGHT)."""


class BodyRoom(Protocol):
    """Where the bytes of a request's body are counted until it is answered."""

    def expect(self, size: int) -> None:
        """So many will come. Raises Full when they would not fit now."""

    def take(self, size: int) -> None:
        """So many came. Raises Full when they do not fit any more."""


@dataclass(slots=True)
class Answer:
    """One HTTP answer; ``headers`` without content-type and content-length."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = FHIR_JSON

    async def send(self, send: Send, *, with_body: bool = True) -> None:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.body:
            headers.append((b"content-type", f"{self.media_type};charset=utf-8".encode()))
        if self.status not in _BODILESS:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body if with_body else b""})


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by lower-case name; the values of a repeated one are joined by commas (RFC 9110 §5.3)."""
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    headers = dict(pairs)
    if len(headers) != len(pairs):
        return {name: b", ".join(value for other, value in pairs if other == name) for name in headers}
    return headers


def header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """The value as text, "" when absent. Raises Malformed for what is not printable ASCII."""
    raw = headers.get(name)
    if raw is None:
        return ""
    text = raw.decode("latin-1")
    if not text.isascii() or not text.isprintable():
        raise Malformed(f"the header {name.decode()} may hold printable ASCII only")
    return text


def version_header(version: int, moment: datetime) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"ETag": f'W/"{version}"', "Last-Modified": format_datetime(moment.astimezone(UTC), usegmt=True)}


def if_match(headers: Mapping[bytes, bytes]) -> int | None:
    """The version that If-Match names, None without it. Raises Malformed for anything but one version."""
    if b"if-match" not in headers:
        return None
    text = header(headers, b"if-match")
    found = ENTITY_TAG.fullmatch(text)
    if not found:
        raise Malformed(f'If-Match must name one version, such as W/"3", not {text}', code="invalid")
    return int(found[1])


def none_match(headers: Mapping[bytes, bytes], etag: str) -> bool:
    """Whether If-None-Match names this version: what the caller holds is still right, so 304."""
    named = [part.strip() for part in header(headers, b"if-none-match").split(",")]
    return "*" in named or etag.removeprefix("W/") in (part.removeprefix("W/") for part in named)


def check_accept(headers: Mapping[bytes, bytes], query: Iterable[tuple[str, str]], version: FhirVersion) -> None:
    """JSON is what is served. Raises NotAcceptable when the caller takes something else only (S-005)."""
    wanted = [value for name, value in query if name == "_format"]
    if wanted:
        if not _acceptable(wanted[-1], version):
            raise NotAcceptable(f"_format {wanted[-1]} is not served; use {_served(version)}")
        return
    accept = header(headers, b"accept")
    if accept and not any(_acceptable(part, version) for part in accept.split(",")):
        raise NotAcceptable(f"none of {accept} is served; use {_served(version)}")


def asks_for_text(headers: Mapping[bytes, bytes], query: Iterable[tuple[str, str]]) -> bool:
    """Does the caller want text/plain, by ``_format`` or as the first of what it accepts?"""
    wanted = [value for name, value in query if name == "_format"]
    first = wanted[-1] if wanted else header(headers, b"accept").partition(",")[0]
    return first.partition(";")[0].strip().lower() in ("text", "text/plain")


def _served(version: FhirVersion) -> str:
    others = ", ".join(f"{other.mime_parameter} at {other.path}" for other in FhirVersion if other is not version)
    return f"json ({FHIR_JSON}; fhirVersion={version.mime_parameter}); there is no XML; other versions are {others}"


def _acceptable(media_range: str, version: FhirVersion) -> bool:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    known = name.replace(" ", "+") in _JSON_FORMATS or name in ("*/*", "application/*")
    refused_by_caller = any(_NO_QUALITY.fullmatch(parameter) for parameter in parameters)
    return known and not refused_by_caller and _own_version(parameters, version)


def check_content_type(headers: Mapping[bytes, bytes], version: FhirVersion) -> None:
    """Raises UnsupportedMediaType unless the body is announced as FHIR JSON of this base's version, in UTF-8."""
    written = header(headers, b"content-type")
    name, *parameters = (part.strip().lower() for part in written.split(";"))
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    if name not in _JSON_TYPES or not _own_version(parameters, version) or charsets not in ([], ["utf-8"]):
        own = f"{FHIR_JSON} (fhirVersion={version.mime_parameter}, or none said) in UTF-8"
        raise UnsupportedMediaType(f"the body must be {own}, not {written or 'without a Content-Type'}")


def _own_version(parameters: Iterable[str], version: FhirVersion) -> bool:
    """A ``fhirVersion`` parameter, when there is one, must be that of the base."""
    found = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("fhirversion=")]
    return all(value in (version.mime_parameter, version.number) for value in found)


class Preference:
    """What ``Prefer`` asks for: ``return=…``, the whole resource when nothing is said, and ``handling=lenient``."""

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        wanted = re.findall(r"return=([A-Za-z]+)", header(headers, b"prefer"))
        self.minimal = wanted[:1] == ["minimal"]
        self.representation = wanted[:1] == ["representation"]
        self.outcome = wanted[:1] == ["OperationOutcome"]
        self.lenient = re.findall(r"handling=([a-z]+)", header(headers, b"prefer"))[:1] == ["lenient"]


def refused(problem: HubError, allow: str) -> Answer:
    """The answer to a request that went wrong (SECURITY I22: never a stack trace, never a 5xx for bad input)."""
    if isinstance(problem, Refused):
        answer = Answer(problem.status, write_json(operation_outcome(problem.issues)))
        if isinstance(problem, NotOffered):
            answer.headers["Allow"] = allow
        if isinstance(problem, Unauthorised):
            answer.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(problem, (TooLarge, TooSlow)):
            answer.headers["Connection"] = "close"
        return answer
    if isinstance(problem, Overloaded):
        return _later(problem.status, Issue("throttled", str(problem)), str(problem.retry_after_seconds))
    if isinstance(problem, NotTaken):
        log.error("the store refused a command", extra={"reason": str(problem)})
        return _later(503, Issue("transient", f"{problem}; it was not carried out: repeat it"), RETRY_AFTER_NOT_TAKEN)
    if isinstance(problem, Unavailable):
        log.error("a request could not be confirmed", extra={"reason": str(problem)})
        issue = Issue("transient", "the store did not confirm this in time; whether it stands is unknown: repeat it")
        return _later(503, issue, RETRY_AFTER_UNAVAILABLE)
    return internal_fault(problem)


def _later(status: int, issue: Issue, seconds: str) -> Answer:
    return Answer(status, write_json(operation_outcome([issue])), {"Retry-After": seconds})


def internal_fault(problem: Exception) -> Answer:
    """A fault of ours: the caller gets a number to quote, the log gets the reason."""
    ticket = uuid.uuid4().hex[:12]
    log.error("a request failed inside the hub", exc_info=problem, extra={"ticket": ticket})
    issue = Issue("exception", f"this is a fault of the hub; its log has the reason under {ticket}")
    return Answer(500, write_json(operation_outcome([issue])))


async def read_body(scope: Scope, receive: Receive, most: int, room: BodyRoom) -> bytes:
    """The whole request body. Raises TooLarge past ``most`` bytes, Full when there is no ``room`` for it among the
    others, TooSlow after BODY_SECONDS, UnsupportedMediaType for a compressed one, Malformed when it breaks off.
    """
    headers = headers_of(scope)
    if header(headers, b"content-encoding") not in ("", "identity"):
        raise UnsupportedMediaType("compressed bodies are not read; send it without Content-Encoding")
    announced = header(headers, b"content-length").lstrip("0")
    if announced.isdigit() and (len(announced) > len(str(most)) or int(announced) > most):
        raise TooLarge(f"the body is larger than {most} bytes")
    room.expect(int(announced) if announced.isdigit() else 0)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _chunks(receive, most, room)
    except TimeoutError:
        raise TooSlow(f"the body did not come within {BODY_SECONDS:.0f} s; send it again, or in parts") from None


async def _chunks(receive: Receive, most: int, room: BodyRoom) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the connection ended before the body did")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise TooLarge(f"the body is larger than {most} bytes")
        room.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
