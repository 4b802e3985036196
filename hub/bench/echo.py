"""The bare Starlette echo that the hub is compared with: the same server, one route, nothing kept."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.bench.child import run, say

BACKLOG = 2048


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/fhir+json")


async def main() -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    application = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
    config = uvicorn.Config(
        application, log_config=None, access_log=False, loop="none", http="httptools", lifespan="off",
        server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    say({"port": listener.getsockname()[1]})
    await asyncio.to_thread(sys.stdin.read)  # until the parent ends it
    server.should_exit = True
    await serving
    return 0


if __name__ == "__main__":
    run(main)
