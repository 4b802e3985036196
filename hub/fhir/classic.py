"""Classic Subscriptions of R4 and R4B: to a search instead of a topic (S-007, S-011…S-017; HOUSE ruling 29).

    POST with an empty body          without channel.payload
    PUT [endpoint]/[Type]/[id]       with it: the resource, in that MIME type
    a mail                           by email (S-015): channel.header[0] is its subject line; the resource goes along
                                     only when the payload asks for an attachment
    POST …/$process-message          by message (S-015, which leaves the details open): with a payload the resource

There is no handshake, no heartbeat and no number. What the Backport IG adds to topic Subscriptions has no meaning here
and is refused.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from hub.domain.mail import read_mail_form, subject_line
from hub.domain.subscription import Channel, Content, Status, Subscription
from hub.fhir.headers import MASK, Header
from hub.fhir.reading import Json, child, text, texts
from hub.fhir.subscriptions import DEFAULT_MAIL_TYPE, ROOT, SubscriptionChecks

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
    channel_type = checks.channel_type("", text(channel, "type"), f"{CHANNEL}.type")
    by_mail = channel_type == "email"
    paths = [f"{CHANNEL}.header[{index}]" for index in range(len(headers))]
    payload = text(channel, "payload")
    content_type = checks.content_type(channel_type, payload, f"{CHANNEL}.payload") if payload else ""
    content = _content(channel_type, content_type)
    endpoint = checks.endpoint(channel_type, text(channel, "endpoint"), f"{CHANNEL}.endpoint")
    if payload and "?" in endpoint and not by_mail:
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
            headers=_subject(channel, checks) if by_mail else checks.headers(channel_type, headers, paths),
            content_type=content_type or (DEFAULT_MAIL_TYPE if by_mail else ""),
            content=checks.may_carry(channel_type, content, f"{CHANNEL}.payload"),
            timeout_seconds=checks.timeout(None),
        ),
        status=checks.status(resource),
        end=checks.end(resource),
        criteria=text(resource, "criteria"),
    )


def has_subject_line(resource: Json) -> bool:
    """Is ``channel.header`` the subject line of mails (S-015)? That is no secret and no ``Name: value``."""
    return is_classic(resource) and text(child(resource, "channel"), "type") == "email"


def _content(channel_type: str, content_type: str) -> Content:
    """A payload asks for the resource; of a mail only its attachment does, for its body is the hub's choice (S-015)."""
    asked = bool(content_type)
    if asked and channel_type == "email":
        try:
            asked = bool(read_mail_form(content_type).attachment)
        except ValueError:  # refused already
            asked = False
    return Content.FULL_RESOURCE if asked else Content.EMPTY


def _subject(channel: Json, checks: SubscriptionChecks) -> tuple[Header, ...]:
    """header[0] as the subject; nothing else may be asked for."""
    lines = texts(channel, "header")
    if not lines:
        return ()
    if len(lines) > 1:
        checks.problems.add(
            "not-supported", f"{CHANNEL}.header[1]", "Of a mail only header[0], its subject line: leave this out."
        )
    if MASK in lines[0]:
        checks.problems.add("value", f"{CHANNEL}.header[0]", f"{MASK} hides a value and is none: write a subject line.")
    try:
        return (("Subject", subject_line(lines[0])),)
    except ValueError as reason:
        checks.problems.add("value", f"{CHANNEL}.header[0]", f"This is no subject line: {reason}.")
        return ()


def accepted_classic(resource: Json, status: Status, error: str) -> dict[str, Any]:
    """As stored and returned: nothing is added, for nothing can be chosen."""
    accepted = copy.deepcopy(dict(resource)) | {"status": status.value}
    accepted.pop("error", None)
    return accepted | {"error": error} if error else accepted
