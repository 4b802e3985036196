"""The tester of the Inferno suite: it subscribes, causes events, and keeps everything that it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.builders import ENCOUNTER_START, encounter, fresh_id, patient, subscription, until_status
from tests.api.harness import Api
from tests.api.receiver import Inbox, Notification

CONTENTS = ("empty", "id-only", "full-resource")
AUTHORIZATION = "Authorization: Bearer SAMPLE_TOKEN"
EVENTS = 2


@dataclass
class Run:
    """One Subscription from its creation to its second event."""

    api: Api
    inbox: Inbox
    content: str
    submitted: dict[str, Any]
    answer: httpx.Response
    patient: str
    encounters: list[str] = field(default_factory=list)

    @property
    def created(self) -> dict[str, Any]:
        """The Subscription in the body of the 201."""
        return dict(self.answer.json())

    @property
    def id(self) -> str:
        return str(self.created["id"])

    def sent(self, kind: str) -> list[Notification]:
        """Everything of one type, filed as Inferno files it: by type and the end of the subscription reference."""
        filed = [each for each in self.inbox.everything if each.type == kind]
        assert all(each.carrier["subscription"]["reference"].endswith(f"Subscription/{self.id}") for each in filed)
        return filed


async def run(api: Api, inbox: Inbox, content: str) -> Run:
    """Subscribe to one patient's encounters with one header, then let two of them begin, and one of somebody else."""
    started = await _subscribed(api, inbox, content, heartbeat=None)
    await until_status(api, started.id, "active")
    for held in (started.patient, "somebody-else"):
        await api.put(f"Patient/{held}", patient(held, active=True))
    for subject in (started.patient, "somebody-else", started.patient):
        identity = fresh_id("visit")
        answer = await api.put(f"Encounter/{identity}", encounter(api.base, identity, subject))
        assert answer.status_code == 201, answer.text
        if subject == started.patient:
            started.encounters.append(identity)
    await inbox.next("handshake")
    assert await inbox.numbers(EVENTS) == [1, 2]
    return started


async def heartbeat_run(api: Api, inbox: Inbox) -> Run:
    """Subscribe with the shortest period, and wait for the first heartbeat."""
    started = await _subscribed(api, inbox, "id-only", heartbeat=1)
    async with asyncio.timeout(5):
        await inbox.next("handshake")
        await inbox.next("heartbeat")
    return started


async def _subscribed(api: Api, inbox: Inbox, content: str, heartbeat: int | None) -> Run:
    subject = fresh_id("patient")
    filters = (f"Encounter?patient=Patient/{subject}",)
    submitted = subscription(
        api.base, inbox.url, ENCOUNTER_START, content=content, filters=filters, headers=(AUTHORIZATION,),
        heartbeat=heartbeat,
    )  # fmt: skip
    return Run(api, inbox, content, submitted, await api.post("Subscription", submitted), subject)
