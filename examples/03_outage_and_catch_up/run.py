"""A practice is away twice: once for a moment, once for so long that the hub gives up. It misses nothing.

    python3 run.py [HUB_BASE]           the hub must run, with short waits: see README.md

Exits 0 only when its last line holds.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from practice import Practice

HUB = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/fhir/r5"
PATIENCE_SECONDS = 60
TOPIC = "https://fhir-notification-hub.example/topics/encounter-start"
opener = build_opener(ProxyHandler({}))
run = uuid.uuid4().hex[:8]


def ask(method: str, path: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """One FHIR request; the answered resource. A refusal ends the program with the hub's OperationOutcome."""
    body = json.dumps(resource).encode() if resource else None
    request = Request(f"{HUB}/{path}", body, {"Content-Type": "application/fhir+json"}, method=method)
    try:
        with opener.open(request, timeout=10) as answer:
            answered: dict[str, Any] = json.load(answer)
    except HTTPError as refusal:
        sys.exit(f"{method} {path} was answered {refusal.code}: {refusal.read().decode()}")
    except OSError as problem:
        sys.exit(f"the hub at {HUB} does not answer: {problem}")
    return answered


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come within {PATIENCE_SECONDS} s; has the hub the settings of README.md?")
        time.sleep(0.05)


def status_of(subscription: str) -> dict[str, Any]:
    found: dict[str, Any] = ask("GET", f"Subscription/{subscription}/$status")["entry"][0]["resource"]
    return found


def start_encounter(number: int) -> None:
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    identity = f"{run}-e{number}"
    encounter = {
        "resourceType": "Encounter", "id": identity, "status": "in-progress", "class": [{"coding": [ambulatory]}],
        "subject": {"reference": f"Patient/{run}"},
    }  # fmt: skip
    ask("PUT", f"Encounter/{identity}", encounter)
    print(f"  the hospital starts encounter e{number}")


def subscribe(practice: Practice) -> str:
    subscription = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "content": "id-only",
        "channelType": {"code": "rest-hook"}, "endpoint": practice.open(), "contentType": "application/fhir+json",
        "filterBy": [{"filterParameter": "patient", "value": f"Patient/{run}"}],
    }  # fmt: skip
    identity = str(ask("POST", "Subscription", subscription)["id"])
    wait_until(lambda: status_of(identity)["status"] == "active", "active")
    for parameter in ask("POST", f"Subscription/{identity}/$signing-secret")["parameter"]:
        if parameter["name"] == "secret":
            practice.secret = parameter["valueString"]
    return identity


def short_outage(practice: Practice, subscription: str) -> None:
    print("1. The practice is away for a moment.")
    start_encounter(1)
    wait_until(lambda: practice.last_number == 1, "event 1")
    practice.shut()
    for number in (2, 3, 4):
        start_encounter(number)
    wait_until(lambda: status_of(subscription)["status"] == "error", "status error")
    told = status_of(subscription)
    code = told["error"][0]["coding"][0]["code"]
    print(f"  $status: {told['status']}, {code}, {told['eventsSinceSubscriptionStart']} events so far")
    if (code, told["eventsSinceSubscriptionStart"]) != ("no-response", "4"):
        sys.exit("the hub did not say what is wrong")
    practice.open()
    wait_until(lambda: status_of(subscription)["status"] == "active", "active again")
    print(f"  the practice is back; the hub delivered by itself up to number {practice.last_number}: active")


def long_outage(practice: Practice, subscription: str) -> None:
    print("2. The practice is away for so long that the hub gives up.")
    practice.shut()
    for number in (5, 6):
        start_encounter(number)
    wait_until(lambda: status_of(subscription)["status"] == "off", "status off")
    print("  $status: off")
    practice.open()
    asked = practice.last_number + 1
    practice.take(ask("GET", f"Subscription/{subscription}/$events?eventsSinceNumber={asked}"))
    print(f"  the practice is back and asks for $events from {asked} on: it has up to {practice.last_number}")
    written = ask("GET", f"Subscription/{subscription}")
    ask("PUT", f"Subscription/{subscription}", written | {"status": "requested"})
    wait_until(lambda: status_of(subscription)["status"] == "active", "active after requested")
    print(f"  it PUTs requested; the hub shakes hands ({practice.count_at_handshake} events so far): active")
    start_encounter(7)
    wait_until(lambda: practice.last_number >= 7, "event 7")


practice = Practice()
subscription = subscribe(practice)
short_outage(practice, subscription)
long_outage(practice, subscription)
ask("PUT", f"Subscription/{subscription}", ask("GET", f"Subscription/{subscription}") | {"status": "off"})
if practice.table != [(number, f"{run}-e{number}") for number in range(1, 8)]:
    sys.exit(f"the table of the practice is wrong: {practice.table}")
if practice.forged:
    sys.exit(f"{practice.forged} notifications had no valid signature")
print(
    f"The practice has e1 to e7 once each and in order; every signature held, "
    f"{practice.repeats} that came again were not used twice."
)
