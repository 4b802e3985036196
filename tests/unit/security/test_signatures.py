"""Signatures after Standard Webhooks (SECURITY C4)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from hub.security.signatures import fresh_signing_secret, signature, signature_headers
from tests.verifying import verifies

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_published_example_gets_the_published_signature() -> None:
    secret, identity = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    made = signature(secret, identity, 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_has_256_random_bits_and_is_never_made_twice() -> None:
    made = {fresh_signing_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(base64.b64decode(each.removeprefix("whsec_"), validate=True)) == 32 for each in made)


def test_without_a_secret_nothing_is_signed() -> None:
    assert not list(signature_headers("id", NOW, b"{}", ()))


def test_every_secret_of_a_rotation_verifies_and_no_other() -> None:
    old, new, other = (fresh_signing_secret() for _ in range(3))
    headers = {"webhook-id": "a-b", **dict(signature_headers("a-b", NOW, b"body", (new, old)))}
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert verifies(headers, b"body", old) and verifies(headers, b"body", new)
    assert not verifies(headers, b"body", other)


def test_one_changed_byte_of_body_id_or_time_is_seen() -> None:
    secret, body = fresh_signing_secret(), b'{"resourceType":"Bundle"}'
    headers = {"webhook-id": "a-b", **dict(signature_headers("a-b", NOW, body, (secret,)))}
    for place in range(len(body)):
        assert not verifies(headers, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :], secret)
    assert not verifies(headers | {"webhook-id": "a-c"}, body, secret)
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert not verifies(headers | {"webhook-timestamp": later}, body, secret)
