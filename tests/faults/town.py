"""Everybody who takes part in a run of faults: who writes changes, who asks for and edits Subscriptions, who reads.

What they do is drawn from a seed, and written into a ledger for each base. How the hub is reached and what befalls it
is the business of the test.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from hub.domain.versions import FhirVersion
from tests.faults.ledger import Broken, Change, Ledger, Unsure, Wish, faults_of
from tests.faults.receiver import Receiver, milliseconds

TOPIC = "https://fhir-notification-hub.example/topics/patient-change"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
BASES = (FhirVersion.R4, FhirVersion.R5)
GENDERS = ("male", "female", "other")
END_DOUBT_SECONDS = 0.5
"""A Subscription ends by the clock of Redis; what is judged so close to it may fall either way."""


class Door(Protocol):
    """How requests get to the hub."""

    async def request(self, method: str, path: str, body: object = None, key: str = "") -> httpx.Response:
        """Repeated until it is answered, by whichever process there is."""
        ...

    async def once(self, method: str, path: str, body: object) -> httpx.Response | None:
        """Sent once; None when it cannot be known whether it was carried out."""
        ...


class Town:
    """``patients`` is how many there are to be written about; ``unsure`` the share of writes that are sent once."""

    def __init__(
        self, seed: int, door: Door, receiver: Receiver, *,
        patients: int = 6, unsure: float = 0.0, timeout_seconds: int = 1,
    ) -> None:  # fmt: skip
        self.chance = random.Random(seed)
        self.door = door
        self.receiver = receiver
        self.ledgers = {base: Ledger() for base in BASES}
        self.deleted: set[str] = set()
        self._patients = patients
        self._unsure = unsure
        self._timeout = timeout_seconds
        self._keys = 0
        self._turns: defaultdict[tuple[FhirVersion, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def mailboxes(self) -> list[tuple[FhirVersion, str]]:
        return [(base, mailbox) for base, ledger in self.ledgers.items() for mailbox in ledger.wishes]

    def fresh_key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    async def write(self, base: FhirVersion) -> None:
        """Create, update or delete a Patient. No two changes of one Patient in one millisecond: it tells them apart."""
        identity = self.chance.choice(("", *(f"p{number}" for number in range(self._patients))))
        async with self._turns[base, identity]:
            if identity and self.chance.random() < self._unsure:
                await self._write_once(base, identity)
            else:
                await self._write(base, identity)
            await asyncio.sleep(0.002)

    async def mark(self, base: FhirVersion, gender: str) -> str:
        """A new Patient of this gender, whom everybody is told of who wants such; its reference."""
        return (await self._answered(base, "POST", "", gender)).reference

    async def _write(self, base: FhirVersion, identity: str) -> None:
        gender = self.chance.choice(GENDERS)
        if not identity:
            await self._answered(base, "POST", "", gender)
        elif self.chance.random() < 0.25:
            path, sent = f"{base.path}/Patient/{identity}", time.monotonic()
            answer = await self.door.request("DELETE", path, key=self.fresh_key())
            if answer.status_code != 404:
                self._note(base, answer, identity, gender, sent)
        else:
            await self._answered(base, "PUT", identity, gender)

    async def _answered(self, base: FhirVersion, method: str, identity: str, gender: str) -> Change:
        key, path = self.fresh_key(), f"{base.path}/Patient" + (f"/{identity}" if identity else "")
        sent = time.monotonic()
        answer = await self.door.request(method, path, _patient(identity, gender, key), key=key)
        return self._note(base, answer, identity or answer.json()["id"], gender, sent)

    async def _write_once(self, base: FhirVersion, identity: str) -> None:
        key, gender, sent = self.fresh_key(), self.chance.choice(GENDERS), time.monotonic()
        answer = await self.door.once("PUT", f"{base.path}/Patient/{identity}", _patient(identity, gender, key))
        if answer is None:
            self.ledgers[base].unsure[key] = Unsure(gender, sent)
        else:
            self._note(base, answer, identity, gender, sent)

    def _note(self, base: FhirVersion, answer: httpx.Response, identity: str, gender: str, sent: float) -> Change:
        assert answer.status_code in (200, 201, 204), answer.text
        deleted = answer.status_code == 204
        version = int(answer.headers["ETag"].strip('W/"'))
        at = None if deleted else milliseconds(answer.json()["meta"]["lastUpdated"])
        change = Change(f"Patient/{identity}", version, gender, sent, time.monotonic(), at, deleted)
        self.ledgers[base].note(change)
        return change

    async def subscribe(self, base: FhirVersion, mailbox: str) -> None:
        await self.wish(base, mailbox, status="requested", begins=True)

    async def stand(self, base: FhirVersion, mailbox: str) -> None:
        """A Subscription to everything, one by one, that nobody will edit."""
        await self._put(base, mailbox, "requested", None, self.receiver.url(mailbox), 1, begins=True)

    async def edit(self, base: FhirVersion, mailbox: str) -> None:
        """A new filter, perhaps a new endpoint; off and back; or the end of it."""
        present = self.ledgers[base].wishes[mailbox][-1]
        drawn = self.chance.random()
        if drawn < 0.12:
            await self.delete(base, mailbox)
        elif not present.on:
            await self.wish(base, mailbox, status="requested", begins=True)
        elif drawn < 0.4:
            await self.wish(base, mailbox, status="off")
        else:
            await self.wish(base, mailbox, status="active")

    async def delete(self, base: FhirVersion, mailbox: str) -> None:
        sent = time.monotonic()
        await self.door.request("DELETE", f"{base.path}/Subscription/{mailbox}")
        self.ledgers[base].wish(mailbox, Wish(sent, time.monotonic(), on=False))
        self.deleted.add(mailbox)

    async def wish(
        self, base: FhirVersion, mailbox: str, *, status: str, begins: bool = False, seconds: float = 0
    ) -> None:
        """``seconds``: it is to end so long from now."""
        gender = self.chance.choice((None, None, *GENDERS))
        endpoint = self.receiver.url(mailbox) + self.chance.choice(("", "", "?moved"))
        await self._put(base, mailbox, status, gender, endpoint, self.chance.choice((1, 3, 20)), begins, seconds)

    async def _put(
        self, base: FhirVersion, mailbox: str, status: str, gender: str | None, endpoint: str, most: int,
        begins: bool = False, seconds: float = 0,
    ) -> None:  # fmt: skip
        body = {"id": mailbox, "status": status} | _subscription(base, endpoint, gender, most, self._timeout)
        sent = time.monotonic()
        ends = sent + seconds if seconds else 0.0
        if ends:
            body["end"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
        answer = await self.door.request("PUT", f"{base.path}/Subscription/{mailbox}", body)
        if ends and answer.status_code == 422:  # nobody answered until the end had passed; it may stand all the same
            await self._start_afresh(base, mailbox, sent, gender)
            return
        assert answer.status_code in (200, 201), answer.text
        former = self.ledgers[base].wishes.get(mailbox)
        if former and former[-1].answered > sent:  # its end may not have come yet: then it goes on and does not begin
            begins = False
        self.ledgers[base].wish(mailbox, Wish(sent, time.monotonic(), status != "off", gender, begins))
        if ends:
            self.ledgers[base].wish(mailbox, Wish(ends - END_DOUBT_SECONDS, ends + END_DOUBT_SECONDS, on=False))

    async def _start_afresh(self, base: FhirVersion, mailbox: str, sent: float, gender: str | None) -> None:
        """What was in force since ``sent``: the former wish, the new one, or its end. From now on it is known again."""
        wishes = self.ledgers[base].wishes[mailbox]
        former = wishes[-1]
        place = len(wishes)
        await self.wish(base, mailbox, status="requested", begins=True)
        until = wishes[place].answered
        stays = replace(former, sent=sent, answered=until, begins=False)
        wishes[place:place] = (Wish(sent, until, on=True, gender=gender), Wish(sent, until, on=False), stays)

    def faults(self) -> list[Broken]:
        found = []
        for base, ledger in self.ledgers.items():
            ledger.name_focus_of_deletes()
            for mailbox in ledger.wishes:
                complete = mailbox not in self.deleted
                broken = faults_of(ledger, mailbox, self.receiver.of(mailbox), complete=complete)
                found += [Broken(fault.promise, f"{base} {mailbox}: {fault.words}") for fault in broken]
        return found


def _patient(identity: str, gender: str, key: str) -> dict[str, Any]:
    body = {"resourceType": "Patient", "gender": gender, "name": [{"text": key}]}
    return body | ({"id": identity} if identity else {})


def _subscription(base: FhirVersion, endpoint: str, gender: str | None, most: int, seconds: int) -> dict[str, Any]:
    if base is FhirVersion.R5:
        filters = [{"resourceType": "Patient", "filterParameter": "gender", "value": gender}] if gender else []
        return {
            "resourceType": "Subscription", "topic": TOPIC, "channelType": {"code": "rest-hook"}, "endpoint": endpoint,
            "content": "full-resource", "maxCount": most, "timeout": seconds,
        } | ({"filterBy": filters} if filters else {})  # fmt: skip
    channel = {
        "type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": "full-resource"}]},
        "extension": [
            {"url": f"{BACKPORT}timeout", "valueUnsignedInt": seconds},
            {"url": f"{BACKPORT}max-count", "valuePositiveInt": most},
        ],
    }  # fmt: skip
    subscription = {"resourceType": "Subscription", "reason": "a test", "criteria": TOPIC, "channel": channel}
    if gender:
        condition = {"url": f"{BACKPORT}filter-criteria", "valueString": f"Patient?gender={gender}"}
        subscription["_criteria"] = {"extension": [condition]}
    return subscription
