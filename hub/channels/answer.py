"""Reading one HTTP/1.1 answer at a time from bytes; knows nothing of sockets, time or tasks (RFC 9112).

A status counts as soon as its headers are complete, whatever becomes of the body. Interim answers (1xx) are skipped.
What comes in is bounded: 32 KiB up to the end of the headers, interim answers included, and 64 KiB after it (SECURITY
B5).
"""

from __future__ import annotations

import httptools

from hub.channels.response import Failure, Response

HEAD_LIMIT_BYTES = 32 * 1024
BODY_LIMIT_BYTES = 64 * 1024
KEPT_HEADERS = {b"retry-after": "retry-after", b"content-type": "content-type"}
SWITCHING_PROTOCOLS = 101  # never asked for: what follows is not HTTP


class AnswerReader:
    """Feed it until ``finished``; then ``response`` tells the answer and ``reusable`` whether another may follow."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect()

    def expect(self) -> None:
        """Get ready for the answer to the next request on the same connection."""
        self.finished = False
        self.reusable = False
        self._status = 0
        self._failure: Failure | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._seen_bytes = 0
        self._limit_bytes = HEAD_LIMIT_BYTES

    @property
    def has_status(self) -> bool:
        """Are the headers of the final answer complete."""
        return self._status > 0

    @property
    def is_success(self) -> bool:
        return 200 <= self._status < 300

    def response(self, failure: Failure, duration_seconds: float = 0.0) -> Response:
        """What there is of the answer; ``failure`` is the reason to give when it has no status."""
        if self._status:
            return Response(
                self._status, self._headers, b"".join(self._body)[:BODY_LIMIT_BYTES], None, duration_seconds
            )
        return Response(failure=self._failure or failure, duration_seconds=duration_seconds)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; in pieces that never go beyond what is still allowed."""
        while data and not self.finished:
            room = self._limit_bytes - self._seen_bytes
            piece, data = data[:room], data[room:]
            self._seen_bytes += len(piece)
            self._parse(piece)
            if not self.finished and self._seen_bytes >= self._limit_bytes:
                self._stop(Failure.HEADERS_TOO_LARGE)
        if data:
            self.reusable = False

    def end(self) -> None:
        """The other side will send no more: the end of a body without length, or of a broken answer."""
        if not self.finished:
            self._stop(Failure.CONNECTION_LOST)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._stop(Failure.NOT_HTTP)

    def _stop(self, failure: Failure) -> None:
        """Nothing that follows can be read; a complete status stands."""
        self.reusable = False
        if not self.finished:
            self.finished = True
            self._failure = failure

    # Called by httptools while it is fed.

    def on_message_begin(self) -> None:
        if self.finished:  # an answer that nobody asked for
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        kept = KEPT_HEADERS.get(name.lower())
        if kept and not self._status:  # with a status it would be a trailer
            self._headers[kept] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.finished:
            return
        if status < 100 or status == SWITCHING_PROTOCOLS:
            self._stop(Failure.NOT_HTTP)
        elif status < 200:
            self._headers.clear()
        else:
            self._status = status
            self._limit_bytes = self._seen_bytes + BODY_LIMIT_BYTES
            self.reusable = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.finished:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status:
            self.finished = True
