"""A hospital that lives: it posts patients as they are published, then changes them, and remembers every change."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.api.harness import Api
from tests.real_input.meaning import HUB_TEST, Change

ENCOUNTER_STATUSES = ["planned", "arrived", "cancelled", "onleave", *["in-progress"] * 5, *["finished"] * 2]
CLASSES = ["AMB", "EMER", "IMP", "IMP", "ACUTE"]
RESULT_STATUSES = [
    "registered", "preliminary", "final", "final", "amended", "corrected", "cancelled", "entered-in-error",
]  # fmt: skip
TASK_STATUSES = ["requested", "accepted", "in-progress", "completed"]


@dataclass
class Hospital:
    """The state that the hub should have, and all changes in the order in which it was told of them."""

    api: Api
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    """``Type/id`` -> the resource as the hub should read it back."""
    changes: list[tuple[str, Change]] = field(default_factory=list)
    posted: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    """``Type/id`` -> the bytes as they were posted, and which references of that Bundle were replaced by what."""

    async def post_published(self, raw: bytes) -> None:
        """Post a Bundle exactly as it is published; the hub names its resources."""
        entries = json.loads(raw)["entry"]
        names = await self._send(raw)
        replaced = {entry["fullUrl"]: name for entry, name in zip(entries, names, strict=True)}
        for entry, name, written in zip(entries, names, resource_bytes(raw), strict=True):
            self.posted[name] = (written, replaced)
            self._remember(name, _with_references(entry["resource"], replaced) | {"id": name.partition("/")[2]})

    async def put_all(self, resources: Iterable[Mapping[str, Any]]) -> None:
        """Update (or create) all of them in one transaction."""
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in resources
        ]
        for name in await self._send({"resourceType": "Bundle", "type": "transaction", "entry": entries}):
            resource = next(each["resource"] for each in entries if each["request"]["url"] == name)
            self._remember(name, dict(resource))

    async def put(self, resource: Mapping[str, Any]) -> None:
        name = f"{resource['resourceType']}/{resource['id']}"
        answer = await self.api.put(name, resource)
        assert answer.status_code in (200, 201), answer.text
        self._remember(name, dict(resource))

    async def delete(self, name: str) -> None:
        answer = await self.api.delete(name)
        assert answer.status_code == 204, answer.text
        self.changes.append((name, Change(self.held.pop(name), None)))

    def all_of(self, resource_type: str) -> list[dict[str, Any]]:
        """Copies of what is held, to be changed and put back."""
        return [copy.deepcopy(each) for each in self.held.values() if each["resourceType"] == resource_type]

    async def _send(self, bundle: Any) -> list[str]:
        """The ``Type/id`` of each entry as the hub answered it."""
        answer = await self.api.post(self.api.base.path, bundle)
        assert answer.status_code == 200, answer.text[:2000]
        locations = [entry["response"]["location"] for entry in answer.json()["entry"]]
        return ["/".join(location.split("/_history/")[0].split("/")[-2:]) for location in locations]

    def _remember(self, name: str, resource: dict[str, Any]) -> None:
        self.changes.append((name, Change(self.held.get(name), resource)))
        self.held[name] = resource


async def busy_day(hospital: Hospital, chance: random.Random) -> None:
    """One round of everything that a shipped topic looks at, in transactions and in single requests."""
    await hospital.put_all(_moved(each, chance) for each in hospital.all_of("Encounter"))
    results = [each for each in hospital.all_of("Observation") if chance.random() < 0.5]
    await hospital.put_all(each | {"status": chance.choice(RESULT_STATUSES)} for each in results)
    for patient in hospital.all_of("Patient"):
        await hospital.put(patient | {"active": chance.random() < 0.7})
    await hospital.put_all(_task(number, chance) for number in range(6))
    await hospital.put_all(_basic(number, chance) for number in range(4))
    await hospital.delete(f"Basic/basic-{chance.randrange(4)}")
    await hospital.delete(f"Task/task-{chance.randrange(6)}")


def _moved(encounter: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    coding = encounter["class"] | {"code": chance.choice(CLASSES)}
    moved = encounter | {"status": chance.choice(ENCOUNTER_STATUSES), "class": coding}
    moved["location"] = [_stay(ward, chance) for ward in chance.sample(range(4), chance.randrange(4))]
    return {name: value for name, value in moved.items() if value}


def _stay(ward: int, chance: random.Random) -> dict[str, Any]:
    stay: dict[str, Any] = {"location": {"reference": f"Location/ward-{ward}"}}
    kind = chance.randrange(4)
    if kind == 0:
        return stay | {"status": "completed"}
    if kind == 1:
        return stay | {"period": {"start": "2026-01-01", "end": "2026-01-02"}}
    return stay | ({"status": "active"} if kind == 2 else {})


def _task(number: int, chance: random.Random) -> dict[str, Any]:
    return {"resourceType": "Task", "id": f"task-{number}", "intent": "order", "status": chance.choice(TASK_STATUSES)}


def _basic(number: int, chance: random.Random) -> dict[str, Any]:
    system, code = HUB_TEST if chance.random() < 0.7 else ("http://example.org/codes", "other")
    return {"resourceType": "Basic", "id": f"basic-{number}", "code": {"coding": [{"system": system, "code": code}]}}


def resource_bytes(bundle: bytes) -> Iterator[bytes]:
    """The bytes of ``entry[n].resource`` for each n; found by reading on from each ``"resource"`` key."""
    text, place, decoder = bundle.decode(), 0, json.JSONDecoder()
    while (key := text.find('"resource"', place)) >= 0:
        start = text.index("{", key)
        _, place = decoder.raw_decode(text, start)
        yield text[start:place].encode()


def _with_references(value: Any, replaced: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _with_references(item, replaced) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_references(item, replaced) for item in value]
    return replaced.get(value, value) if isinstance(value, str) else value
