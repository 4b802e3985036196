"""Dispatches and channels for mail, as the delivery worker would make them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hub.channels.email import Email
from hub.channels.smtp import MailServer
from hub.domain.change import Interaction
from hub.domain.delivery import Dispatch, Outcome
from hub.domain.event import Notification, NotificationEvent, NotificationType
from hub.domain.subscription import Channel, Content, Status
from hub.domain.versions import FhirVersion
from hub.fhir.dialects import dialect

SENDER = "hub@hub.example.org"
RECIPIENT = "ward-7@hospital.example.org"
DELIVERY = "7d9f1c1e-2a4b-5c6d-8e9f-0a1b2c3d4e5f"
NOW = datetime(2026, 3, 4, 6, 0, 0, tzinfo=UTC)
BASES = {version: (f"https://hub.example.org{version.path}",) * 2 for version in FhirVersion}
CANARY = "canary-4711"
OBSERVATION = (
    b'{"resourceType":"Observation","id":"canary-4711","status":"final","code":{"text":"potassium"},'
    b'"subject":{"reference":"Patient/canary-4711","display":"Canary Patient"},"valueQuantity":{"value":6.30}}'
)


def mail_channel(endpoint: str = f"mailto:{RECIPIENT}", **parts: Any) -> Channel:
    return Channel(type="email", endpoint=endpoint, **{"content_type": "text/plain", **parts})


def event(number: int = 1, resource: bytes = OBSERVATION) -> NotificationEvent:
    return NotificationEvent(number, NOW, "Observation", CANARY, Interaction.CREATE, resource)


def notification(*events: NotificationEvent, content: Content = Content.EMPTY, **parts: Any) -> Notification:
    told = {"type": NotificationType.EVENT_NOTIFICATION, "status": Status.ACTIVE, **parts}
    return Notification(
        subscription_id="ward-7", topic=f"http://example.org/topics/{CANARY}", content=content,
        events_since_start=events[-1].number if events else 0, bundle_id=DELIVERY, status_id=DELIVERY, timestamp=NOW,
        events=events, **told,
    )  # fmt: skip


def dispatch(told: Notification | None = None, base: FhirVersion = FhirVersion.R4) -> Dispatch:
    told = told or notification(event())
    body = dialect(base).write_notification(told, *BASES[base])
    return Dispatch(body, subscription=f"default|{base}|ward-7", notification=told)


def email_to(port: int, **options: Any) -> Email:
    """The channel, towards a mail server at this port; ``options`` are those of MailServer, and ``full_resource``."""
    whole = bool(options.pop("full_resource", False))
    server = MailServer(options.pop("host", "127.0.0.1"), port, SENDER, **{"encryption": "off", **options})
    return Email(server, BASES, full_resource=whole, clock=lambda: NOW)


async def send(email: Email, channel: Channel | None = None, sent: Dispatch | None = None, **options: Any) -> Outcome:
    given: dict[str, Any] = {"delivery_id": DELIVERY, "deadline_seconds": 5.0, **options}
    return await email.deliver(channel or mail_channel(), sent or dispatch(), **given)
