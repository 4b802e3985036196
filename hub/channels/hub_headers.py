"""The headers that the hub itself sends with every notification over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hub.domain.delivery import Dispatch
from hub.security.signatures import signature_headers


def hub_headers(
    dispatch: Dispatch, delivery_id: str, body: bytes, clock: Callable[[], datetime]
) -> list[tuple[str, str]]:
    """Names of the delivery, equal on every attempt at it; the trail; the signatures of this attempt over ``body``."""
    named = [("webhook-id", delivery_id), ("X-Request-ID", delivery_id)]
    if dispatch.signing_secrets:
        named += signature_headers(delivery_id, clock(), body, dispatch.signing_secrets)
    return named + list(dispatch.trail.headers)
