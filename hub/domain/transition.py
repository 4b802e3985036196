"""How the status of a Subscription moved, and why (the table under S-076)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.domain.subscription import Status


class Cause(StrEnum):
    """What moved it. The first two words of a pause are no move of the status: it stays as it is."""

    CLIENT = "client"
    """A write of the resource asked for it; who wrote it stands in ``Transition.by``."""
    HANDSHAKE = "handshake"
    HANDSHAKE_FAILED = "handshake-failed"
    DELIVERY_FAILED = "delivery-failed"
    REFUSED = "event-refused"
    """An event went to the dead letters (ruling 19)."""
    RECOVERED = "recovered"
    """The backlog has been delivered in order (HOUSE decision 8)."""
    NO_DEAD_LETTERS = "no-dead-letters"
    """The last dead letter was delivered or dropped (ruling 19)."""
    GONE = "endpoint-gone"
    """The endpoint answered 410."""
    GIVEN_UP = "given-up"
    """It failed for HUB_OFF_AFTER_SECONDS."""
    END = "end"
    """Subscription.end has passed (S-079)."""
    PAUSED = "paused"
    RESUMED = "resumed"
    TOPIC_STOPPED = "topic-stopped"
    TOPIC_STARTED = "topic-started"
    ENDPOINT_STOPPED = "endpoint-stopped"
    ENDPOINT_STARTED = "endpoint-started"


CAUSES_IN_WORDS = {
    Cause.CLIENT: "the Subscription was written",
    Cause.HANDSHAKE: "the handshake succeeded",
    Cause.HANDSHAKE_FAILED: "the handshake failed",
    Cause.DELIVERY_FAILED: "the endpoint did not take a notification, time and again",
    Cause.REFUSED: "the endpoint refused an event, which is a dead letter now",
    Cause.RECOVERED: "the endpoint answers again, and everything that waited has been delivered",
    Cause.NO_DEAD_LETTERS: "no dead letter is left",
    Cause.GONE: "the endpoint answered 410 Gone",
    Cause.GIVEN_UP: "it has failed for longer than HUB_OFF_AFTER_SECONDS",
    Cause.END: "its end has come",
    Cause.PAUSED: "it was paused",
    Cause.RESUMED: "it was resumed",
    Cause.TOPIC_STOPPED: "the operator stopped its topic",
    Cause.TOPIC_STARTED: "the operator started its topic again",
    Cause.ENDPOINT_STOPPED: "the operator stopped its endpoint",
    Cause.ENDPOINT_STARTED: "the operator started its endpoint again",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """``before`` None: it was created; ``after`` None: it was deleted. For pauses and stops both are the same.

    ``by`` is the principal whose request it was (ruling 31); "" when no request caused it: an attempt, the clock.
    """

    at: datetime
    before: Status | None
    after: Status | None
    cause: Cause
    by: str = ""

    @property
    def in_words(self) -> str:
        """Why it moved, for people."""
        words = CAUSES_IN_WORDS[self.cause]
        return f"{words}, by {self.by}" if self.by else words


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is sent though it could be; any of these."""

    by_request: bool = False
    topic_stopped: bool = False
    endpoint_stopped: bool = False

    def __bool__(self) -> bool:
        return self.by_request or self.topic_stopped or self.endpoint_stopped

    @property
    def in_words(self) -> str:
        """Why it is held, for people; "" when it is not."""
        reasons = (
            (self.by_request, "the Subscription is paused"),
            (self.topic_stopped, "its topic is stopped by the operator"),
            (self.endpoint_stopped, "its endpoint is stopped by the operator"),
        )
        return " and ".join(words for holds, words in reasons if holds)


NOT_PAUSED = Pause()
