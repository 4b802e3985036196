"""The receivers of all Subscriptions: one process that notes what arrived when, answers 200, and reads it later."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import httptools

from hub.bench.child import obey, run
from hub.bench.counter import Counter
from hub.bench.notifications import EVENT, read

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BARE_PATH = "/bare"
"""What a baseline posts to: answered alike, not noted."""
BACKLOG = 1024


class Notebook:
    """Arrivals as they came: (monotonic ns, path, body). ``counter`` follows, once it is known."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, bytes, bytes]] = []
        self.counter: Counter | None = None

    def note(self, path: bytes, body: bytes) -> None:
        if not path.startswith(BARE_PATH.encode()):
            self.arrivals.append((time.monotonic_ns(), path, body))
        if self.counter:
            self.counter.up()

    def take(self, label: str, prefix: str) -> dict[str, Any]:
        """Rows (ns, Subscription, number, change) of one phase; older phases' late ones are told as ``late``."""
        rows: list[tuple[int, int, int, int]] = []
        told = {"handshakes": 0, "late": 0, "unreadable": 0}
        for at, path, body in self.arrivals:
            _, _, seen_label, subscription, *rest = path.decode("latin-1").split("/")
            if rest:  # classic: the resource itself at [endpoint]/[Type]/[id]
                kind, events = EVENT, [(0, rest[-1])]
            else:
                try:
                    kind, events = read(body)
                except (ValueError, LookupError, TypeError, AttributeError):
                    told["unreadable"] += 1
                    continue
            told["handshakes"] += kind == "handshake"
            for number, focus in events if kind == EVENT else ():
                seen_prefix, _, change = focus.rpartition("/")[2].rpartition("-")
                if seen_label == label and seen_prefix == prefix and change.isdecimal():
                    rows.append((at, int(subscription), number, int(change)))
                else:
                    told["late"] += 1
        self.arrivals.clear()
        return {**told, "rows": rows}


class Reception(asyncio.Protocol):
    """One connection of a sender."""

    transport: asyncio.Transport

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._path = self._body = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._notebook.note(self._path, self._body)
        self._path = self._body = b""
        self.transport.write(OK)


async def main() -> int:
    notebook = Notebook()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Reception(notebook), "127.0.0.1", 0, backlog=BACKLOG)

    async def handle(command: dict[str, Any]) -> dict[str, Any]:
        if command["do"] == "count":
            notebook.counter = Counter(command["counter"])
            return {}
        return notebook.take(command["label"], command["prefix"])

    return await obey({"port": server.sockets[0].getsockname()[1]}, handle)


if __name__ == "__main__":
    run(main)
