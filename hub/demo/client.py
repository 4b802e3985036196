"""The EHR's side and the subscriber's side of HTTP: what the story sends to the hub."""

from __future__ import annotations

from typing import Any

import httpx

from hub.demo.hospital import Change
from hub.demo.narration import Notification, read_notification
from hub.demo.witness import NotSeen

ADMISSION = "https://fhir-notification-hub.example/topics/admission"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FHIR_JSON = {"Content-Type": "application/fhir+json"}
ATTEMPT_SECONDS = 2
"""Time-out of one delivery. Short, because a killed hub's attempt counts as running until it is over (plus 5 s)."""


def subscription(endpoint: str) -> dict[str, Any]:
    """A rest-hook Subscription to admissions, R4 after the Subscriptions R5 Backport IG, resources included."""
    return {
        "resourceType": "Subscription",
        "meta": {"profile": [BACKPORT + "backport-subscription"]},
        "status": "requested",
        "reason": "hub demo",
        "criteria": ADMISSION,
        "channel": {
            "extension": [{"url": BACKPORT + "backport-timeout", "valueUnsignedInt": ATTEMPT_SECONDS}],
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": BACKPORT + "backport-payload-content", "valueCode": "full-resource"}]},
        },
    }


class Client:
    """Speaks to the R4 base of one hub. An unexpected answer is NotSeen: the story cannot go on."""

    def __init__(self, hub_url: str) -> None:
        self.base = f"{hub_url}/fhir/r4"
        self._hub_url = hub_url
        # trust_env off: a proxy of the environment has no business with loopback
        self._http = httpx.AsyncClient(trust_env=False, timeout=10.0)

    async def close(self) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Does the hub say that everything that must run, runs."""
        try:
            return (await self._http.get(f"{self._hub_url}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def write(self, change: Change) -> None:
        """PUT one change; when this returns, the hub has made it durable."""
        await self._ask("PUT", f"/{change.reference}", change.resource)

    async def subscribe(self, endpoint: str) -> dict[str, Any]:
        """The Subscription as the hub answers it, before the handshake."""
        answer: dict[str, Any] = (await self._ask("POST", "/Subscription", subscription(endpoint))).json()
        return answer

    async def status(self, identity: str) -> Notification:
        return read_notification((await self._ask("GET", f"/Subscription/{identity}/$status")).json())

    async def events(self, identity: str) -> Notification:
        """Everything that the hub still holds of it, from number 1 on."""
        path = f"/Subscription/{identity}/$events?eventsSinceNumber=1"
        return read_notification((await self._ask("GET", path)).json())

    async def _ask(self, method: str, path: str, resource: dict[str, Any] | None = None) -> httpx.Response:
        what = f"{method} {path}"
        try:
            answer = await self._http.request(method, self.base + path, json=resource, headers=FHIR_JSON)
        except httpx.TransportError as problem:
            raise NotSeen(f"{what} is answered", f"{type(problem).__name__}: {problem}") from problem
        if not answer.is_success:
            raise NotSeen(f"{what} succeeds", f"{answer.status_code} {answer.text[:500]}")
        return answer
