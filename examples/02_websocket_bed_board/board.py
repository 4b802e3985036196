"""A bed board in the terminal that stays right through cut connections. Needs the package ``websockets``.

    python3 board.py [HUB_BASE]         http://127.0.0.1:8080/fhir/r5 when not given; HUB_TOKEN when the hub wants one

It keeps two things: who lies where, and for each Subscription the last event number that went into it. When the
connection is cut it asks for a new token, binds with those numbers, and the hub sends what is missing first.
"""

import asyncio
import json
import os
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

HUB = "http://127.0.0.1:8080/fhir/r5"
TOPICS = "https://fhir-notification-hub.example/topics/"
FINAL_CODES = (4409, 4410)  # another board has taken over; the Subscriptions have ended: do not come back
PAUSE_SECONDS = 0.2


def ask(method: str, url: str, resource: Any = None) -> Any:
    """One FHIR request; the answered resource. A refusal ends the program with the hub's OperationOutcome."""
    headers = {"Content-Type": "application/fhir+json"}
    if token := os.environ.get("HUB_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(resource).encode() if resource else None
    try:
        with urlopen(Request(url, body, headers, method=method), timeout=30) as answer:
            return json.load(answer)
    except HTTPError as refusal:
        sys.exit(f"{method} {url} was answered {refusal.code}: {refusal.read().decode()}")


def subscription(identity: str, topic: str) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "id": identity,
        "status": "requested",
        "topic": TOPICS + topic,
        "channelType": {
            "system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
            "code": "websocket",
        },
        "content": "full-resource",
        "heartbeatPeriod": 30,
        "maxCount": 50,
    }


class Board:
    """``beds`` has Encounter id -> (version, bed, patient), bed "" when the patient has left."""

    def __init__(self, hub: str, name: str = "board") -> None:
        self.hub = hub
        self.beds: dict[str, tuple[int, str, str]] = {}
        self.seen = {f"{name}-admissions": 0, f"{name}-discharges": 0}
        self.numbers: dict[str, list[int]] = {identity: [] for identity in self.seen}
        self.connection: ClientConnection | None = None
        self.used_token = ""
        self.connections = 0
        self.caught_up = 0  # events that were missed while the connection was cut

    @property
    def taken(self) -> dict[str, str]:
        """Who lies where now."""
        return {bed: patient for _, bed, patient in self.beds.values() if bed}

    async def subscribe(self) -> None:
        for identity in self.seen:
            topic = "admission" if identity.endswith("admissions") else "discharge"
            wanted = subscription(identity, topic)
            await asyncio.to_thread(ask, "PUT", f"{self.hub}/Subscription/{identity}", wanted)

    async def run(self) -> None:
        """Stay connected until the hub says that there is nothing more to come."""
        while True:
            try:
                await self._listen()
            except ConnectionClosed as end:
                if end.rcvd and end.rcvd.code in FINAL_CODES:
                    print(f"the hub has ended it: {end.rcvd.reason}")
                    return
                print("cut; connecting again")
            except (OSError, InvalidStatus) as problem:
                print(f"the hub cannot be reached ({type(problem).__name__}); trying again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        ids = "&".join(f"id={identity}" for identity in self.seen)
        told = await asyncio.to_thread(ask, "GET", f"{self.hub}/Subscription/$get-ws-binding-token?{ids}")
        values = {each["name"]: each.get("valueString", each.get("valueUrl")) for each in told["parameter"]}
        self.used_token = values["token"]
        async with connect(values["websocket-url"], proxy=None, max_size=None) as self.connection:
            self.connections += 1
            numbers = " ".join(f"{identity}={number}" for identity, number in self.seen.items())
            await self.connection.send(f"bind-with-token {self.used_token} {numbers}")
            async for frame in self.connection:
                self.take(json.loads(frame))

    def take(self, frame: dict[str, Any]) -> None:
        """One frame: a notification, or an OperationOutcome."""
        if frame["resourceType"] == "OperationOutcome":
            print(frame["issue"][0]["diagnostics"])
            return
        status = frame["entry"][0]["resource"]
        identity = status["subscription"]["reference"].rpartition("/")[2]
        count, last = int(status["eventsSinceSubscriptionStart"]), self.seen[identity]
        if status["type"] == "handshake":
            self.caught_up += count - last
            print(f"{identity}: connected; {count} events so far, {count - last} of them new here")
            return
        for event in status.get("notificationEvent", []):
            number = int(event["eventNumber"])
            if number != self.seen[identity] + 1:
                sys.exit(f"{identity}: event {number} came after {self.seen[identity]}")
            self.seen[identity] = number
            self.numbers[identity].append(number)
        for entry in frame["entry"][1:]:
            self._write(entry["resource"], identity)

    def _write(self, encounter: dict[str, Any], identity: str) -> None:
        """The newest version wins: what was missed comes one Subscription after the other."""
        version = int(encounter["meta"]["versionId"])
        if version <= self.beds.get(encounter["id"], (0, "", ""))[0]:
            return
        patient, here = encounter["subject"]["display"], encounter["status"] == "in-progress"
        bed = encounter["location"][0]["location"]["display"]
        self.beds[encounter["id"]] = (version, bed if here else "", patient)
        print(f"{identity} {self.seen[identity]:>4}  {bed:8} {patient if here else 'free'}")


async def main() -> None:
    board = Board(sys.argv[1] if len(sys.argv) > 1 else HUB)
    await board.subscribe()
    await board.run()


if __name__ == "__main__":
    asyncio.run(main())
