"""Topics that others have published: each is accepted and fires as it means, or is refused for the right reason.

The tables are reasoned out by hand from the standard; the comments give the reason. Many files share ids and
canonicals, so each is withdrawn before the next one comes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.authoring.check import Finding, check_written
from hub.authoring.files import Written
from hub.domain.versions import FhirVersion
from tests.api.builders import encounter, fresh_id, subscribe
from tests.api.harness import Api, RunningHub, outcome_of, running_hub
from tests.api.receiver import Receiver
from tests.real_input.shared_data import DATA, needs_data

pytestmark = needs_data

R4, R4B, R5 = FhirVersion

ENDS = "finished"  # in R5: completed

# Which foci are told of when ``a`` is created as planned, then takes on the status, then is written once more as it is,
# and ``b`` is created with that status.
BOTH = EACH_CREATED = ["a", "b"]
CHANGED, EVERY = ["a"], ["a", "a", "a", "b"]
NEITHER: list[str] = []

PUBLISHED: list[tuple[FhirVersion, str, str, list[str]]] = [
    # fhir-candle. Its draft status is no hindrance (S-019); "(a | b) and c" is legal FHIRPath, though it cannot be
    # decided on an update (S-042), and the query form stands beside it; ``length`` lists comparators as modifiers, as
    # R4B does (S-020); ``_in`` and ``Encounter:observation`` are no parameters of R4B: warnings (S-057).
    (R4B, "topics/fhir-candle/r4b/subscriptiontopic-encounter-complete.json", ENDS, BOTH),
    (R4B, "topics/fhir-candle/r4b/SubscriptionTopic-encounter-complete.json", ENDS, BOTH),
    (R4B, "topics/fhir-candle/r4b/SubscriptionTopic-encounter-complete-qualified.json", ENDS, BOTH),
    (R5, "topics/fhir-candle/r5/subscriptiontopic-encounter-complete.json", ENDS, BOTH),
    (R5, "topics/fhir-candle/r5/SubscriptionTopic-encounter-complete.json", ENDS, BOTH),
    (R5, "topics/fhir-candle/r5/subscriptiontopic-encounter-complete-query.json", ENDS, BOTH),
    (R5, "topics/fhir-candle/r5/subscriptiontopic-encounter-create-interaction.json", ENDS, EACH_CREATED),
    # FHIR R5. ``admission`` has an eventTrigger too: support of it is optional, the resourceTrigger is decidable
    # (S-043). ``example`` lists updates only. ``account:not`` is no modifier of a reference: a Subscription that uses
    # it is refused, not the topic.
    (R5, "core/R5/topics/SubscriptionTopic-admission.json", "in-progress", BOTH),
    (R5, "core/R5/topics/SubscriptionTopic-example.json", ENDS, CHANGED),
    # Backport IG 1.2: the related query is an extension of the IG that only adds (S-059).
    (R4B, "backport-ig/1.2.0-ballot-ci/topics/SubscriptionTopic-r4b-encounter-complete.json", ENDS, BOTH),
    # Derived from Argonaut and US Core: the elements used exist in both versions. R5 has no status ``finished``, so
    # there the end of an encounter is never seen. ``trigger`` of US Core is a filter that the topic itself defines, no
    # search parameter: a warning (S-046).
    (R4B, "derived/topics/argonaut-encounter-start.json", "in-progress", BOTH),
    (R4B, "derived/topics/argonaut-encounter-end.json", ENDS, BOTH),
    (R4B, "derived/topics/us-core-patient-data-feed.json", ENDS, EVERY),
    (R5, "derived/topics/argonaut-encounter-start.json", "in-progress", BOTH),
    (R5, "derived/topics/argonaut-encounter-end.json", ENDS, NEITHER),
    (R5, "derived/topics/us-core-patient-data-feed.json", ENDS, EVERY),
    # Topics of R4 as Basic, with extensions of the 5.0 stem; the IG's own mixes 4.3 and 5.0 (S-063).
    (R4, "topics/fhir-candle/r4/basic-subscriptiontopic-encounter-complete.json", ENDS, BOTH),
    (R4, "topics/fhir-candle/r4/basic-subscriptiontopic-encounter-complete-2.json", ENDS, BOTH),
    (R4, "topics/fhir-candle/r4/Basic-topic-encounter-complete.json", ENDS, BOTH),
    (R4, "topics/fhir-candle/r4/Basic-topic-encounter-complete-qualified.json", ENDS, BOTH),
    (R4, "topics/fhir-candle/r4/basic-subscriptiontopic-encounter-started.json", "in-progress", BOTH),
    (R4, "backport-ig/1.2.0-ballot-ci/topics/Basic-r4-encounter-complete.json", ENDS, BOTH),
    # Da Vinci PAS: a resourceTrigger of plain codes, beside an event that no resource shows.
    (R4, "topics/fhir-candle/r4/Basic-PAS-ClaimResponse-Topic.json", "active", BOTH),
]

NOT_OF_THIS_VERSION = [("structure", "SubscriptionTopic.trigger")]
"""``trigger`` is the R6 shape; R5 defines resourceTrigger and eventTrigger (S-069). As files they are read, below."""


def value_set_not_held(trigger: int, current: int, fhirpath: int) -> list[tuple[str, str]]:
    """Membership in a value set that the hub does not hold is not computable (S-038): of ``code:in`` in the query, of
    ``memberOf()`` in the FHIRPath. Named by their places among the extensions of the Basic."""
    here = f"Basic.extension[{trigger}]"
    query = f"{here}.extension[{fhirpath - 1}].extension[{current}].valueString"
    return [("not-supported", query), ("not-supported", f"{here}.extension[{fhirpath}].valueString")]


UNION_FOR_OR = [("value", "SubscriptionTopic.resourceTrigger[0].fhirPathCriteria")]
"""Without a query form the union of two booleans would leave every update undecided (S-042)."""

REFUSED = [
    (R5, "topics/fhir-candle/r5/subscriptiontopic-encounter-complete-fhirpath.json", UNION_FOR_OR),
    (R5, "core/R6-ballot/topics/SubscriptionTopic-admission-basic.json", NOT_OF_THIS_VERSION),
    (R5, "core/R6-ballot/topics/SubscriptionTopic-admission-lm.json", NOT_OF_THIS_VERSION),
    (R4, "topics/fhir-candle/r4/Basic-CDex-PASSubscriptionTopic.json", value_set_not_held(7, 2, 5)),
    (R4, "topics/fhir-candle/r4/basic-lotc.json", value_set_not_held(6, 1, 4)),
    (R4, "topics/fhir-candle/r4/basic-ostc.json", value_set_not_held(6, 1, 4)),
]

FOLDERS = ("topics", "core/R5/topics", "core/R6-ballot/topics", "backport-ig/1.2.0-ballot-ci/topics", "derived/topics")


@pytest.fixture(scope="module")
async def running(real_input_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    async with running_hub(f"{real_input_redis_url}?db=2", tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def read(path: str) -> dict[str, Any]:
    return dict(json.loads((DATA / path).read_bytes()))


def canonical(resource: dict[str, Any]) -> str:
    if resource["resourceType"] == "SubscriptionTopic":
        return str(resource["url"])
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic.url"
    return next(str(each["valueUri"]) for each in resource["extension"] if each["url"] == url)


def state(base: FhirVersion, identity: str, status: str, *, is_claim: bool) -> dict[str, Any]:
    if is_claim:
        words = {"status": status, "use": "preauthorization", "outcome": "complete", "created": "2026-01-01"}
        return {"resourceType": "ClaimResponse", "id": identity, **words}
    return encounter(base, identity, "1", "completed" if base is R5 and status == ENDS else status)


async def live(api: Api, status: str, *, is_claim: bool) -> dict[str, str]:
    """Let ``a`` and ``b`` live as the table says; id -> name."""
    a, b = fresh_id("a"), fresh_id("b")
    before = "draft" if is_claim else "planned"
    for identity, word in ((a, before), (a, status), (a, status), (b, status)):
        resource = state(api.base, identity, word, is_claim=is_claim)
        answer = await api.put(f"{resource['resourceType']}/{identity}", resource)
        assert answer.status_code in (200, 201), answer.text
    return {a: "a", b: "b"}


def test_every_published_topic_is_in_a_table() -> None:
    there = {str(path.relative_to(DATA)) for folder in FOLDERS for path in (DATA / folder).rglob("*.json")}
    assert there == {path for _, path, _, _ in PUBLISHED} | {path for _, path, _ in REFUSED}


@pytest.mark.parametrize(
    ("base", "path", "status", "foci"), PUBLISHED, ids=[f"{base}-{path}" for base, path, _, _ in PUBLISHED]
)
async def test_a_published_topic_is_accepted_and_fires_as_it_means(
    running: RunningHub, receiver: Receiver, base: FhirVersion, path: str, status: str, foci: list[str]
) -> None:
    api, inbox, resource = running.api(base), receiver.inbox(), read(path)
    name = f"{resource['resourceType']}/{resource['id']}"
    answer = await api.put(name, resource)
    assert answer.status_code == 201, answer.text
    shown = (await api.get(name)).json()
    assert {**shown, "meta": None} == {**resource, "meta": None}, "what is read back is what was published"
    assert canonical(resource) in (await api.get("metadata")).text
    told = await subscribe(api, inbox, canonical(resource))
    names = await live(api, status, is_claim="ClaimResponse" in path)
    events = [(await inbox.event()).events[0] for _ in foci]
    assert [(int(event.number), names[event.focus.rpartition("/")[2]]) for event in events] == [*enumerate(foci, 1)]
    assert (await api.delete(f"Subscription/{told['id']}")).status_code == 204
    assert inbox.nothing_unread()
    assert (await api.delete(name)).status_code == 204


@pytest.mark.parametrize(("base", "path", "refusal"), REFUSED, ids=[f"{base}-{path}" for base, path, _ in REFUSED])
async def test_a_published_topic_is_refused_with_the_right_reason(
    running: RunningHub, base: FhirVersion, path: str, refusal: list[tuple[str, str]]
) -> None:
    api, resource = running.api(base), read(path)
    name = f"{resource['resourceType']}/{resource['id']}"
    found = [(issue["code"], issue["expression"][0]) for issue in outcome_of(await api.put(name, resource))]
    assert found == refusal
    assert (await api.get(name)).status_code in (404, 410)


def linted(path: str, base: FhirVersion) -> Finding:
    return check_written([Written(path, read(path))], [base])[0]


@pytest.mark.parametrize(
    ("base", "path"), [row[:2] for row in PUBLISHED], ids=[f"{base}-{path}" for base, path, _, _ in PUBLISHED]
)
def test_the_lint_offers_a_published_topic_that_is_accepted(base: FhirVersion, path: str) -> None:
    """``hub topics check`` and POST are of one mind."""
    finding = linted(path, base)
    assert finding.offered == (base,)
    assert {said.issue.severity for said in finding.said} <= {"warning", "information"}


OF_R6 = {
    "core/R6-ballot/topics/SubscriptionTopic-admission-basic.json": {
        # a search parameter of the example's own, which no registry has
        "SubscriptionTopic.trigger[0].queryCriteria.previous",
        "SubscriptionTopic.trigger[0].queryCriteria.current",
    },
    "core/R6-ballot/topics/SubscriptionTopic-admission-lm.json": {
        # a logical model is no resource (S-070)
        "SubscriptionTopic.trigger[0].resource",
        "SubscriptionTopic.trigger[0].canFilterBy[0].resource",
        "SubscriptionTopic.trigger[0].canFilterBy[1].resource",
        "SubscriptionTopic.trigger[0].notificationShape[0].resource",
    },
}


@pytest.mark.parametrize(("base", "path"), [row[:2] for row in REFUSED], ids=[row[1] for row in REFUSED])
def test_the_lint_refuses_a_published_topic_for_the_same_reason(base: FhirVersion, path: str) -> None:
    finding, wanted = linted(path, base), next(reasons for _, name, reasons in REFUSED if name == path)
    errors = {said.issue.expression for said in finding.said if said.issue.severity == "error"}
    assert finding.offered == ()
    assert errors == OF_R6.get(path, {expression for _, expression in wanted})


PUBLISHED_SLIPS = [
    (
        "core/R5/topics/SubscriptionTopic-example.json",
        "resourceTrigger[0].fhirPathCriteria",
    ),  # | for or, beside a query
    ("core/R5/topics/SubscriptionTopic-example.json", "canFilterBy[3].modifier"),  # :not of a reference
    ("core/R5/topics/SubscriptionTopic-admission.json", "canFilterBy[0].modifier"),  # in, not-in
    ("core/R5/topics/SubscriptionTopic-admission.json", "notificationShape[0].include"),  # Encounter:observation
    ("derived/topics/us-core-patient-data-feed.json", "canFilterBy[2]"),  # a filter that the topic itself defines
]


@pytest.mark.parametrize(("path", "place"), PUBLISHED_SLIPS)
def test_the_lint_warns_of_the_slips_of_published_topics(path: str, place: str) -> None:
    """S-042, S-046, S-048, S-057."""
    warned = {said.issue.expression for said in linted(path, R5).said if said.issue.severity == "warning"}
    assert f"SubscriptionTopic.{place}" in warned
