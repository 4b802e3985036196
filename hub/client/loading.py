"""``hub load``: give the hub the states to start from, without announcing any (HOUSE ruling 13).

Loading can be repeated: what the hub holds already changes nothing, and what a change told it meanwhile stays.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import httpx

from hub.client.answers import diagnostics
from hub.client.progress import Progress
from hub.client.sources import Portion, is_url, portions
from hub.errors import CannotStart

TIMEOUT_SECONDS = 120.0
MOST_TRIES = 10
LONGEST_WAIT_SECONDS = 30.0
ASK_LATER = (429, 503)


async def load(base_url: str, token: str, sources: Sequence[str], out: TextIO = sys.stderr) -> int:
    """Load every source into the base; the exit code. Raises CannotStart saying what the hub answered and where."""
    progress = Progress(_total_bytes(sources), out)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    complete = False
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        try:
            for source in sources:
                async for portion in portions(client, source):
                    count = await _send(client, f"{base_url}/$load", source, portion, headers)
                    progress.advance(portion.read, count)
            complete = True
        finally:
            progress.end(complete=complete)
    return 0


def _total_bytes(sources: Sequence[str]) -> int:
    """0 when a size is not known beforehand. Raises CannotStart before anything is sent for what is not there."""
    missing = [source for source in sources if not is_url(source) and not Path(source).is_file()]
    if missing:
        raise CannotStart(f"{', '.join(missing)}: no such file")
    return 0 if any(map(is_url, sources)) else sum(Path(source).stat().st_size for source in sources)


async def _send(client: httpx.AsyncClient, url: str, source: str, portion: Portion, headers: dict[str, str]) -> int:
    """How many were loaded. A hub that is busy is asked again when it says so."""
    for _ in range(MOST_TRIES):
        try:
            answer = await client.post(
                url, content=portion.body, headers={**headers, "Content-Type": portion.media_type}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise CannotStart(f"{url} does not answer: {type(problem).__name__}") from problem
        if answer.status_code not in ASK_LATER:
            break
        await asyncio.sleep(_wait_seconds(answer))
    if answer.status_code != 200:
        raise CannotStart(f"{source}: the hub answered {answer.status_code}: {diagnostics(answer)}")
    return _loaded(answer, url)


def _wait_seconds(answer: httpx.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told) if told.isdecimal() else 1.0, LONGEST_WAIT_SECONDS)


def _loaded(answer: httpx.Response, url: str) -> int:
    try:
        return int(answer.json()["parameter"][0]["valueInteger"])
    except (ValueError, KeyError, TypeError, IndexError) as problem:
        raise CannotStart(f"{url} answered, but not as a hub does; is HUB_BASE_URL right?") from problem
