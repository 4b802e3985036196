"""The topics that ship with the hub: they compile on every version and make exactly the events they promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.domain.change import ChangeId, Interaction, ResourceChange, ResourceKey
from hub.domain.subscription import FilterBy
from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhir.topics import read_topic
from hub.matching.filters import compile_filters
from hub.matching.lint import check_topic
from hub.matching.report import Fault
from hub.matching.topics import CompiledTopic, compile_topic, filter_parameter

FOLDER = Path(__file__).parents[2] / "topics"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
STEM = "https://fhir-notification-hub.example/topics/"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
R4, R4B, R5 = FhirVersion

Step = tuple[str, dict[str, Any] | None]
"""What is done (create, update, delete; ``unknown`` is an update of a resource never seen) and the new state."""


def source(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def topic(name: str) -> SubscriptionTopic:
    return read_topic(source(name), R5)


def compiled(name: str, version: FhirVersion) -> CompiledTopic:
    return compile_topic(topic(name), version)


def failed(fault: Fault) -> None:
    raise AssertionError(fault)


def events(name: str, version: FhirVersion, *steps: Step) -> list[int]:
    """Positions, from 0, of the steps in the life of one resource that are events of the topic."""
    ready, previous, fired = compiled(name, version), None, []
    for position, (done, current) in enumerate(steps):
        state = current or previous or {}
        known = done != "unknown"
        interaction = Interaction.UPDATE if not known else Interaction(done)
        change = ResourceChange(
            ChangeId(position, 0),
            ResourceKey("default", version, state["resourceType"], "1"),
            interaction,
            current,
            previous if known else None,
            known,
        )
        if ready.fires(change, failed):
            fired.append(position)
        previous = current
    return fired


def encounter(version: FhirVersion, status: str, class_: str = "IMP", *places: dict[str, Any]) -> dict[str, Any]:
    coding = {"system": ACT, "code": class_}
    return {
        "resourceType": "Encounter",
        "id": "1",
        "status": status,
        "class": [{"coding": [coding]}] if version is R5 else coding,
        "subject": {"reference": "Patient/1"},
        **({"location": list(places)} if places else {}),
    }


def place(identity: str, **elements: Any) -> dict[str, Any]:
    return {"location": {"reference": f"Location/{identity}"}, **elements}


def end_of(version: FhirVersion) -> str:
    return "completed" if version is R5 else "finished"


def test_these_topics_ship() -> None:
    assert NAMES == [
        "admission",
        "discharge",
        "encounter-end",
        "encounter-start",
        "hub-test",
        "observation-lab-result",
        "patient-change",
        "task-status",
        "transfer",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_topic_is_named_after_its_file_and_has_a_line_in_the_readme(name: str) -> None:
    shipped = topic(name)
    assert (shipped.url, shipped.version, shipped.status) == (STEM + name, "1.0.0", "active")
    assert source(name)["id"] == name
    assert f"`{name}`" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize("name", NAMES)
def test_the_lint_has_nothing_to_say_of_a_topic_on_any_version(name: str, version: FhirVersion) -> None:
    assert check_topic(topic(name), version).issues == ()


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize("name", NAMES)
def test_each_filter_and_each_include_exists_in_every_version(name: str, version: FhirVersion) -> None:
    ready, facts = compiled(name, version), definitions(version)
    for allowed in ready.topic.can_filter_by:
        assert filter_parameter(allowed, allowed.resource, facts), allowed
        compile_filters((FilterBy(allowed.parameter, "2020" if allowed.comparators else "1"),), ready)
    for shape in ready.topic.notification_shapes:
        for include in shape.includes:
            type_, _, code = include.partition(":")
            parameter = facts.search_parameter(type_, code)
            assert parameter is not None, include
            assert parameter.type == "reference", include


@pytest.mark.parametrize("version", FhirVersion)
def test_encounter_start(version: FhirVersion) -> None:
    def state(status: str) -> dict[str, Any]:
        return encounter(version, status, "AMB")

    pause = "on-hold" if version is R5 else "onleave"
    life = (
        ("create", state("planned")),
        ("update", state("in-progress")),
        ("update", state("in-progress")),
        ("update", state(pause)),
        ("update", state("in-progress")),
        ("update", state(end_of(version))),
        ("update", state("in-progress")),
        ("delete", None),
    )
    assert events("encounter-start", version, *life) == [1]
    assert events("encounter-start", version, ("create", state("in-progress"))) == [0]
    assert events("encounter-start", version, ("create", state("cancelled"))) == []


@pytest.mark.parametrize("version", FhirVersion)
def test_encounter_end(version: FhirVersion) -> None:
    def state(status: str) -> dict[str, Any]:
        return encounter(version, status, "EMER")

    end = end_of(version)
    life = (
        ("create", state("in-progress")),
        ("update", state(end)),
        ("update", state(end)),
        ("delete", None),
    )
    assert events("encounter-end", version, *life) == [1]
    assert events("encounter-end", version, ("create", state(end))) == [0]
    assert events("encounter-end", version, ("create", state("planned")), ("update", state("cancelled"))) == []


def test_an_r5_encounter_that_is_discharged_and_then_completed_ends_once() -> None:
    steps = [
        ("update" if step else "create", encounter(R5, status))
        for step, status in enumerate(["in-progress", "discharged", "completed"])
    ]
    assert events("encounter-end", R5, *steps) == [1]
    assert events("discharge", R5, *steps) == [1]


@pytest.mark.parametrize("version", FhirVersion)
def test_admission(version: FhirVersion) -> None:
    planned_stay = (
        ("create", encounter(version, "planned")),
        ("update", encounter(version, "in-progress")),
        ("update", encounter(version, "in-progress", "ACUTE")),
        ("update", encounter(version, end_of(version), "ACUTE")),
    )
    assert events("admission", version, *planned_stay) == [1]
    emergency = (
        ("create", encounter(version, "in-progress", "EMER")),
        ("update", encounter(version, "in-progress", "IMP")),
        ("update", encounter(version, "in-progress", "IMP")),
    )
    assert events("admission", version, *emergency) == [1]
    assert events("admission", version, ("create", encounter(version, "in-progress"))) == [0]
    assert events("admission", version, ("create", encounter(version, "in-progress", "AMB"))) == []


@pytest.mark.parametrize("version", FhirVersion)
def test_an_admission_of_a_patient_already_there_is_announced_once_when_the_past_is_unknown(
    version: FhirVersion,
) -> None:
    """HOUSE ruling 13: the previous side is left out; the hub cannot know that it is an old fact."""
    assert events("admission", version, ("unknown", encounter(version, "in-progress"))) == [0]
    assert events("transfer", version, ("unknown", encounter(version, "in-progress", "IMP", place("a")))) == []
    assert events("task-status", version, ("unknown", task("requested"))) == []


@pytest.mark.parametrize("version", FhirVersion)
def test_transfer(version: FhirVersion) -> None:
    def at(*places: dict[str, Any], class_: str = "IMP", status: str = "in-progress") -> dict[str, Any]:
        return encounter(version, status, class_, *places)

    stay = (
        ("create", at()),
        ("update", at(place("ward-1"))),
        ("update", at(place("ward-1", status="active"))),
        ("update", at(place("ward-1", status="active"), place("ward-2", status="planned"))),
        ("update", at(place("ward-1", status="completed"), place("ward-2", status="active"))),
        ("update", at(place("ward-2", status="active"))),
        ("update", at(place("ward-2", period={"start": "2026-01-01", "end": "2026-01-02"}), place("icu"))),
        ("update", at(place("icu"), status=end_of(version))),
    )
    assert events("transfer", version, *stay) == [4, 6]
    clinic = (("create", at(place("a"), class_="AMB")), ("update", at(place("b"), class_="AMB")))
    assert events("transfer", version, *clinic) == []
    before = (("create", at(place("a"), status="planned")), ("update", at(place("b"))))
    assert events("transfer", version, *before) == []


@pytest.mark.parametrize("version", FhirVersion)
def test_discharge(version: FhirVersion) -> None:
    life = (
        ("create", encounter(version, "in-progress")),
        ("update", encounter(version, end_of(version))),
        ("update", encounter(version, end_of(version))),
        ("delete", None),
    )
    assert events("discharge", version, *life) == [1]
    outpatient = (
        ("create", encounter(version, "in-progress", "AMB")),
        ("update", encounter(version, end_of(version), "AMB")),
    )
    assert events("discharge", version, *outpatient) == []


def result(status: str, category: str = "laboratory") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": "1",
        "status": status,
        "category": [{"coding": [{"system": system, "code": category}]}],
    }


@pytest.mark.parametrize("version", FhirVersion)
def test_observation_lab_result(version: FhirVersion) -> None:
    life = (
        ("create", result("registered")),
        ("update", result("preliminary")),
        ("update", result("final")),
        ("update", result("final")),
        ("update", result("corrected")),
        ("update", result("corrected")),
        ("update", result("entered-in-error")),
        ("update", result("entered-in-error")),
        ("delete", None),
    )
    assert events("observation-lab-result", version, *life) == [2, 4, 5, 6]
    assert events("observation-lab-result", version, ("create", result("final"))) == [0]
    assert events("observation-lab-result", version, ("create", result("final", "vital-signs"))) == []
    never_released = (("create", result("preliminary")), ("update", result("cancelled")))
    assert events("observation-lab-result", version, *never_released) == []


def task(status: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "id": "1", "status": status, "intent": "order", **elements}


@pytest.mark.parametrize("version", FhirVersion)
def test_task_status(version: FhirVersion) -> None:
    life = (
        ("create", task("requested")),
        ("update", task("requested", description="x")),
        ("update", task("accepted")),
        ("update", task("completed")),
        ("delete", None),
    )
    assert events("task-status", version, *life) == [0, 2, 3]


@pytest.mark.parametrize("version", FhirVersion)
def test_patient_change(version: FhirVersion) -> None:
    patient = {"resourceType": "Patient", "id": "1"}
    life = (("create", patient), ("update", patient), ("delete", None), ("create", patient), ("unknown", patient))
    assert events("patient-change", version, *life) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("version", FhirVersion)
def test_hub_test_is_about_test_resources_only(version: FhirVersion) -> None:
    def basic(system: str) -> dict[str, Any]:
        return {"resourceType": "Basic", "id": "1", "code": {"coding": [{"system": system, "code": "hub-test"}]}}

    mine, other = basic("https://fhir-notification-hub.example/codes"), basic("http://ehr.example/codes")
    assert events("hub-test", version, ("create", mine), ("update", mine), ("delete", None)) == [0, 1, 2]
    assert events("hub-test", version, ("create", other), ("update", other), ("delete", None)) == []
