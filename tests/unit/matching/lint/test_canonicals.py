"""Canonical and version rules, and the lint as a whole."""

from __future__ import annotations

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.matching.lint.check import MOST_ISSUES
from tests.unit.matching.lint.builders import checked, query, told, topic, triggers

R4, R4B, R5 = FhirVersion


@pytest.mark.parametrize("version", FhirVersion)
def test_a_good_topic_leaves_nothing_to_say(version: FhirVersion) -> None:
    assert told(version) == []


@pytest.mark.parametrize("version", ["1|2", "1 0", "1#a", "1\t"])
def test_a_version_that_no_canonical_can_carry_is_an_error(version: str) -> None:
    """S-018."""
    assert told(version=version) == [("error", "version")]


@pytest.mark.parametrize("version", ["1.0.0", "1", "2026-01-31", "R5.1-beta", "²"])
def test_any_other_version_is_fine(version: str) -> None:
    assert told(version=version) == []


def test_a_topic_without_version_is_a_hint() -> None:
    """S-019."""
    resource = topic()
    del resource["version"]
    assert [(issue.severity, issue.expression) for issue in checked(resource).issues] == [
        ("information", "SubscriptionTopic")
    ]


@pytest.mark.parametrize(
    ("algorithm", "good", "bad"),
    [("semver", "1.2.3-beta.1", "1.2"), ("integer", "12", "1.2"), ("date", "2026-01-31", "31.1.2026")],
)
def test_a_version_that_breaks_its_own_algorithm_is_a_warning(algorithm: str, good: str, bad: str) -> None:
    assert told(versionAlgorithmString=algorithm, version=good) == []
    assert told(versionAlgorithmString=algorithm, version=bad) == [("warning", "version")]
    coding = {"system": "http://hl7.org/fhir/version-algorithm", "code": algorithm}
    assert told(versionAlgorithmCoding=coding, version=bad) == [("warning", "version")]


def test_an_algorithm_that_asks_for_no_form_is_fine() -> None:
    assert told(versionAlgorithmString="natural", version="one") == []


@pytest.mark.parametrize(
    "canonical",
    ["admission", "/topics/a", "http://ehr.example/a#b", "http://ehr.example/a|", "http://ehr.example/a|1|2"],
)
def test_derived_from_what_is_no_canonical_is_an_error(canonical: str) -> None:
    """S-022."""
    assert told(derivedFrom=[canonical]) == [("error", "derivedFrom[0]")]


def test_derived_from_canonicals_is_fine_and_twice_the_same_a_warning() -> None:
    base = "http://ehr.example/topics/base"
    assert told(derivedFrom=[base, f"{base}|2", "urn:uuid:0b67b140-59d0-4c49-9fe8-b62f7fcf4eb9"]) == []
    assert told(derivedFrom=[base, base]) == [("warning", "derivedFrom[1]")]


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_a_status_that_takes_no_new_subscriptions_is_a_hint(status: str) -> None:
    """S-019."""
    assert told(status=status) == [("information", "status")]


@pytest.mark.parametrize("status", ["active", "unknown"])
def test_a_status_that_takes_subscriptions_is_fine(status: str) -> None:
    assert told(status=status) == []


def test_errors_come_first_and_everything_is_told_at_once() -> None:
    found = told(
        status="draft",
        derivedFrom=["x"],
        resourceTrigger=triggers(query(current="nope=1"), {"fhirPathCriteria": "status"}),
    )
    assert found == [
        ("error", "resourceTrigger[0].queryCriteria.current"),
        ("error", "derivedFrom[0]"),
        ("error", "resourceTrigger[1].fhirPathCriteria"),
        ("information", "status"),
    ]


def test_filters_and_shapes_are_looked_at_also_when_a_trigger_is_wrong() -> None:
    found = told(
        resourceTrigger=triggers(query(current="nope=1")),
        canFilterBy=[{"resource": "Encounter", "filterParameter": "patient"}],
        notificationShape=[{"resource": "Encounter", "include": ["Encounter:nope"], "revInclude": ["Nope:nope"]}],
    )
    assert found == [
        ("error", "resourceTrigger[0].queryCriteria.current"),
        ("warning", "notificationShape[0].include"),
        ("warning", "notificationShape[0].revInclude"),
        ("information", "canFilterBy[0]"),
    ]


def test_a_topic_with_an_error_is_not_accepted_and_one_with_notes_is() -> None:
    wrong = checked(topic(status="draft", resourceTrigger=triggers({"fhirPathCriteria": "status"})))
    with pytest.raises(Unprocessable) as refused:
        wrong.accepted()
    assert [issue.expression for issue in refused.value.issues] == [
        "SubscriptionTopic.resourceTrigger[0].fhirPathCriteria"
    ]
    noted = checked(topic(status="draft"))
    assert noted.accepted() is noted.compiled
    assert [issue.severity for issue in noted.notes] == ["information"]


def test_a_topic_of_many_wrong_filters_has_an_answer_that_can_be_read() -> None:
    """The work is bounded too: near names are looked up for the first few only."""
    filters = [{"resource": "Encounter", "filterParameter": f"pateint{n}"} for n in range(500)]
    found = checked(topic(canFilterBy=filters), R5)
    assert len(found.issues) == MOST_ISSUES
    assert sum("Did you mean" in issue.diagnostics for issue in found.issues) <= 20


def test_a_topic_of_too_much_is_refused_before_it_is_looked_at() -> None:
    """SECURITY E3."""
    assert told(resourceTrigger=triggers(*[{"fhirPathCriteria": "status"}] * 51)) == [("error", "resourceTrigger")]
    assert told(canFilterBy=[{"filterParameter": "nope"}] * 501) == [("error", "canFilterBy")]
    shape = {"resource": "Encounter", "include": ["Encounter:nope"] * 60, "revInclude": ["Nope:nope"] * 41}
    assert told(notificationShape=[shape]) == [("error", "notificationShape")]
