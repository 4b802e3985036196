"""Classic Subscriptions of R4 and R4B: to a search instead of a topic (S-007, S-011…S-017; HOUSE ruling 29).

    POST with an empty body          without channel.payload
    PUT [endpoint]/[Type]/[id]       with it: the resource, in that MIME type

There is no handshake, no heartbeat and no number. What the Backport IG adds to topic Subscriptions has no meaning here
and is refused.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from hub.domain.subscription import Channel, Content, Status, Subscription
from hub.fhir.headers import Header, check_headers
from hub.fhir.reading import Json, child, text
from hub.fhir.subscriptions import ROOT, SubscriptionChecks

_SEARCH = re.compile(r"/?[A-Za-z]+\?.*")
CHANNEL = f"{ROOT}.channel"


def is_classic(resource: Json) -> bool:
    """Are the criteria a search (``Observation?code=1975-2``) rather than the canonical of a topic (S-007)?"""
    return bool(_SEARCH.fullmatch(text(resource, "criteria")))


def read_classic(resource: Json, headers: list[Header], checks: SubscriptionChecks) -> Subscription:
    """A Subscription with ``criteria``; problems go to ``checks``. Whether its search can be decided, others ask.

    One event at a time: each is a request of its own (S-012).
    """
    checks.extensions(resource, {})
    channel = child(resource, "channel")
    check_headers(headers, [f"{CHANNEL}.header[{index}]" for index in range(len(headers))], checks.problems)
    channel_type = checks.channel_type("", text(channel, "type"), f"{CHANNEL}.type")
    payload = text(channel, "payload")
    endpoint = checks.endpoint(channel_type, text(channel, "endpoint"), f"{CHANNEL}.endpoint")
    if payload and "?" in endpoint:
        checks.problems.add(
            "value",
            f"{CHANNEL}.endpoint",
            "With a payload the resource is PUT to [endpoint]/[Type]/[id]: write the base of a FHIR server, without ?.",
        )
    return Subscription(
        topic="",
        channel=Channel(
            type=channel_type,
            endpoint=endpoint,
            headers=tuple(headers),
            content_type=checks.content_type(payload, f"{CHANNEL}.payload") if payload else "",
            content=Content.FULL_RESOURCE if payload else Content.EMPTY,
            timeout_seconds=checks.timeout(None),
        ),
        status=checks.status(resource),
        end=checks.end(resource),
        criteria=text(resource, "criteria"),
    )


def accepted_classic(resource: Json, status: Status, error: str) -> dict[str, Any]:
    """As stored and returned: nothing is added, for nothing can be chosen."""
    accepted = copy.deepcopy(dict(resource)) | {"status": status.value}
    accepted.pop("error", None)
    return accepted | {"error": error} if error else accepted
