"""The bare aiohttp client loop that deliveries are compared with: POST, read the answer, again (extra ``bench``)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from hub.bench.bodies import CHANGE, PATIENT, observation
from hub.bench.child import obey, run

HEADERS = {"Content-Type": "application/fhir+json"}


async def handle(job: dict[str, Any]) -> dict[str, Any]:
    """POST to ``url`` over ``connections`` connections for ``seconds``; how many were answered comes back."""
    body = observation().replace(CHANGE, "baseline").replace(PATIENT, "baseline").encode()
    end, answered = time.monotonic() + job["seconds"], 0

    async def post(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while time.monotonic() < end:
            async with session.post(job["url"], data=body, headers=HEADERS) as response:
                await response.read()
            answered += 1

    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=job["connections"])
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(post(session) for _ in range(job["connections"])))
    return {"answered": answered, "seconds": time.monotonic() - began}


async def main() -> int:
    return await obey({"aiohttp": aiohttp.__version__}, handle)


if __name__ == "__main__":
    run(main)
