"""Raw receivers for tests: they say exactly the bytes they are told, lies included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """One request as a receiver parsed it; ``headers`` in order, names in lower case."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = [(name.lower(), value) for name, _, value in (text.partition(": ") for text in lines)]
    length = next(int(value) for name, value in headers if name == "content-length")
    return Request(line, headers, await reader.readexactly(length))


Script = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A raw server; ``requests`` in order, ``connections`` opened so far, ``served`` the connection of each request."""

    port: int = 0
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def url(self, path: str = "/fhir/notify", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def answering(answer: bytes) -> Script:
    """Answers every request with these bytes and keeps the connection."""

    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = receiver.connections
        while request := await read_request(reader):
            receiver.requests.append(request)
            receiver.served.append(number)
            writer.write(answer)

    return script


def closing_after(answer: bytes) -> Script:
    """Reads one request, answers with these bytes and closes."""

    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request := await read_request(reader):
            receiver.requests.append(request)
        writer.write(answer)
        writer.close()

    return script
