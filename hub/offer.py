"""What this hub offers by its settings: channels, limits, a mail server."""

from __future__ import annotations

import ssl
from pathlib import Path

from hub.channels.egress import EgressPolicy
from hub.channels.proxy import read_proxy
from hub.channels.sender import Sender
from hub.channels.smtp import MailServer
from hub.channels.tls import tls_context
from hub.fhir.subscriptions import Limits
from hub.settings import Settings

EVERY_HOST = ""


def limits(settings: Settings) -> Limits:
    """What Subscriptions may ask for; a channel that needs the operator is offered when it is set up."""
    offered = {
        "rest-hook",
        "message",
        "websocket",
    }
    switched_off = {}
    if settings.smtp_host:
        offered.add("email")
    else:
        switched_off["email"] = "the operator of this hub must set HUB_SMTP_HOST and HUB_EMAIL_FROM."
    return Limits(
        channel_types=frozenset(offered),
        switched_off=switched_off,
        full_resource_by_mail=settings.email_full_resource,
        min_mail_heartbeat_seconds=settings.email_heartbeat_min_seconds,
        default_timeout_seconds=settings.default_timeout_seconds,
        min_heartbeat_seconds=settings.heartbeat_min_seconds,
    )


def mail_server(settings: Settings) -> MailServer | None:
    """None when the operator has set none: then there is no email channel."""
    if not settings.smtp_host:
        return None
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port or {"off": 25, "starttls": 587, "tls": 465}[settings.smtp_tls],
        sender=settings.email_from,
        encryption=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value(),
        tls=None if settings.smtp_tls == "off" else tls_context(protocols=()),
    )


def sender(settings: Settings) -> Sender:
    """The client that carries notifications over HTTP, with the operator's rules about whom it may call."""
    tls, tls_by_host = _tls(settings)
    return Sender(
        EgressPolicy.from_settings(
            allow_private=settings.allow_private_endpoints,
            allow_http=settings.allow_http_endpoints,
            allow=settings.egress_allowed,
        ),
        tls=tls,
        tls_by_host=tls_by_host,
        proxy=read_proxy(settings.egress_proxy),
    )


def _tls(settings: Settings) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
    """How receivers are verified and what they are shown: for all, and for single hosts. Raises CannotStart."""
    authorities, certificates = _by_host(settings.egress_ca), _by_host(settings.egress_client_cert)
    made = {
        host: tls_context(
            ca=authorities.get(host, authorities.get(EVERY_HOST)),
            client_cert=certificates.get(host, certificates.get(EVERY_HOST)),
        )
        for host in {EVERY_HOST, *authorities, *certificates}
    }
    return made.pop(EVERY_HOST), made


def _by_host(written: str) -> dict[str, Path]:
    """``path`` and ``host=path``, separated by commas, by host; EVERY_HOST is what a path alone is for."""
    entries = filter(None, (each.strip() for each in written.split(",")))
    pairs = (each.rpartition("=") for each in entries)
    return {host.strip().lower(): Path(path.strip()) for host, _, path in pairs}
