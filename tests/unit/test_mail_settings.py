"""Settings of the email channel: TLS but on loopback (HOUSE ruling 35), and nothing half set."""

from __future__ import annotations

from typing import Any

import pytest

from hub.errors import CannotStart
from hub.settings import load_settings

MAIL: dict[str, Any] = {"smtp_host": "mail.example.org", "email_from": "hub@example.org"}


def test_tls_is_the_default() -> None:
    assert load_settings(**MAIL).smtp_tls == "starttls"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.0.1"])
def test_without_tls_only_on_this_machine_ruling_35(host: str) -> None:
    assert load_settings(**MAIL | {"smtp_host": host}, smtp_tls="off").smtp_tls == "off"


@pytest.mark.parametrize("host", ["mail.example.org", "10.0.0.1", "localhost.example.org", "0.0.0.0", "::2"])
def test_elsewhere_the_hub_does_not_start_without_tls_ruling_35(host: str) -> None:
    with pytest.raises(CannotStart, match=r"HUB_SMTP_TLS: .*use starttls or tls"):
        load_settings(**MAIL | {"smtp_host": host}, smtp_tls="off")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"smtp_host": "mail.example.org"}, "HUB_EMAIL_FROM: say which address"),
        ({**MAIL, "email_from": "hub"}, "HUB_EMAIL_FROM: write"),
        ({**MAIL, "email_from": "Hub <hub@example.org>"}, "HUB_EMAIL_FROM: write"),
        ({**MAIL, "email_from": "hub@example.org\r\nBcc: x@x.org"}, "HUB_EMAIL_FROM: write"),
        ({**MAIL, "smtp_user": "hub"}, "belong together"),
        ({**MAIL, "smtp_password": "s3cret"}, "belong together"),
        ({**MAIL, "smtp_host": "mail.example.org:587"}, "HUB_SMTP_HOST: must be a host name"),
        ({**MAIL, "smtp_tls": "maybe"}, "HUB_SMTP_TLS"),
        ({"message_event": "subscription-notification"}, "HUB_MESSAGE_EVENT: must be system|code"),
    ],
)
def test_what_would_fail_at_every_mail_stops_the_start(given: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotStart) as problem:
        load_settings(**given)
    assert says in str(problem.value) and "s3cret" not in str(problem.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(CannotStart) as problem:
        load_settings(smtp_host="mail.example.org", smtp_tls="off", smtp_user="hub")
    for name in ("HUB_SMTP_TLS", "HUB_SMTP_PASSWORD", "HUB_EMAIL_FROM"):
        assert name in str(problem.value)


def test_the_password_is_not_shown() -> None:
    settings = load_settings(**MAIL, smtp_user="hub", smtp_password="s3cret")
    assert "s3cret" not in repr(settings) + str(settings)
