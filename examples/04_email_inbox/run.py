"""A public-health inbox: a notifiable result is told by mail, without a word about the patient.

    python3 run.py [HUB_BASE [MAIL_PORT]]

The hub must run and hand its mail in at this port (README.md has the command). Starts the mail server of this folder,
subscribes two addresses, posts one result, reads what came. Exits 0 only when its last line holds.
"""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
HUB = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/fhir/r5"
PORT = sys.argv[2] if len(sys.argv) > 2 else "2525"


def ask(method: str, path: str, resource: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """One FHIR request: the status and the resource that was answered, refusals too."""
    headers = {"Content-Type": "application/fhir+json"}
    if token := os.environ.get("HUB_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(resource).encode() if resource else None
    try:
        with urlopen(Request(f"{HUB}/{path}", body, headers, method=method), timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


def must(method: str, path: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    status, answered = ask(method, path, resource)
    if status not in (200, 201):
        sys.exit(f"{method} {path} was answered {status}: {json.dumps(answered)}")
    return answered


def subscription(name: str) -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads((HERE / f"subscription-{name}.json").read_text(encoding="utf-8"))
    return wanted


def notifiable_result(patient: str) -> dict[str, Any]:
    """SARS-CoV-2 RNA detected, final; every id is made up."""
    laboratory = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
    return {
        "resourceType": "Observation",
        "id": f"result-{uuid.uuid4()}",
        "status": "final",
        "category": [{"coding": [laboratory]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}], "text": "SARS-CoV-2 RNA"},
        "subject": {"reference": f"Patient/{patient}"},
        "valueCodeableConcept": {"text": "Detected"},
    }


def next_mail(printed: Any) -> str:
    """The lines of one mail as the sink prints it; waits for it."""
    lines: list[str] = []
    for line in printed:
        lines.append(line)
        if line.startswith("--- end"):
            return "".join(lines)
    sys.exit("the mail server ended")


subscriptions: dict[str, str] = {}
sink = subprocess.Popen([sys.executable, HERE / "sink.py", PORT], stdout=subprocess.PIPE, text=True, encoding="utf-8")
try:
    if not (sink.stdout and sink.stdout.readline()):
        sys.exit(f"nobody can listen at 127.0.0.1:{PORT}; stop what does, or choose another port for both")

    # 1. Two addresses subscribe. There is nothing to shake hands with: they are active at once.
    for name in ("empty", "attached"):
        made = must("POST", "Subscription", subscription(name))
        subscriptions[made["endpoint"]] = made["id"]
        print(f"Subscription/{made['id']} sends {made['content']} to {made['endpoint']}: {made['status']}")

    # 2. Whole resources by mail are refused, unless the operator of the hub has allowed them.
    status, refusal = ask("POST", "Subscription", subscription("attached") | {"content": "full-resource"})
    print(f"full-resource is answered {status}: {refusal['issue'][0]['diagnostics']}")

    # 3. One notifiable result. Both addresses get one mail, in either order.
    patient = f"patient-{uuid.uuid4()}"
    result = notifiable_result(patient)
    must("PUT", f"Observation/{result['id']}", result)
    mails = sorted((next_mail(sink.stdout) for _ in range(2)), key=lambda mail: "registry@example.org" in mail)
    print("".join(mails))
finally:
    sink.kill()
    sink.wait()
    for identity in subscriptions.values():
        ask("DELETE", f"Subscription/{identity}")

silent, attached = mails
wrong = [word for word in (patient, result["id"], "SARS", "Detected", "lab-result") if word in silent]
if wrong or "mail to ph@example.org" not in silent or "event 1" not in silent:
    sys.exit(f"the first mail says what it must not, or not what it must: {wrong}")
bundle = json.loads(next(line for line in attached.splitlines() if line.startswith("[notification")).partition("] ")[2])
events = bundle["entry"][0]["resource"]["notificationEvent"]
foci = [event["focus"]["reference"].rpartition("/")[2] for event in events]
if bundle["type"] != "subscription-notification" or foci != [result["id"]] or "Detected" in attached:
    sys.exit(f"the second mail carries something else: {foci}")
if status != 422:
    sys.exit(f"full-resource by mail was answered {status}")
print(f"Two mails: one says only that there is event 1, the other has a Bundle about Observation/{foci[0]} attached.")
