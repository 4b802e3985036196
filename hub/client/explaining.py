"""``hub explain``: prints why a change did, or did not, become an event of a Subscription."""

from __future__ import annotations

import sys
from typing import TextIO

import httpx

from hub.client.answers import diagnostics
from hub.errors import CannotStart

TIMEOUT_SECONDS = 30.0


async def explain(base_url: str, token: str, subscription: str, change: str, out: TextIO = sys.stdout) -> int:
    """Ask the hub at ``base_url``; the exit code. Raises CannotStart saying what it answered instead."""
    headers = {"Accept": "text/plain"} | ({"Authorization": f"Bearer {token}"} if token else {})
    url = f"{base_url}/Subscription/{subscription.removeprefix('Subscription/')}/$explain"
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        try:
            answer = await client.get(url, params={"change": change}, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise CannotStart(f"{url} does not answer: {type(problem).__name__}") from problem
    if answer.status_code != 200:
        raise CannotStart(f"the hub answered {answer.status_code}: {diagnostics(answer)}")
    out.write(answer.text)
    return 0
