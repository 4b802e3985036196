"""Topics for the lint: each test changes one thing of a topic about which nothing is to be said."""

from __future__ import annotations

from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.topics import read_topic
from hub.matching.lint import CheckedTopic, check_topic

PATIENT = {
    "resource": "Encounter",
    "filterParameter": "patient",
    "filterDefinition": "http://hl7.org/fhir/SearchParameter/clinical-patient",
}
FINISHED = {
    "previous": "status:not=finished",
    "resultForCreate": "test-passes",
    "current": "status=finished",
    "resultForDelete": "test-fails",
    "requireBoth": True,
}
Told = list[tuple[str, str]]
"""(level, path below SubscriptionTopic) of what the lint says, errors first."""


def topic(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "SubscriptionTopic",
        "url": "http://ehr.example/topics/a",
        "version": "1.0.0",
        "status": "active",
        "resourceTrigger": [{"resource": "Encounter"}],
        **changes,
    }


def checked(resource: dict[str, Any], version: FhirVersion = FhirVersion.R4) -> CheckedTopic:
    return check_topic(read_topic(resource, FhirVersion.R5), version)


def told(base: FhirVersion = FhirVersion.R4, /, **changes: Any) -> Told:
    return told_of(checked(topic(**changes), base))


def told_of(found: CheckedTopic) -> Told:
    return [
        (issue.severity, issue.expression.removeprefix("SubscriptionTopic").removeprefix(".")) for issue in found.issues
    ]


def texts(base: FhirVersion = FhirVersion.R4, /, **changes: Any) -> str:
    """Everything that is said, in one string."""
    return "\n".join(issue.diagnostics for issue in checked(topic(**changes), base).issues)


def triggers(*each: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"resource": "Encounter", **one} for one in each]


def told_of_trigger(*each: dict[str, Any], version: FhirVersion = FhirVersion.R4) -> Told:
    return told(version, resourceTrigger=triggers(*each))


def query(**changes: Any) -> dict[str, Any]:
    """queryCriteria, with what is None left out."""
    return {"queryCriteria": {name: value for name, value in (FINISHED | changes).items() if value is not None}}


def told_of_filter(version: FhirVersion = FhirVersion.R4, **changes: Any) -> Told:
    entry = {name: value for name, value in (PATIENT | changes).items() if value is not None}
    return told(version, canFilterBy=[entry])
