"""What the shipped topics mean, written down a second time in plain Python on R4 resources (topics/README.md).

Nothing of the hub is used here: this is the other side that its answers are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]
Passes = Callable[[Resource], bool]

ENDED = {"finished"}
BEGUN = {"in-progress", "onleave", *ENDED}
INPATIENT = {"IMP", "ACUTE", "NONAC"}
RELEASED = {"final", "amended", "corrected"}
HUB_TEST = ("https://fhir-notification-hub.example/codes", "hub-test")


@dataclass(frozen=True)
class Change:
    """What happened to one resource; a create has no previous state, a delete no current one."""

    previous: Resource | None
    current: Resource | None

    @property
    def focus(self) -> Resource:
        """The new state, after a delete the last one."""
        state = self.current or self.previous
        assert state is not None
        return state

    @property
    def type(self) -> str:
        return str(self.focus["resourceType"])


def codes(concepts: Any) -> set[str]:
    """The codes of a list of CodeableConcepts."""
    return {coding.get("code", "") for concept in concepts for coding in concept.get("coding", ())}


def is_inpatient(encounter: Resource) -> bool:
    return encounter.get("class", {}).get("code") in INPATIENT


def places(encounter: Resource) -> set[str]:
    """Where the patient is: active, or with neither a status nor an end."""
    return {
        each["location"]["reference"]
        for each in encounter.get("location", ())
        if each.get("status") == "active" or ("status" not in each and "end" not in each.get("period", {}))
    }


def encounter_start(before: Resource, now: Resource) -> bool:
    return now["status"] == "in-progress" and before.get("status") not in BEGUN


def encounter_end(before: Resource, now: Resource) -> bool:
    return now["status"] in ENDED and before.get("status") not in ENDED


def admission(before: Resource, now: Resource) -> bool:
    becomes_inpatient = bool(before) and not is_inpatient(before)
    begins = before.get("status") not in BEGUN
    return now["status"] == "in-progress" and is_inpatient(now) and (begins or becomes_inpatient)


def discharge(before: Resource, now: Resource) -> bool:
    return is_inpatient(now) and encounter_end(before, now)


def transfer(before: Resource, now: Resource) -> bool:
    stays = before.get("status") == now["status"] == "in-progress" and is_inpatient(now)
    return stays and bool(places(before)) and bool(places(now) - places(before))


def lab_result(before: Resource, now: Resource) -> bool:
    if "laboratory" not in codes(now.get("category", ())):
        return False
    if before.get("status") not in RELEASED:
        return now["status"] in RELEASED
    return now["status"] in {"amended", "corrected", "cancelled", "entered-in-error"}


def task_status(before: Resource, now: Resource) -> bool:
    return not before or before["status"] != now["status"]


def is_hub_test(basic: Resource) -> bool:
    return any((each.get("system"), each.get("code")) == HUB_TEST for each in basic["code"].get("coding", ()))


def about(resource_type: str, rule: Callable[[Resource, Resource], bool]) -> Callable[[Change], bool]:
    """A rule for created and updated resources of one type; a created one has nothing before it."""

    def fires(change: Change) -> bool:
        return (
            change.type == resource_type and change.current is not None and rule(change.previous or {}, change.current)
        )

    return fires


def hub_test(change: Change) -> bool:
    states = [state for state in (change.previous, change.current) if state]
    return change.type == "Basic" and all(is_hub_test(state) for state in states)


MEANING: dict[str, Callable[[Change], bool]] = {
    "admission": about("Encounter", admission),
    "discharge": about("Encounter", discharge),
    "encounter-end": about("Encounter", encounter_end),
    "encounter-start": about("Encounter", encounter_start),
    "hub-test": hub_test,
    "observation-lab-result": about("Observation", lab_result),
    "patient-change": lambda change: change.type == "Patient",
    "task-status": about("Task", task_status),
    "transfer": about("Encounter", transfer),
}
"""Name of each shipped topic -> is this change one of its events."""


def has_coding(concepts: Any, system: str, code: str) -> bool:
    return any((each.get("system"), each.get("code")) == (system, code) for each in _codings(concepts))


def _codings(concepts: Any) -> Iterator[Resource]:
    for concept in concepts:
        yield from concept.get("coding", ())


@dataclass(frozen=True)
class Watch:
    """A Subscription on a shipped topic with a filter of R4, and what that filter means."""

    topic: str
    criteria: str = ""
    passes: Passes = lambda focus: True

    def fires(self, change: Change) -> bool:
        return MEANING[self.topic](change) and self.passes(change.focus)


LIZ = "27c911c6-f045-4ffa-af5d-6eba57ac94b2"
SYNTHEA_SYSTEM = "https://github.com/synthetichealth/synthea"
WATCHES = [
    *(Watch(topic) for topic in MEANING),
    Watch("encounter-end", "Encounter?class=AMB", lambda it: it["class"]["code"] == "AMB"),
    Watch("encounter-start", "class=IMP,EMER", lambda it: it["class"]["code"] in ("IMP", "EMER")),
    Watch(
        "encounter-end",
        "Encounter.type=http://snomed.info/sct|185349003",
        lambda it: has_coding(it["type"], "http://snomed.info/sct", "185349003"),
    ),
    Watch(
        "encounter-start",
        "Encounter?location=Location/ward-1,Location/ward-2",
        lambda it: bool(
            {each["location"]["reference"] for each in it.get("location", ())} & {"Location/ward-1", "Location/ward-2"}
        ),
    ),
    Watch(
        "observation-lab-result",
        "Observation?code=http://loinc.org|2093-3",
        lambda it: has_coding([it["code"]], "http://loinc.org", "2093-3"),
    ),
    Watch(
        "observation-lab-result",
        "Observation?value-quantity=gt150&date=ge2012",
        lambda it: it.get("valueQuantity", {}).get("value", 0) > 150 and it["effectiveDateTime"] >= "2012",
    ),
    Watch(
        "observation-lab-result",
        "Observation?status=corrected,cancelled",
        lambda it: it["status"] in ("corrected", "cancelled"),
    ),
    Watch("patient-change", "gender=female", lambda it: it["gender"] == "female"),
    Watch("patient-change", "Patient?birthdate=lt1986", lambda it: it["birthDate"] < "1986"),
    Watch(
        "patient-change",
        f"Patient?identifier={SYNTHEA_SYSTEM}|{LIZ}",
        lambda it: any((each.get("system"), each["value"]) == (SYNTHEA_SYSTEM, LIZ) for each in it["identifier"]),
    ),
    Watch("patient-change", "active=false", lambda it: it.get("active") is False),
    Watch("task-status", "status=accepted,completed", lambda it: it["status"] in ("accepted", "completed")),
    Watch("hub-test", "_id=basic-1,basic-2", lambda it: it["id"] in ("basic-1", "basic-2")),
]
