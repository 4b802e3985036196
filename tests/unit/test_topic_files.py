"""The files of an operator's folder: linted as POST does it, offered where they have no error (ruling 22)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.intake.topics import Catalogue, TopicCompiler, load_shipped
from tests.unit.matching.lint.builders import topic, triggers

URLS = {version: f"http://hub.example{version.path}" for version in FhirVersion}


def catalogue_of(folder: Path, **resources: dict[str, Any]) -> Catalogue:
    for name, resource in resources.items():
        (folder / f"{name}.json").write_text(json.dumps(resource))
    catalogue = Catalogue()
    load_shipped(catalogue, folder, TopicCompiler(URLS))
    return catalogue


def test_a_file_is_offered_on_the_bases_where_the_lint_finds_no_error(tmp_path: Path) -> None:
    """``end-date`` of Encounter came with R5."""
    query = {"queryCriteria": {"current": "end-date=ge2020"}}
    catalogue = catalogue_of(tmp_path, mine=topic(resourceTrigger=triggers(query)))
    found = [version for version in FhirVersion if catalogue.by_id("default", version, "mine")]
    assert found == [FhirVersion.R5]


def test_a_file_that_the_lint_refuses_everywhere_stops_the_start_with_the_reason(tmp_path: Path) -> None:
    never = triggers({"supportedInteraction": ["create"], "fhirPathCriteria": "%previous.exists()"})
    with pytest.raises(CannotStart, match=r"mine\.json fits no FHIR version: .* can never fire"):
        catalogue_of(tmp_path, mine=topic(resourceTrigger=never))


def test_what_has_no_effect_in_a_file_is_logged_and_hints_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        catalogue_of(tmp_path, mine=topic(status="draft", notificationShape=[{"resource": "Patient"}]))
    told = [(record.__dict__["base"], record.__dict__["element"]) for record in caplog.records]
    assert told == [(version.value, "SubscriptionTopic.notificationShape[0].resource") for version in FhirVersion]


def test_a_topic_of_the_r6_ballot_is_kept_in_r5_terms(tmp_path: Path) -> None:
    body = {name: value for name, value in topic().items() if name != "resourceTrigger"}
    catalogue = catalogue_of(tmp_path, mine=body | {"trigger": triggers({})})
    listed = catalogue.by_id("default", FhirVersion.R4B, "mine")
    assert (
        listed is not None and listed.resource["resourceTrigger"] == triggers({}) and "trigger" not in listed.resource
    )
