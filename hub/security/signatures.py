"""Signatures after Standard Webhooks (SECURITY C4): a receiver sees that a notification is the hub's, and whole."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The specification asks for 24 to 64."""


def fresh_signing_secret() -> str:
    """A secret as receivers keep it: ``whsec_`` and the base64 of its bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``identity.timestamp.body``. ``identity`` holds no dot."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    mac = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def signature_headers(
    identity: str, now: datetime, body: bytes, signing_secrets: Sequence[str]
) -> Iterable[tuple[str, str]]:
    """The headers that an attempt of ``now`` adds to ``webhook-id``; none without secrets."""
    if not signing_secrets:
        return ()
    timestamp = int(now.timestamp())
    signatures = " ".join(signature(secret, identity, timestamp, body) for secret in signing_secrets)
    return (("webhook-timestamp", str(timestamp)), ("webhook-signature", signatures))
