"""Where loaded resources come from: NDJSON and Bundles, in files and behind URLs, in portions of one request each.

The bytes go on as they are: nothing is parsed that need not be, and nothing is written anew.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from hub.errors import CannotStart

LINES_PER_REQUEST = 500
BYTES_PER_REQUEST = 4 * 1024 * 1024
FHIR_JSON = "application/fhir+json"
NDJSON = "application/fhir+ndjson"


@dataclass(frozen=True, slots=True)
class Portion:
    """One request's worth; ``read`` are the bytes of the source that it took."""

    body: bytes
    media_type: str
    read: int


async def portions(client: httpx.AsyncClient, source: str) -> AsyncIterator[Portion]:
    """The portions of a file or URL, in order. Raises CannotStart saying what is wrong with it."""
    if is_url(source):
        async for portion in _from_url(client, source):
            yield portion
        return
    for portion in _from_file(Path(source)):
        yield portion


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _from_file(path: Path) -> Iterator[Portion]:
    try:
        if path.suffix != ".ndjson":
            raw = path.read_bytes()
            yield Portion(raw, FHIR_JSON, len(raw))
            return
        with path.open("rb") as file:
            collected = Lines()
            for line in file:
                if portion := collected.add(line):
                    yield portion
            yield from collected.rest()
    except OSError as problem:
        raise CannotStart(f"{path} cannot be read: {problem.strerror}") from problem


async def _from_url(client: httpx.AsyncClient, url: str) -> AsyncIterator[Portion]:
    """A Bundle with the pages that follow it, or NDJSON."""
    following, seen = url, set[str]()
    while following:
        if following in seen:
            raise CannotStart(f"{following} names a page as the next one that was read before")
        seen.add(following)
        try:
            async with client.stream("GET", following, headers={"Accept": f"{FHIR_JSON}, {NDJSON}"}) as answer:
                if answer.status_code != 200:
                    raise CannotStart(f"{following} answered {answer.status_code}")
                if "ndjson" in answer.headers.get("content-type", ""):
                    async for portion in _streamed_lines(answer):
                        yield portion
                    return
                raw = await answer.aread()
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise CannotStart(f"{following} does not answer: {type(problem).__name__}") from problem
        yield Portion(raw, FHIR_JSON, len(raw))
        following = _next_page(raw, following)


async def _streamed_lines(answer: httpx.Response) -> AsyncIterator[Portion]:
    collected, begun = Lines(), b""
    async for chunk in answer.aiter_bytes():
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            if portion := collected.add(line + b"\n"):
                yield portion
    if begun and (portion := collected.add(begun)):
        yield portion
    for portion in collected.rest():
        yield portion


def _next_page(raw: bytes, url: str) -> str:
    """The next link of a Bundle, "" without one."""
    try:
        links: list[Any] = json.loads(raw).get("link", [])
        found = [str(link["url"]) for link in links if link.get("relation") == "next"]
    except (ValueError, AttributeError, TypeError, KeyError) as problem:
        raise CannotStart(f"{url} answered neither a Bundle nor NDJSON") from problem
    return urljoin(url, found[0]) if found else ""


class Lines:
    """Collects lines into portions."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> Portion | None:
        """A portion when this line makes it full."""
        self._lines.append(line)
        self._size += len(line)
        full = len(self._lines) >= LINES_PER_REQUEST or self._size >= BYTES_PER_REQUEST
        return self._taken() if full else None

    def rest(self) -> Iterator[Portion]:
        if self._lines:
            yield self._taken()

    def _taken(self) -> Portion:
        portion = Portion(b"".join(self._lines), NDJSON, self._size)
        self._lines, self._size = [], 0
        return portion
