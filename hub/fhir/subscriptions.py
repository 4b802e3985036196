"""What every dialect asks of a Subscription, whatever its elements are called (S-071…S-101)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.domain.mail import read_mail_form, read_mailto
from hub.domain.subscription import Content, Status
from hub.domain.versions import FhirVersion
from hub.fhir.headers import Header, check_headers
from hub.fhir.json import read_instant
from hub.fhir.reading import Json, Problems, refuse_modifiers, require_resource_type, text, whole
from hub.fhir.structure import structural_issues
from hub.fhir.topics import CANONICAL_URL

CHANNEL_TYPES = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
DEFAULT_CONTENT_TYPE = "application/fhir+json"
DEFAULT_MAIL_TYPE = "text/plain"

_CANONICAL = re.compile(CANONICAL_URL.pattern + r"(?:\|[^\s|#?]+)?")
_HTTP_URL = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?", re.IGNORECASE)
_WEBSOCKET_URL = re.compile(r"wss?://\S+", re.IGNORECASE)
_ABSOLUTE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_GOVERNED_EXTENSION = re.compile(r"http://hl7\.org/fhir/(?:uv/subscriptions-backport/|\d+\.\d+/)")
_JSON_MIME = re.compile(
    r"application/(?:fhir\+)?json(?:\s*;\s*fhirVersion\s*=\s*(?P<version>\"?[\d.]+\"?))?", re.IGNORECASE
)
ROOT = "Subscription"


@dataclass(frozen=True, slots=True)
class Limits:
    """What this hub offers and within which bounds; values outside are clamped and returned (S-080, S-101).

    ``channel_types`` are codes of subscription-channel-type, or ``system|code`` for a custom channel.
    ``switched_off`` says of a channel type that this hub could offer what its operator must set for it.
    ``full_resource_by_mail`` is the operator's word that whole resources may go by mail (HOUSE ruling 35).
    """

    channel_types: frozenset[str] = frozenset({"rest-hook", "message", "websocket"})
    switched_off: Mapping[str, str] = field(default_factory=dict)
    full_resource_by_mail: bool = False
    min_mail_heartbeat_seconds: int = 3600
    default_timeout_seconds: int = 15
    max_timeout_seconds: int = 120
    min_heartbeat_seconds: int = 10
    max_heartbeat_seconds: int = 86_400
    max_count: int = 1000
    was_checked: bool = False
    """Structure and extensions were checked when it was accepted, and are not again: that is half of the work."""


@dataclass(frozen=True, slots=True)
class SubscriptionChecks:
    """The questions, asked of one resource; what is wrong goes to ``problems`` and is read as a harmless default."""

    version: FhirVersion
    limits: Limits
    problems: Problems

    @classmethod
    def begin(cls, resource: Json, version: FhirVersion, limits: Limits) -> SubscriptionChecks:
        """Check the structure and refuse modifiers. Raises Malformed when it is no Subscription at all."""
        require_resource_type(resource, ROOT)
        problems = Problems(() if limits.was_checked else structural_issues(resource, version))
        if not limits.was_checked:
            refuse_modifiers(resource, ROOT, problems)
        return cls(version, limits, problems)

    def status(self, resource: Json) -> Status:
        """What the client asks for: ``active`` and ``error`` are the server's to set and mean ``requested``
        (S-072, S-074, S-076); ``entered-in-error`` exists in R5 only (S-071)."""
        codes = [code.value for code in Status if code is not Status.ENTERED_IN_ERROR or self.version is FhirVersion.R5]
        written = text(resource, "status")
        if written not in codes:
            self.problems.add(
                "code-invalid" if written else "required", f"{ROOT}.status", "Write the status requested or off."
            )
            return Status.REQUESTED
        asked = Status(written)
        return Status.REQUESTED if asked in (Status.ACTIVE, Status.ERROR) else asked

    def topic(self, canonical: str, path: str) -> str:
        """The canonical of a topic. R5 knows no other; R4 and R4B also subscribe to a search (S-007)."""
        if not _CANONICAL.fullmatch(canonical):
            classic = (
                "; R5 has no subscriptions to a search (Type?param=value)."
                if self.version is FhirVersion.R5
                else ", or a search with its type, such as Observation?code=1975-2."
            )
            self.problems.add(
                "value" if canonical else "required",
                path,
                "Give the canonical URL of a SubscriptionTopic, such as http://example.org/topics/admission, with or "
                f"without |version{classic}",
            )
        return canonical

    def end(self, resource: Json) -> datetime | None:
        written = text(resource, "end")
        moment = read_instant(written) if written else None
        if moment is None and resource.get("end") is not None:
            self.problems.add("value", f"{ROOT}.end", "Write an instant that exists, such as 2030-12-31T12:00:00Z.")
        return moment

    def channel_type(self, system: str, code: str, path: str) -> str:
        """A code of subscription-channel-type, or ``system|code`` for a custom channel; only what is offered."""
        name = code if system in ("", CHANNEL_TYPES) else f"{system}|{code}"
        offered = self.limits.channel_types
        if name not in offered:
            use = self.limits.switched_off.get(name) or f"use {', '.join(sorted(offered))}."
            self.problems.add(
                "not-supported" if code else "required", path, f"Channel type {name!r} is not offered: {use}"
            )
        return name

    def endpoint(self, channel_type: str, url: str, path: str) -> str:
        """An absolute URL (S-153); which addresses may be called is judged elsewhere. A websocket needs none."""
        if channel_type == "email":
            self._mailto(url, path)
        elif channel_type in ("rest-hook", "message") and not _HTTP_URL.fullmatch(url):
            self.problems.add(
                "value" if url else "required", path, "Give the absolute http(s) URL that notifications are sent to."
            )
        elif channel_type == "message" and "?" in url:
            self.problems.add("value", path, "Give the base of a FHIR server, without ?: messages go to its operation.")
        elif channel_type == "websocket" and url and not _WEBSOCKET_URL.fullmatch(url):
            self.problems.add("value", path, "A websocket is opened by the client: leave the endpoint out.")
        elif channel_type != "websocket" and not _ABSOLUTE_URL.fullmatch(url):
            self.problems.add("value" if url else "required", path, "Give the absolute URL of the receiver.")
        return url

    def _mailto(self, url: str, path: str) -> None:
        """One recipient and nothing else (S-170, S-175)."""
        try:
            read_mailto(url)
        except ValueError as reason:
            self.problems.add("value" if url else "required", path, f"No mail can be sent to this endpoint: {reason}.")

    def content_type(self, channel_type: str, mime: str, path: str) -> str:
        """A MIME type the hub writes on this channel, in the FHIR version of this base (S-005, S-170, S-172)."""
        own = self.version.mime_parameter
        if channel_type == "email":
            try:
                version = read_mail_form(mime).fhir_version
            except ValueError as reason:
                self.problems.add("not-supported", path, f"This cannot be sent by mail: {reason}.")
                return mime
        else:
            parts = _JSON_MIME.fullmatch(mime.strip())
            if parts is None:
                said = f"Notifications are written as application/fhir+json or application/json, fhirVersion={own}."
                self.problems.add("not-supported", path, said)
                return mime
            version = (parts["version"] or "").strip('"')
        if version and version != own:
            self.problems.add(
                "not-supported", path, f"Notifications of this base are written in fhirVersion={own}: use that or none."
            )
        return mime

    def headers(self, channel_type: str, headers: Sequence[Header], paths: Sequence[str]) -> tuple[Header, ...]:
        """HTTP headers (S-151). A mail takes none: each could change what it says or where it goes (S-174). Nor does a
        websocket: its client opens it, so the hub makes no request that could carry them."""
        if channel_type == "websocket" and headers:
            self.problems.add("not-supported", paths[0], "A websocket sends no headers: leave them out.")
        elif channel_type != "email":
            check_headers(headers, paths, self.problems)
        elif headers:
            self.problems.add(
                "not-supported", paths[0], "Mail takes no headers; the hub writes them all: leave these out."
            )
        return tuple(headers)

    def may_carry(self, channel_type: str, content: Content, path: str) -> Content:
        """Whole resources go by mail only when the operator said so: SMTP is no safe channel (S-175, ruling 35)."""
        if channel_type == "email" and content is Content.FULL_RESOURCE and not self.limits.full_resource_by_mail:
            said = "Whole resources do not go by mail here: use empty or id-only, or the operator sets "
            self.problems.add("security", path, f"{said}HUB_EMAIL_FULL_RESOURCE=1.")
        return content

    def content(self, code: str, path: str) -> Content:
        if code not in list(Content):
            self.problems.add(
                "not-supported", path, f"Write one of the content levels {', '.join(Content)} instead of {code!r}."
            )
            return Content.EMPTY
        return Content(code)

    def whole(self, owner: Json, name: str, path: str) -> int | None:
        """The whole number at ``name``, not negative; None when absent. A number in quotes is refused."""
        number = whole(owner, name)
        if name in owner and (number is None or number < 0):
            self.problems.add("value", path, "Write a whole number, 0 or more, without quotes.")
            return None
        return number

    def heartbeat(self, channel_type: str, seconds: int | None) -> int:
        """0 for none; else within the limits (S-101). People read mail: not one every few seconds."""
        limits = self.limits
        least = limits.min_mail_heartbeat_seconds if channel_type == "email" else limits.min_heartbeat_seconds
        return min(max(seconds, least), limits.max_heartbeat_seconds) if seconds else 0

    def timeout(self, seconds: int | None) -> int:
        wanted = self.limits.default_timeout_seconds if seconds is None else seconds
        return min(max(wanted, 1), self.limits.max_timeout_seconds)

    def max_count(self, count: int | None) -> int:
        return min(max(count or 1, 1), self.limits.max_count)

    def extensions(self, resource: Json, known: Mapping[str, frozenset[str]]) -> None:
        """Refuse unknown or misplaced extensions that say something about Subscriptions (S-090, S-091).

        ``known`` has the allowed URLs by element. Extensions of other publishers are kept and ignored.
        """
        for path, url in () if self.limits.was_checked else _extensions(resource, ROOT):
            if _GOVERNED_EXTENSION.match(url) and url not in known.get(path, frozenset()):
                self.problems.add("extension", f"{path}.extension('{url}')", _where_to_write(url, known))


def _where_to_write(url: str, known: Mapping[str, frozenset[str]]) -> str:
    places = [path for path, urls in known.items() if url in urls]
    if places:
        return f"This extension belongs to {places[0]}: write it there."
    name = url.rpartition("/")[2]
    for path, urls in known.items():
        if BACKPORT + name in urls:
            return f"The hub does not know this extension: write {BACKPORT}{name} at {path}."
    return "The hub does not know this extension and cannot do what it may ask for: leave it out."


def _extensions(value: Any, path: str) -> list[tuple[str, str]]:
    """(element, url) of every extension; those of a primitive stand in its ``_name`` twin (S-088)."""
    if isinstance(value, list):
        return [found for item in value for found in _extensions(item, path)]
    if not isinstance(value, Mapping):
        return []
    here: list[tuple[str, str]] = []
    for name, item in value.items():
        if name == "extension" and isinstance(item, list):
            here += [(path, text(each, "url")) for each in item if isinstance(each, Mapping)]
        elif name != "contained":
            here += _extensions(item, f"{path}.{name.removeprefix('_')}")
    return here
