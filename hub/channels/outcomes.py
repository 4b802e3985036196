"""From an HTTP answer to an Outcome: the outcome table DR. Pure; the time is an argument."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from hub.channels.response import Failure, Response
from hub.domain.delivery import Outcome, OutcomeKind

MAX_RETRY_AFTER_SECONDS = 24 * 60 * 60.0
CONFLICT, GONE = 409, 410
REFUSING = frozenset({400, 413, 415, 422})
"""This notification will never be taken (ruling 19). 401, 403, 404, 405 the receiver's operator can put right."""


def judge_response(response: Response, host: str, now: datetime) -> Outcome:
    """What this answer of ``host`` means for the delivery (DR); ``now`` is for a Retry-After that is a date.

    The detail holds host, status and class of failure, never a word of the receiver.
    """
    kind = _kind(response)
    if kind is OutcomeKind.DELIVERED:
        return Outcome(kind, response.status, duration_seconds=response.duration_seconds)
    reason = str(response.failure) if response.failure else f"HTTP status {response.status}"
    return Outcome(
        kind,
        response.status,
        error=_error(response),
        detail=f"{host}: {reason}",
        retry_after_seconds=retry_after_seconds(response, now) if kind is OutcomeKind.FAILED else None,
        duration_seconds=response.duration_seconds,
    )


def _kind(response: Response) -> OutcomeKind:
    status = response.status
    if 200 <= status < 300 or (status == CONFLICT and _says_duplicate(response.body)):
        return OutcomeKind.DELIVERED
    if status == GONE:
        return OutcomeKind.GONE
    return OutcomeKind.REFUSED if status in REFUSING else OutcomeKind.FAILED


def _error(response: Response) -> str:
    """A code of subscription-error (S-117)."""
    if response.status:
        return "error-response"
    return "dns-resolution-error" if response.failure is Failure.NAME_NOT_RESOLVED else "no-response"


def _says_duplicate(body: bytes) -> bool:
    """Is this an OperationOutcome with issue.code ``duplicate``: the receiver has the notification already."""
    try:
        outcome = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
        return False
    issues = outcome.get("issue")
    return isinstance(issues, list) and any(
        isinstance(issue, dict) and issue.get("code") == "duplicate" for issue in issues
    )


def retry_after_seconds(response: Response, now: datetime) -> float | None:
    """How long to wait by Retry-After (RFC 9110 section 10.2.3), 0 to 24 h; None when absent or unreadable."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:400])  # beyond 308 digits it is infinity, which the cap takes care of
    else:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):  # what email.utils raises for texts that are no date
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
