"""What is published about the operations that look after one Subscription: ``hub.api.repairing`` serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def parameter(name: str, use: str, least: int, type_: str, documentation: str, most: str = "1") -> dict[str, Any]:
    """One parameter of an OperationDefinition."""
    return {"name": name, "use": use, "min": least, "max": most, "documentation": documentation, "type": type_}


@dataclass(frozen=True, slots=True)
class LifeOperation:
    """An operation on the instance of a Subscription."""

    description: str
    affects_state: bool
    parameters: tuple[dict[str, Any], ...]


_OUTCOME = parameter("return", "out", 1, "OperationOutcome", "What is on its way, and what is not.")
_ELEMENT = ("out", 0, "Element")
_KEPT = (
    parameter("paused", "out", 1, "boolean", "Whether anything holds it back now."),
    parameter("reason", "out", 0, "string", "What holds it back."),
    parameter("waiting", "out", 1, "string", "How many events wait for delivery."),
    parameter("oldest-waiting", "out", 0, "string", "The number of the first of them."),
    parameter("kept", "out", 1, "string", "How long they are kept."),
)

SIGNING = "signing-secret"
LIFE_OPERATIONS: Mapping[str, LifeOperation] = {
    "resend": LifeOperation(
        "Sends delivered events again, with their numbers, over the channel of the Subscription, after everything "
        "that waits. All bounds belong to what is sent; at least one is given. The Subscription must be active. "
        "Instants are those at which the hub accepted the changes.",
        True,
        (
            parameter("eventsSinceNumber", "in", 0, "string", "The first number."),
            parameter("eventsUntilNumber", "in", 0, "string", "The last number."),
            parameter("eventsSinceInstant", "in", 0, "instant", "Nothing older than this."),
            parameter("eventsUntilInstant", "in", 0, "instant", "Nothing younger than this."),
            _OUTCOME,
        ),
    ),
    SIGNING: LifeOperation(
        "Makes a secret by which the notifications of a Subscription are signed after Standard Webhooks, and tells it "
        "once. Called again, it makes another; the one before signs beside it for 24 hours.",
        True,
        (
            parameter("stop", "in", 0, "boolean", "true: sign nothing more and forget every secret."),
            parameter("signed", "out", 1, "boolean", "Whether notifications are signed from now on."),
            parameter("secret", "out", 0, "string", "whsec_ and base64; it is told this once and never again."),
            parameter("overlap-until", "out", 0, "instant", "Until when the secrets before this one sign as well."),
        ),
    ),
    "attempts": LifeOperation(
        "The last 20 attempts to deliver anything, oldest first. No bodies, no text of the receiver.",
        False,
        (
            parameter(
                "attempt",
                *_ELEMENT,
                "at, duty, first-number, last-number, outcome, http-status, error, milliseconds.",
                "*",
            ),
        ),
    ),
    "transitions": LifeOperation(
        "The status and how it came about: the last 50 changes of it, oldest first, pauses among them.",
        False,
        (
            parameter("status", "out", 1, "code", "As it is now."),
            parameter("paused", "out", 1, "boolean", "Whether anything holds it back now."),
            parameter("reason", "out", 0, "string", "What holds it back."),
            parameter(
                "transition",
                *_ELEMENT,
                "at, from (absent when it was created), to, cause, by (whose request it was), text.",
                "*",
            ),
        ),
    ),
    "dead-letters": LifeOperation(
        "The events that the endpoint refused for good; with an action (POST) they are sent again or dropped. When "
        "none is left, the Subscription is active again.",
        True,
        (
            parameter("action", "in", 0, "code", "redrive or drop; without it they are listed."),
            parameter("number", "in", 0, "string", "Which ones: 5 or 5-7. To redrive all, none.", "*"),
            parameter("dead-letter", *_ELEMENT, "number, change, http-status, reason, being-redriven.", "*"),
            parameter("not-listed", "out", 0, "integer", "How many more there are, with higher numbers."),
            parameter("return", "out", 0, "OperationOutcome", "With an action: what was done."),
        ),
    ),
    "pause": LifeOperation(
        "Holds everything back: events are numbered and wait, nothing is sent, not even a heartbeat. An attempt that "
        "is under way may still arrive.",
        True,
        _KEPT,
    ),
    "test": LifeOperation(
        "Makes a test event for this Subscription alone. It goes the whole way of a real one and has the next number. "
        "It is about a Basic resource hub-test-… with the tag HTEST, which is stored nowhere.",
        True,
        (
            parameter("change", "out", 1, "string", "Its change, for $explain."),
            parameter("focus", "out", 1, "string", "What it is about."),
        ),
    ),
    "resume": LifeOperation("Lets a paused Subscription go on: what waits goes out, in order.", True, _KEPT),
}
"""Operation code -> what is published; ids are ``hub-`` and the code."""
