"""Which web pages may speak to the hub: the Origin of a websocket, and CORS for what is asked over HTTP.

A browser sends its page's Origin with both. Programs send none; they are judged by their token alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.wire import headers_of

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED_HEADERS = (
    b"accept, authorization, content-type, idempotency-key, if-match, if-none-exist, if-none-match, prefer, "
    b"x-correlation-id, x-request-id"
)
SHOWN_HEADERS = b"etag, last-modified, location, retry-after, x-hub-dev"
PREFLIGHT_SECONDS = b"600"
ANY_PORT = ":*"


class Origins:
    """``allowed``: origins (``https://board.example``), with ``:*`` for any port; ``null`` for files, ``*`` for all."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)
        patterns = (re.escape(each.removesuffix(ANY_PORT)) for each in self._allowed if each.endswith(ANY_PORT))
        self._any_port = re.compile("|".join(f"{pattern}(?::[0-9]+)?" for pattern in patterns) or r"(?!)")

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of ``origin`` may come in; its own ``host`` always may, and so may who has no origin."""
        if not origin or "*" in self._allowed or origin in self._allowed:
            return True
        own = bool(host) and urlsplit(origin).netloc == host and origin.startswith(("http://", "https://"))
        return own or self._any_port.fullmatch(origin) is not None


def with_cors(app: ASGIApp, origins: Origins) -> ASGIApp:
    """``app`` with the headers by which a browser lets the pages of these origins read its answers."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        origin = headers_of(scope).get(b"origin", b"") if scope["type"] == "http" else b""
        if not origin:
            await app(scope, receive, send)
            return
        allowed = origins.allows(origin.decode("latin-1"), "")
        granted = [(b"access-control-allow-origin", origin)] if allowed else []
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers_of(scope):
            await _preflight(send, granted)
            return

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                shown = [(b"access-control-expose-headers", SHOWN_HEADERS)] if granted else []
                message["headers"] = [*message["headers"], *granted, *shown, (b"vary", b"origin")]
            await send(message)

        await app(scope, receive, send_granted)

    return answering


async def _preflight(send: Send, granted: list[tuple[bytes, bytes]]) -> None:
    """204 with what may be asked; without the grant the browser asks nothing."""
    told = [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ASKED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
    headers = [*granted, *(told if granted else ()), (b"vary", b"origin")]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
