"""Subscribe to admissions, admit a patient, ask what came of it. Only Python's standard library.

    python3 subscribe.py [HUB_BASE [ENDPOINT]]

HUB_BASE is http://127.0.0.1:8080/fhir/r4 and ENDPOINT the one in subscription-r4.json when not given. A hub that is not
in development mode wants a token: put it into the environment as HUB_TOKEN.
Exits 0 only when the hub has delivered the admission to the endpoint.
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

HUB = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/fhir/r4"
PATIENCE_SECONDS = 30


def ask(method: str, path: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """One FHIR request; the answered resource. A refusal ends the script with the hub's OperationOutcome."""
    headers = {"Content-Type": "application/fhir+json"}
    if token := os.environ.get("HUB_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(resource).encode() if resource else None
    try:
        with urlopen(Request(f"{HUB}/{path}", body, headers, method=method), timeout=10) as answer:
            answered: dict[str, Any] = json.load(answer)
    except HTTPError as refusal:
        sys.exit(f"{method} {path} was answered {refusal.code}: {refusal.read().decode()}")
    return answered


def parameter(status: dict[str, Any], name: str) -> str:
    """One value of the R4 status, a Parameters resource."""
    found = next(each for each in status["parameter"] if each["name"] == name)
    return next(str(value) for key, value in found.items() if key.startswith("value"))


def wait_for(subscription: str, status: str) -> dict[str, Any]:
    """The answer of $status once it says ``status``; ends the script when it says ``error`` or takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        told: dict[str, Any] = ask("GET", f"Subscription/{subscription}/$status")["entry"][0]["resource"]
        if parameter(told, "status") == status:
            return told
        if parameter(told, "status") == "error":
            sys.exit(f"the hub cannot reach the endpoint: {json.dumps(told['parameter'])}")
        time.sleep(0.1)
    sys.exit(f"the Subscription was not {status} within {PATIENCE_SECONDS} s")


def admission() -> dict[str, Any]:
    """An inpatient Encounter that begins, as the EHR would write it."""
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    identity = f"visit-{uuid.uuid4()}"
    return {"resourceType": "Encounter", "id": identity, "status": "in-progress", "class": inpatient}


# 1. Subscribe. The hub answers at once; then it shakes hands with the endpoint, and the Subscription becomes active.
wanted = json.loads((Path(__file__).parent / "subscription-r4.json").read_text(encoding="utf-8"))
if len(sys.argv) > 2:
    wanted["channel"]["endpoint"] = sys.argv[2]
subscription = ask("POST", "Subscription", wanted)["id"]
print(f"Subscription/{subscription} is subscribed to {wanted['criteria']}")
wait_for(subscription, "active")
print("the endpoint answered the handshake: active")

# 2. Admit a patient. When the hub answers 201, the change is safe and the notification will come.
encounter = admission()
ask("PUT", f"Encounter/{encounter['id']}", encounter)
print(f"Encounter/{encounter['id']} is in progress")

# 3. Ask the hub for the events of this Subscription; a receiver that was away catches up in the same way.
deadline = time.monotonic() + PATIENCE_SECONDS
while time.monotonic() < deadline:
    events = ask("GET", f"Subscription/{subscription}/$events?eventsSinceNumber=1")
    if encounter["id"] in json.dumps(events):
        break
    time.sleep(0.1)
else:
    sys.exit("the admission made no event")
told = wait_for(subscription, "active")
print(f"events so far: {parameter(told, 'events-since-subscription-start')}")
