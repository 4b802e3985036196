"""Events and notifications: what a subscriber is told (S-107…S-141)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.domain.change import Interaction
from hub.domain.subscription import Content, Status
from hub.domain.trail import NO_TRAIL, Trail


class NotificationType(StrEnum):
    """SubscriptionStatus.type."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT_NOTIFICATION = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENT = "query-event"


@dataclass(frozen=True, slots=True)
class AdditionalContext:
    """A further resource that goes along with an event (S-053); ``resource`` as received, b"" when not carried."""

    type: str
    id: str
    resource: bytes = b""

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class NotificationEvent:
    """One numbered event of one Subscription.

    ``resource`` is the focus exactly as received (meta completed), b"" for a delete or when it is no longer held.
    ``timestamp`` is when it happened, if that was told, else when the hub accepted the change.
    """

    number: int
    timestamp: datetime
    type: str
    id: str
    interaction: Interaction
    resource: bytes = b""
    additional: tuple[AdditionalContext, ...] = ()
    trail: Trail = NO_TRAIL

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class SubscriptionError:
    """One entry of SubscriptionStatus.error: a subscription-error code; ``text`` carries the real status (S-117)."""

    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """Everything a dialect needs to write a notification Bundle or a status resource.

    ``bundle_id`` and ``status_id`` are UUIDs chosen by the caller, equal on every retry (S-128, ruling 18).
    ``events_since_start`` is the highest number in the bundle for event notifications, else the current count (S-109).
    ``content`` is the level to write at: the Subscription's, or a lower one for $events (S-187).
    """

    type: NotificationType
    subscription_id: str
    topic: str
    status: Status
    content: Content
    events_since_start: int
    bundle_id: str
    status_id: str
    timestamp: datetime
    events: tuple[NotificationEvent, ...] = ()
    errors: tuple[SubscriptionError, ...] = ()
    next_page: str = ""
    """Of an answer to $events that stops before its end: the query that goes on; "" else."""
