"""How a receiver verifies a notification: written from the text of Standard Webhooks, with nothing of the hub."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def verifies(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Is one of the signatures made with this secret over this very id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    expected = hmac.digest(key, signed, hashlib.sha256)
    pairs = (each.split(",", 1) for each in headers["webhook-signature"].split(" "))
    return any(name == "v1" and hmac.compare_digest(base64.b64decode(given), expected) for name, given in pairs)
