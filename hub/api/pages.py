"""What is served beside FHIR: health for machines, and one page of words for whoever opens the root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.origins import Origins, with_cors
from hub.api.server import DEV_HEADER, FhirServer

WELCOME = """FHIR Subscriptions notification hub

bases     /fhir/r4   /fhir/r4b   /fhir/r5
metadata  /fhir/r5/metadata
topics    /fhir/r5/SubscriptionTopic
sockets   /fhir/r4/websocket   /fhir/r4b/websocket   /fhir/r5/websocket
health    /health/live   /health/ready
"""


Readiness = Callable[[], Awaitable[dict[str, Any]]]


def health(readiness: Readiness) -> ASGIApp:
    """The pages of health alone."""
    return Starlette(routes=_health_routes(readiness))


def _health_routes(readiness: Readiness) -> list[Route]:
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        told = await readiness()
        return JSONResponse(told, status_code=503 if told.get("problems") else 200)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def application(fhir: FhirServer, sockets: ASGIApp, origins: Origins, readiness: Readiness) -> ASGIApp:
    """The whole application. ``readiness`` tells what is missing under ``problems``; then the answer is 503.

    FHIR requests go straight to their door: the hot route does without a framework (it cost a third of the request).
    """

    async def root(_: Request) -> Response:
        return PlainTextResponse(WELCOME)

    routes = [Route("/", root), *_health_routes(readiness)]
    paths = {route.path for route in routes}
    pages = _marked(Starlette(routes=routes)) if fhir.guard.open_to_all else Starlette(routes=routes)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await sockets(scope, receive, send)
            return
        is_page = scope["type"] != "http" or scope["path"] in paths
        await (pages if is_page else fhir)(scope, receive, send)

    return with_cors(front, origins) if origins else front


def _marked(app: ASGIApp) -> ASGIApp:
    """``app`` with the mark of development mode on its answers."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (DEV_HEADER.lower().encode(), b"1")]
            await send(message)

        await app(scope, receive, send_marked)

    return marked
