"""How the hub proves who it is and whom it talks to (SECURITY C5, S-157)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from hub.errors import CannotStart


def tls_context(
    *,
    ca: Path | None = None,
    client_cert: Path | None = None,
    client_key: Path | None = None,
    protocols: Sequence[str] = ("http/1.1",),
) -> ssl.SSLContext:
    """A context that verifies certificate and host name and speaks TLS 1.2 or newer; there is none that does not.

    ``ca`` adds trust anchors (PEM) to those of the system; ``client_cert`` (PEM, with the key in it or in
    ``client_key``) is shown to receivers that ask for one. ``protocols`` are named in the handshake (ALPN).
    Raises CannotStart when a file cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        context.set_alpn_protocols(list(protocols))
    try:
        if ca:
            context.load_verify_locations(cafile=ca)
        if client_cert:
            context.load_cert_chain(client_cert, client_key)
    except OSError as error:  # includes SSLError
        raise CannotStart(f"HUB_EGRESS_CA or HUB_EGRESS_CLIENT_CERT cannot be used: {error}") from error
    return context
