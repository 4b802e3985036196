"""A receiver in thirty lines: answers 200 and prints what it is told. Only Python's standard library.

python3 receiver.py [PORT]          9000 when not given; 0 takes a free one
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen: set[int] = set()  # a real receiver keeps this where it keeps its data, and writes both together


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        bundle = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parameters = bundle["entry"][0]["resource"]["parameter"]  # R4: the first entry says what this is about
        print(next(each["valueCode"] for each in parameters if each["name"] == "type"), flush=True)
        for event in (each["part"] for each in parameters if each["name"] == "notification-event"):
            number = int(next(part["valueString"] for part in event if part["name"] == "event-number"))
            focus = next(part["valueReference"]["reference"] for part in event if part["name"] == "focus")
            if number not in seen:  # delivery is at least once: what came before is answered 200 and not done again
                seen.add(number)
                print(f"  event {number}: {focus}", flush=True)
        self.send_response(200)  # only now: a 2xx says that it is safe here
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Its own lines are enough."""


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), Receiver)
print(f"receiver listens at http://127.0.0.1:{server.server_port}/notifications", flush=True)
server.serve_forever()
