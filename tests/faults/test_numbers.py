"""Numbers are 1..n without gap, whatever is written, whoever fails, whenever the hub dies (I5, I7, I10, S-109)."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.faults.ledger import Change, Ledger, Wish, faults_of
from tests.faults.lives import Lives
from tests.faults.receiver import Manner, Receiver, bad_manners, milliseconds

TOPIC = "https://fhir-notification-hub.example/topics/patient-change"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
BASES = (FhirVersion.R4, FhirVersion.R5)
GENDERS = ("male", "female", "other")
WRITERS, BURSTS, WRITES_PER_BURST = 3, 3, 24
SEEDS = (3, 11, 29, date.today().toordinal())


class Town:
    """Everybody who takes part in one run, all drawing from one seed."""

    def __init__(self, seed: int, redis_url: str, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.lives = Lives(redis_url, folder)
        self.receiver = Receiver(bad_manners(random.Random(seed + 1)))
        self.ledgers = {base: Ledger() for base in BASES}
        self.deleted: set[str] = set()
        self._keys = 0
        self._turns: defaultdict[tuple[FhirVersion, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def mailboxes(self) -> list[tuple[FhirVersion, str]]:
        return [(base, mailbox) for base, ledger in self.ledgers.items() for mailbox in ledger.wishes]

    def fresh_key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    async def write(self, base: FhirVersion) -> None:
        """Create, update or delete a Patient. No two changes of one Patient in one millisecond: it tells them apart."""
        identity = self.chance.choice(("", *(f"p{number}" for number in range(6))))
        async with self._turns[base, identity]:
            await self._write(base, identity)
            await asyncio.sleep(0.002)

    async def _write(self, base: FhirVersion, identity: str) -> None:
        gender = self.chance.choice(GENDERS)
        path, body = f"{base.path}/Patient", {"resourceType": "Patient", "gender": gender}
        sent = time.monotonic()
        if not identity:
            answer = await self.lives.request("POST", path, body, key=self.fresh_key())
            identity = answer.json()["id"]
        elif self.chance.random() < 0.25:
            answer = await self.lives.request("DELETE", f"{path}/{identity}", key=self.fresh_key())
        else:
            body["id"] = identity
            answer = await self.lives.request("PUT", f"{path}/{identity}", body, key=self.fresh_key())
        if answer.status_code == 404:
            return
        assert answer.status_code in (200, 201, 204), answer.text
        deleted = answer.status_code == 204
        version = int(answer.headers["ETag"].strip('W/"'))
        at = None if deleted else milliseconds(answer.json()["meta"]["lastUpdated"])
        change = Change(f"Patient/{identity}", version, gender, sent, time.monotonic(), at, deleted)
        self.ledgers[base].note(change)

    async def subscribe(self, base: FhirVersion, mailbox: str) -> None:
        await self._wish(base, mailbox, status="requested", begins=True)

    async def edit(self, base: FhirVersion, mailbox: str) -> None:
        """A new filter, perhaps a new endpoint; off and back; or the end of it."""
        present = self.ledgers[base].wishes[mailbox][-1]
        drawn = self.chance.random()
        if drawn < 0.12:
            sent = time.monotonic()
            await self.lives.request("DELETE", f"{base.path}/Subscription/{mailbox}")
            self.ledgers[base].wish(mailbox, Wish(sent, time.monotonic(), on=False))
            self.deleted.add(mailbox)
        elif not present.on:
            await self._wish(base, mailbox, status="requested", begins=True)
        elif drawn < 0.4:
            await self._wish(base, mailbox, status="off")
        else:
            await self._wish(base, mailbox, status="active")

    async def _wish(self, base: FhirVersion, mailbox: str, *, status: str, begins: bool = False) -> None:
        gender = self.chance.choice((None, None, *GENDERS))
        endpoint = self.receiver.url(mailbox) + self.chance.choice(("", "", "?moved"))
        most = self.chance.choice((1, 3, 20))
        body = {"id": mailbox, "status": status} | _subscription(base, endpoint, gender, most)
        sent = time.monotonic()
        answer = await self.lives.request("PUT", f"{base.path}/Subscription/{mailbox}", body)
        assert answer.status_code in (200, 201), answer.text
        self.ledgers[base].wish(mailbox, Wish(sent, time.monotonic(), status != "off", gender, begins))

    async def burst(self, number: int) -> None:
        """Writers, a meddler and a killer at once; then quiet, until everything accepted has been judged."""
        newcomers = [(base, f"{base}-{number}{letter}") for base in BASES for letter in "ab"]
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write_for_a_while())
            group.create_task(self._meddle(newcomers))
            group.create_task(self._take_a_life())
        await self.lives.until_judged()
        for ledger in self.ledgers.values():
            ledger.barriers.append(time.monotonic())

    async def _write_for_a_while(self) -> None:
        for _ in range(WRITES_PER_BURST):
            await self.write(self.chance.choice(BASES))
            await asyncio.sleep(self.chance.random() * 0.02)

    async def _meddle(self, newcomers: list[tuple[FhirVersion, str]]) -> None:
        for newcomer in newcomers:
            await asyncio.sleep(self.chance.random() * 0.05)
            await self.subscribe(*newcomer)
        for base, mailbox in self.chance.sample(self.mailboxes(), 3):
            await asyncio.sleep(self.chance.random() * 0.1)
            if mailbox not in self.deleted:
                await self.edit(base, mailbox)

    async def _take_a_life(self) -> None:
        await asyncio.sleep(0.1 + self.chance.random() * 0.3)
        if self.chance.random() < 0.7:
            await self.lives.kill()
            await self.lives.start()
        else:
            await self.lives.replace(0.2)

    async def come_to_rest(self) -> None:
        """The receiver recovers, whoever is off asks again, everything goes out."""
        self.receiver.choose = lambda mailbox: Manner.TAKEN
        for base, mailbox in self.mailboxes():
            if mailbox not in self.deleted and not self.ledgers[base].wishes[mailbox][-1].on:
                await self._wish(base, mailbox, status="requested", begins=True)
        await self.lives.until_judged()
        await self.lives.until_delivered([f"default|{base}|{mailbox}" for base, mailbox in self.mailboxes()], 8)

    def faults(self) -> list[str]:
        found = []
        for base, ledger in self.ledgers.items():
            ledger.name_focus_of_deletes()
            for mailbox in ledger.wishes:
                complete = mailbox not in self.deleted
                broken = faults_of(ledger, mailbox, self.receiver.of(mailbox), complete=complete)
                found += [f"{base} {mailbox}: {fault}" for fault in broken]
        return found


def _subscription(base: FhirVersion, endpoint: str, gender: str | None, most: int) -> dict[str, Any]:
    if base is FhirVersion.R5:
        filters = [{"resourceType": "Patient", "filterParameter": "gender", "value": gender}] if gender else []
        return {
            "resourceType": "Subscription", "topic": TOPIC, "channelType": {"code": "rest-hook"}, "endpoint": endpoint,
            "content": "full-resource", "maxCount": most, "timeout": 1,
        } | ({"filterBy": filters} if filters else {})  # fmt: skip
    channel = {
        "type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": "full-resource"}]},
        "extension": [
            {"url": f"{BACKPORT}timeout", "valueUnsignedInt": 1},
            {"url": f"{BACKPORT}max-count", "valuePositiveInt": most},
        ],
    }  # fmt: skip
    subscription = {"resourceType": "Subscription", "reason": "a test", "criteria": TOPIC, "channel": channel}
    if gender:
        condition = {"url": f"{BACKPORT}filter-criteria", "valueString": f"Patient?gender={gender}"}
        subscription["_criteria"] = {"extension": [condition]}
    return subscription


@pytest.mark.parametrize("seed", SEEDS)
async def test_numbers_have_no_gap_and_never_lie(seed: int, tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    town = Town(seed, await redis.start(), tmp_path / "hub")
    await town.receiver.start()
    await town.lives.start()
    try:
        for number in range(BURSTS):
            await town.burst(number)
        await town.come_to_rest()
    finally:
        await town.lives.stop()
        await town.receiver.stop()
        await redis.stop()
    assert sum(len(ledger.changes) for ledger in town.ledgers.values()) > WRITERS * BURSTS * WRITES_PER_BURST // 2
    assert len(town.receiver.arrivals) > 100
    assert not (faults := town.faults()), f"seed {seed}: " + "\n".join(faults[:20])
