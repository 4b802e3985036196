"""The rest-hook channel: a notification is an HTTP POST to the endpoint (S-142, S-150…S-158).

A classic Subscription gets an empty POST, or the resource as a PUT below the endpoint (S-012).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hub.channels.endpoint import read_endpoint
from hub.channels.hub_headers import hub_headers
from hub.channels.outcomes import judge_response
from hub.channels.response import Failure, Response
from hub.channels.sender import Sender
from hub.domain.delivery import Dispatch, Outcome
from hub.domain.request_headers import objection
from hub.domain.subscription import Channel
from hub.errors import Unprocessable


def system_clock() -> datetime:
    return datetime.now(UTC)


class RestHook:
    """Delivers by POST. ``clock`` is asked for a Retry-After that is a date, and for the time of a signature."""

    def __init__(self, sender: Sender, clock: Callable[[], datetime] = system_clock) -> None:
        self._sender = sender
        self._clock = clock

    async def deliver(
        self, channel: Channel, dispatch: Dispatch, *, delivery_id: str, deadline_seconds: float
    ) -> Outcome:
        """Send it with the channel's headers (S-151); what came of it, whatever the receiver does.

        ``delivery_id`` travels as webhook-id and X-Request-ID: the same on every retry of the same notification
        (ruling 18). The trail of the change goes along, and the signatures when there are secrets (SECURITY C4).
        """
        content_type = [("Content-Type", channel.content_type)] if dispatch.body else []
        headers = [*content_type, *hub_headers(dispatch, delivery_id, dispatch.body, self._clock), *channel.headers]
        method, url = "POST", channel.endpoint
        if dispatch.update_of:
            method, url = "PUT", f"{channel.endpoint.rstrip('/')}/{dispatch.update_of}"
        if any(objection(name, value) for name, value in channel.headers):  # stored under other rules than today's
            response = Response(failure=Failure.NOT_SENDABLE)
        else:
            response = await self._sender.send(method, url, headers, dispatch.body, deadline_seconds)
        return judge_response(response, _host(channel.endpoint), self._clock())


def _host(endpoint: str) -> str:
    """The host of an endpoint for logs: no path, no user, no port."""
    try:
        return read_endpoint(endpoint, "Subscription.endpoint").host
    except Unprocessable:
        return "endpoint"
