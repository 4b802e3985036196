"""The message channel: a notification is a FHIR message to the endpoint's ``$process-message`` (S-177…S-179, S-015)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from hub.channels.endpoint import read_endpoint
from hub.channels.hub_headers import hub_headers
from hub.channels.outcomes import judge_response
from hub.channels.response import Failure, Response
from hub.channels.sender import Sender
from hub.domain.delivery import Dispatch, Outcome, OutcomeKind
from hub.domain.request_headers import objection
from hub.domain.subscription import Channel, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.messages import DEFAULT_EVENT, MessageParts, message_bundle, response_code

OPERATION = "/$process-message"
NAMESPACE = uuid.UUID("0b0f7f0e-6f0a-5c3e-8d3a-4a1f6d2c9b55")
"""Of the ids of headers: equal on every attempt at the same notification, and never that of the Bundle inside."""
_SAID = {"fatal-error": OutcomeKind.REFUSED, "transient-error": OutcomeKind.FAILED}
"""MessageHeader.response.code of a receiver that answers in kind (S-179)."""


def system_clock() -> datetime:
    return datetime.now(UTC)


def random_id() -> str:
    return str(uuid.uuid4())


def process_message_url(endpoint: str) -> str:
    """Where messages for this endpoint go: its operation, once."""
    base = endpoint.rstrip("/")
    return base if base.endswith(OPERATION) else base + OPERATION


class Message:
    """Delivers by POST of a message.

    ``base_urls`` are (hub, source of record) by version, ``event`` is ``system|code``, ``new_id`` names each Bundle.
    """

    def __init__(
        self,
        sender: Sender,
        base_urls: Mapping[FhirVersion, tuple[str, str]],
        event: str = DEFAULT_EVENT,
        *,
        clock: Callable[[], datetime] = system_clock,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._sender = sender
        self._base_urls = base_urls
        self._event = event
        self._clock = clock
        self._new_id = new_id

    async def deliver(
        self, channel: Channel, dispatch: Dispatch, *, delivery_id: str, deadline_seconds: float
    ) -> Outcome:
        """Send it with the channel's headers (S-151); what came of it, whatever the receiver does.

        Any 2xx is a delivery, unless its body is a message whose header says that it is none (S-179).
        """
        body = self._message(channel, dispatch, delivery_id)
        content_type = channel.content_type or "application/fhir+json"
        own = hub_headers(dispatch, delivery_id, body, self._clock)
        headers = [("Content-Type", content_type), *own, *channel.headers]
        if any(objection(name, value) for name, value in channel.headers):  # stored under other rules than today's
            response = Response(failure=Failure.NOT_SENDABLE)
        else:
            url = process_message_url(channel.endpoint)
            response = await self._sender.send("POST", url, headers, body, deadline_seconds)
        return _judge(response, _host(channel.endpoint), self._clock())

    def _message(self, channel: Channel, dispatch: Dispatch, delivery_id: str) -> bytes:
        version = SubscriptionKey.parse(dispatch.subscription).base
        base_url, source_base_url = self._base_urls[version]
        if dispatch.notification:
            full_url = f"urn:uuid:{dispatch.notification.bundle_id}"
        else:
            full_url = f"{source_base_url.rstrip('/')}/{dispatch.update_of}"
        parts = MessageParts(
            bundle_id=self._new_id(),
            header_id=str(uuid.uuid5(NAMESPACE, delivery_id)),
            timestamp=self._clock(),
            event=self._event,
            source=base_url.rstrip("/"),
            destination=channel.endpoint.rstrip("/").removesuffix(OPERATION),
            full_url=full_url,
            payload=dispatch.body,
        )
        return message_bundle(parts, version)


def _judge(response: Response, host: str, now: datetime) -> Outcome:
    outcome = judge_response(response, host, now)
    said = response_code(response.body) if outcome.kind is OutcomeKind.DELIVERED else ""
    if said not in _SAID:
        return outcome
    return replace(outcome, kind=_SAID[said], error="error-response", detail=f"{host}: answered {said}")


def _host(endpoint: str) -> str:
    """The host of an endpoint for logs: no path, no user, no port."""
    try:
        return read_endpoint(endpoint, "Subscription.endpoint").host
    except Unprocessable:
        return "endpoint"
