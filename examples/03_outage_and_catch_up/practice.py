"""A GP practice that is told of encounters: a table, an endpoint that can be shut, and how to catch up.

Only Python's standard library. ``Practice.take`` is the heart: one place for what was sent and for what was asked for,
so that every event is used once, however often and on whichever way it comes.
"""

import base64
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOO_OLD_SECONDS = 300


class Practice:
    """``table`` is what it has used: (number, reference) in order. A real one writes both in one transaction."""

    def __init__(self) -> None:
        self.table: list[tuple[int, str]] = []
        self.secret = ""
        self.repeats = self.forged = 0
        self.count_at_handshake = 0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._lock = threading.Lock()

    @property
    def last_number(self) -> int:
        return self.table[-1][0] if self.table else 0

    def open(self) -> str:
        """Listen, on the same port every time; the endpoint."""
        practice = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if practice.secret and not practice.is_genuine(dict(self.headers.items()), body):
                    practice.forged += 1
                    self.send_response(401)
                else:
                    practice.take(json.loads(body))
                    self.send_response(200)  # only now: a 2xx says that it is safe here
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """What matters is printed by run.py."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Endpoint)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._port}/notifications"

    def shut(self) -> None:
        """The outage: nobody listens any more."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def take(self, bundle: dict[str, Any]) -> None:
        """Use what a notification, or the answer to $events, says; each number once and in order."""
        status = bundle["entry"][0]["resource"]
        with self._lock:
            if status["type"] == "handshake":
                self.count_at_handshake = int(status["eventsSinceSubscriptionStart"])
            for event in status.get("notificationEvent", ()):
                number = int(event["eventNumber"])
                if number <= self.last_number:
                    self.repeats += 1
                else:
                    self.table.append((number, event["focus"]["reference"].split("/")[-1]))

    def is_genuine(self, headers: dict[str, str], body: bytes) -> bool:
        """Standard Webhooks: is it the hub's, is it whole, is it of now."""
        lower = {name.lower(): value for name, value in headers.items()}
        if abs(time.time() - int(lower.get("webhook-timestamp", "0"))) > TOO_OLD_SECONDS:
            return False
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = f"{lower['webhook-id']}.{lower['webhook-timestamp']}.".encode() + body
        expected = f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
        return any(hmac.compare_digest(expected, each) for each in lower["webhook-signature"].split(" "))
