"""A small synthetic hospital. Pure: the same seed gives the same patients and the same changes, on any machine.

Nobody in it exists. What it yields are R4 resources as an EHR would write them, and a sentence for the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
INPATIENT = {"system": ACT_CODE, "code": "IMP", "display": "inpatient encounter"}
AMBULATORY = {"system": ACT_CODE, "code": "AMB", "display": "ambulatory"}

GIVEN_NAMES = ("Ada", "Bela", "Chidi", "Dora", "Emil", "Fatma", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lena")
FAMILY_NAMES = ("Abara", "Berger", "Costa", "Demir", "Engel", "Fischer", "Garcia", "Horvat", "Ito", "Jansen")
WARDS = ("Cardiology", "Neurology", "Paediatrics", "Surgery", "Intensive Care")
OPENING = datetime(2026, 1, 5, 8, tzinfo=UTC)

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One write of the hospital's system: PUT ``resource``; ``told`` says it in words."""

    resource: Resource
    told: str

    @property
    def reference(self) -> str:
        return f"{self.resource['resourceType']}/{self.resource['id']}"


class Hospital:
    """Admits, transfers and discharges. Each patient has at most one encounter at a time."""

    def __init__(self, seed: int, beds: int = 12) -> None:
        self._random = Random(seed)
        self._now = OPENING
        names = self._random.sample([(given, family) for given in GIVEN_NAMES for family in FAMILY_NAMES], beds)
        self._at_home = [_patient(number, *name) for number, name in enumerate(names, 1)]
        self._inside: list[Resource] = []
        self._encounters = 0

    def register(self) -> list[Change]:
        """Everybody who is at home is made known."""
        return [Change(patient, "a patient is registered") for patient in self._at_home]

    def admit(self) -> Change:
        """An inpatient encounter begins. Raises IndexError when every patient is inside."""
        ward = self._random.choice(WARDS)
        encounter = self._begin(INPATIENT, ward)
        self._inside.append(encounter)
        return Change(encounter, f"{_name(encounter)} is admitted to {ward}")

    def visit(self) -> Change:
        """An outpatient comes: an encounter, but no admission."""
        encounter = self._begin(AMBULATORY, "Outpatient Clinic")
        return Change(encounter, f"{_name(encounter)} visits the Outpatient Clinic")

    def transfer(self) -> Change:
        """Somebody who is inside moves to another ward. Raises IndexError when nobody is."""
        index = self._random.randrange(len(self._inside)) if self._inside else 0
        before = self._inside[index]
        old = before["location"][-1]["location"]["display"]
        ward = self._random.choice([each for each in WARDS if each != old])
        left = before["location"][-1] | {"status": "completed"}
        after = before | {"location": [*before["location"][:-1], left, _place(ward)]}
        self._inside[index] = after
        return Change(after, f"{_name(after)} moves from {old} to {ward}")

    def discharge(self) -> Change:
        """Whoever is inside longest goes home. Raises IndexError when nobody is."""
        before = self._inside.pop(0)
        after = before | {"status": "finished", "period": before["period"] | {"end": self._later()}}
        return Change(after, f"{_name(after)} goes home")

    def _begin(self, encounter_class: Resource, ward: str) -> Resource:
        patient = self._at_home.pop(0)
        self._encounters += 1
        name = patient["name"][0]
        return {
            "resourceType": "Encounter",
            "id": f"encounter-{self._encounters}",
            "status": "in-progress",
            "class": encounter_class,
            "subject": {
                "reference": f"Patient/{patient['id']}",
                "display": f"{name['given'][0]} {name['family']}",
            },
            "period": {"start": self._later()},
            "location": [_place(ward)],
        }

    def _later(self) -> str:
        self._now += timedelta(minutes=self._random.randint(3, 40))
        return self._now.isoformat().replace("+00:00", "Z")


def _patient(number: int, given: str, family: str) -> Resource:
    return {
        "resourceType": "Patient",
        "id": f"patient-{number}",
        "active": True,
        "name": [{"family": family, "given": [given]}],
    }


def _place(ward: str) -> Resource:
    identity = ward.lower().replace(" ", "-")
    return {"location": {"reference": f"Location/{identity}", "display": ward}, "status": "active"}


def _name(encounter: Resource) -> str:
    return str(encounter["subject"]["display"])
