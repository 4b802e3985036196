"""What a write of a Subscription may do, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.errors import Gone, NotFound, PreconditionFailed, Unprocessable
from hub.store.conditional_write import WriteCode
from hub.store.subscriptions import Put


def submitted(resource: Mapping[str, Any]) -> Status:
    """What the client wrote, after the dialect found it to be a legal code."""
    return Status(resource["status"])


def reaches_elsewhere(new: Subscription, old: Subscription) -> bool:
    """Endpoint, headers, content level or type changed: shake hands again before anything goes there (ruling 17)."""

    def reach(subscription: Subscription) -> tuple[object, ...]:
        channel = subscription.channel
        return (channel.type, channel.endpoint, channel.headers, channel.content, channel.content_type)

    return reach(new) != reach(old)


def started(subscription: Subscription) -> Status:
    """What ``requested`` becomes in this write: one that needs no handshake is active at once (S-017, S-076)."""
    return Status.REQUESTED if subscription.needs_handshake else Status.ACTIVE


def refuse_another_kind(new: Subscription, old: Subscription) -> None:
    """What waits was numbered, or chosen, for the other kind of receiver; neither could read it."""
    if new.is_classic is not old.is_classic:
        raise Unprocessable(
            "a Subscription to a topic cannot become one to a search, nor the other way: delete this one and create "
            "another",
            expression="Subscription.criteria",
            code="business-rule",
        )


def has_ended(subscription: Subscription) -> bool:
    """Whether its end has passed, also when nobody has come round yet to switch it off."""
    return subscription.end is not None and subscription.end <= datetime.now(UTC)


def refuse_ended(subscription: Subscription, status: Status | None) -> None:
    """What is over cannot begin: it would be switched off without a word to anybody (S-079, S-084)."""
    if status in (Status.REQUESTED, Status.ACTIVE) and has_ended(subscription):
        raise Unprocessable(
            "this end has passed, so nothing would ever be sent; write a later one, leave it out, or write status off",
            expression="Subscription.end",
            code="value",
        )


def refuse(put: Put, key: SubscriptionKey) -> None:
    reference = f"Subscription/{key.id}"
    match put.code:
        case WriteCode.CONFLICT:
            raise PreconditionFailed(f"{reference} is at version {put.version}; read it again before you change it")
        case WriteCode.ABSENT:
            raise NotFound(f"{reference} is not known here")
        case WriteCode.GONE:
            raise Gone(f"{reference} was deleted")
        case _:
            return
