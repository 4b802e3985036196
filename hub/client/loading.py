"""``hub load``: give the hub the states to start from, without announcing any (HOUSE ruling 13).

Reads NDJSON (one resource a line) and Bundles, from files and from URLs; a Bundle at a URL is followed by its ``next``
links. Loading can be repeated: what the hub holds already in the same bytes changes nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import httpx

from hub.errors import CannotStart

LINES_PER_REQUEST = 500
BYTES_PER_REQUEST = 4 * 1024 * 1024
TIMEOUT_SECONDS = 120.0
BAR_WIDTH = 30
FHIR_JSON = "application/fhir+json"
NDJSON = "application/fhir+ndjson"


@dataclass(frozen=True, slots=True)
class Portion:
    """One request's worth; ``read`` are the bytes of the source that it took."""

    body: bytes
    media_type: str
    read: int


class Progress:
    """A bar on a terminal, a line at the end elsewhere."""

    def __init__(self, total_bytes: int, out: TextIO) -> None:
        self._total = total_bytes
        self._out = out
        self._read = 0
        self._loaded = 0
        self._began = time.monotonic()

    def advance(self, read: int, loaded: int) -> None:
        self._read += read
        self._loaded += loaded
        if self._out.isatty():
            share = min(1.0, self._read / self._total) if self._total else 0.0
            bar = ("█" * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, "·")
            known = f"{bar} {share:4.0%}  " if self._total else ""
            self._out.write(f"\r{known}{self._loaded:,} resources  {self._rate():,.0f}/s ")
            self._out.flush()

    def end(self) -> None:
        seconds = time.monotonic() - self._began
        start = "\n" if self._out.isatty() else ""
        self._out.write(f"{start}{self._loaded:,} resources loaded in {seconds:.1f} s, none announced\n")
        self._out.flush()

    def _rate(self) -> float:
        return self._loaded / max(time.monotonic() - self._began, 0.001)


async def load(base_url: str, token: str, sources: Sequence[str], out: TextIO = sys.stderr) -> int:
    """Load every source into the base; the exit code. Raises CannotStart saying what the hub answered and where."""
    total = sum(Path(source).stat().st_size for source in sources if not _is_url(source) and Path(source).is_file())
    progress = Progress(total, out)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        for source in sources:
            async for portion in _portions(client, source):
                answer = await _send(client, f"{base_url}/$load", portion, headers)
                if answer.status_code != 200:
                    raise CannotStart(f"{source}: the hub answered {answer.status_code}: {_diagnostics(answer)}")
                progress.advance(portion.read, answer.json()["parameter"][0]["valueInteger"])
    progress.end()
    return 0


async def _send(client: httpx.AsyncClient, url: str, portion: Portion, headers: dict[str, str]) -> httpx.Response:
    try:
        return await client.post(url, content=portion.body, headers={**headers, "Content-Type": portion.media_type})
    except httpx.HTTPError as problem:
        raise CannotStart(f"{url} does not answer: {type(problem).__name__}") from problem


async def _portions(client: httpx.AsyncClient, source: str) -> AsyncIterator[Portion]:
    if _is_url(source):
        async for portion in _from_url(client, source):
            yield portion
        return
    path = Path(source)
    if not path.is_file():
        raise CannotStart(f"{source} is not a file")
    if path.suffix == ".ndjson":
        with path.open("rb") as file:
            for portion in _from_lines(file):
                yield portion
    else:
        raw = path.read_bytes()
        yield Portion(raw, FHIR_JSON, len(raw))


async def _from_url(client: httpx.AsyncClient, url: str) -> AsyncIterator[Portion]:
    following: str | None = url
    while following:
        answer = await client.get(following, headers={"Accept": f"{FHIR_JSON}, {NDJSON}"})
        if answer.status_code != 200:
            raise CannotStart(f"{following} answered {answer.status_code}")
        if "ndjson" in answer.headers.get("content-type", ""):
            for portion in _from_lines(iter(answer.content.splitlines(keepends=True))):
                yield portion
            return
        yield Portion(answer.content, FHIR_JSON, len(answer.content))
        links: list[dict[str, Any]] = json.loads(answer.content).get("link", [])
        following = next((str(link["url"]) for link in links if link.get("relation") == "next"), None)


def _from_lines(lines: Iterator[bytes]) -> Iterator[Portion]:
    portion: list[bytes] = []
    size = 0
    for line in lines:
        portion.append(line)
        size += len(line)
        if len(portion) >= LINES_PER_REQUEST or size >= BYTES_PER_REQUEST:
            yield Portion(b"".join(portion), NDJSON, size)
            portion, size = [], 0
    if portion:
        yield Portion(b"".join(portion), NDJSON, size)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _diagnostics(answer: httpx.Response) -> str:
    try:
        issues = answer.json()["issue"]
        return "; ".join(str(issue["diagnostics"]) for issue in issues)
    except (ValueError, KeyError, TypeError):
        return "no OperationOutcome"
