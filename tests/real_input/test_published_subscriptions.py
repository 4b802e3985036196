"""Subscriptions that others have published: each is accepted, or refused for a reason that the standard gives.

Their topics are published first, and the endpoint becomes a receiver on loopback (Inferno overwrites it too, S-217).
Those that are refused for one slip are tried once more without it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import BACKPORT, fresh_id, until_status
from tests.api.harness import RunningHub, outcome_of, running_hub
from tests.api.receiver import Receiver
from tests.real_input.shared_data import DATA, needs_data

pytestmark = needs_data

R4, R4B, R5 = FhirVersion
INFERNO_TOPIC = "http://inferno.healthit.gov/suites/custom/subscriptions_r5_backport_r4_client/topics/patient-admission"
TOPICS = {
    INFERNO_TOPIC: ("Encounter",),
    "http://fhirserver.org/topics/patient-admission": ("Encounter",),
    "http://hl7.org/SubscriptionTopic/admission": ("Encounter", "Observation"),
    "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task": ("Task",),
    "http://example.org/FHIR/SubscriptionTopic/encounter-complete": ("Encounter",),
    "http://example.org/FHIR/R5/SubscriptionTopic/admission": ("Encounter",),
}
"""The topics that the examples name; most are published nowhere, so they are written here as the examples use them."""
US_CORE_TOPIC = "derived/topics/us-core-patient-data-feed.json"

ACCEPTED = ()
HEARTBEAT = f"Subscription.channel.extension('{BACKPORT}backport-heartbeat-period').value"
CUSTOM_CHANNEL = (("not-supported", f"Subscription.channel.type.extension('{BACKPORT}backport-channel-type')"),)
"""A channel that the hub does not have SHALL be rejected (S-082)."""
ENDED = (("value", "Subscription.end"),)
"""Its end has passed: the hub could not honour it, and says so (S-079, S-084)."""
UNSIGNED = (("value", HEARTBEAT),)
"""The extension is defined with valueUnsignedInt only; valueInteger would be ignored silently."""
OTHER_CHANNEL = (("not-supported", "Subscription.channelType"),)

PUBLISHED = [
    (R4, "subscriptions/inferno/Subscription_empty.json", ENDED),
    (R4, "subscriptions/inferno/Subscription_id-only.json", ENDED),
    (R4, "subscriptions/inferno/Subscription_full-resource.json", ENDED),
    (R4, "subscriptions/inferno/subscription_resource_example.json", CUSTOM_CHANNEL),
    (R4, "subscriptions/fhir-candle/r4/Subscription-encounter-complete.json", UNSIGNED),
    (R4B, "subscriptions/fhir-candle/r4b/Subscription-encounter-complete.json", UNSIGNED),
    (R4, "subscriptions/davinci-cdex/cdex-task-inline-scenario1-subscription-requested.json", ACCEPTED),
    # A client may not submit ``active``: taken as requested (S-076).
    (R4, "subscriptions/davinci-cdex/cdex-task-inline-scenario1-subscription-active.json", ACCEPTED),
    # The examples of the IG are for R4 and R4B; 1.2 adds an identifier, the one cross-version
    # extension that is allowed (S-090).
    *(
        (base, f"backport-ig/{version}/subscriptions/Subscription-subscription-{name}.json", refusal)
        for base in (R4, R4B)
        for version in ("1.1.0", "1.2.0-ballot-ci")
        for name, refusal in (("admission", ENDED), ("multi-resource", ENDED), ("zulip", CUSTOM_CHANNEL))
    ),
    (R5, "derived/subscriptions/r5-rest-hook.json", ACCEPTED),
    (R5, "derived/subscriptions/r5-websocket.json", OTHER_CHANNEL),
    (R5, "derived/subscriptions/r5-email.json", OTHER_CHANNEL),
    (R5, "derived/subscriptions/r5-message.json", ACCEPTED),
    # ``trigger`` is a filter of US Core's own that no search parameter defines: criteria it cannot support (S-082).
    (
        R4,
        "derived/subscriptions/us-core-patient-data-feed-r4.json",
        (("not-supported", "Subscription.criteria.extension"),),
    ),
]
CLASSIC = ("subscriptions/core-r4/subscription-example.json", "derived/subscriptions/r4-classic.json")
"""Query Subscriptions of R4 (S-011): no topic."""

FOLDERS = ("subscriptions", "derived/subscriptions", "backport-ig")


def read(path: str | Path) -> dict[str, Any]:
    return dict(json.loads((DATA / path).read_bytes()))


def topic(url: str, types: tuple[str, ...]) -> dict[str, Any]:
    filters = [{"resource": each, "filterParameter": name} for each in types for name in ("patient", "subject")]
    triggers = [{"resource": each} for each in types]
    described = {"url": url, "status": "active", "resourceTrigger": triggers, "canFilterBy": filters}
    return {"resourceType": "SubscriptionTopic", "id": url.rpartition("/")[2].lower(), **described}


@pytest.fixture(scope="module")
async def running(real_input_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    """A hub that offers, on every base, the topics that the examples name."""
    folder = tmp_path_factory.mktemp("topics")
    for number, each in enumerate((*(topic(*each) for each in TOPICS.items()), read(US_CORE_TOPIC))):
        (folder / f"{number}.json").write_text(json.dumps(each | {"id": f"topic-{number}"}))
    data_dir = tmp_path_factory.mktemp("hub")
    async with running_hub(f"{real_input_redis_url}?db=3", data_dir, topics_dir=folder) as hub:
        yield hub


def sent_to(resource: dict[str, Any], endpoint: str) -> dict[str, Any]:
    """The example with its endpoint on loopback; one that is no HTTP address stays."""
    owner = resource.get("channel", resource)
    if owner.get("endpoint", "").startswith("http"):
        owner["endpoint"] = endpoint
    return resource


def test_every_published_subscription_is_in_a_table() -> None:
    there = {
        str(path.relative_to(DATA))
        for folder in FOLDERS
        for path in (DATA / folder).rglob("*.json")
        if read(path).get("resourceType") == "Subscription"
    }
    assert there == {path for _, path, _ in PUBLISHED} | set(CLASSIC)


@pytest.mark.parametrize(("base", "path", "refusal"), PUBLISHED, ids=[f"{base}-{path}" for base, path, _ in PUBLISHED])
async def test_a_published_subscription_is_accepted_or_refused_with_the_right_reason(
    running: RunningHub, receiver: Receiver, base: FhirVersion, path: str, refusal: tuple[tuple[str, str], ...]
) -> None:
    api, inbox = running.api(base), receiver.inbox()
    resource = sent_to(read(path), inbox.url)
    answer = await api.post("Subscription", resource)
    if refusal:
        found = [(issue["code"], issue["expression"][0]) for issue in outcome_of(answer, 422)]
        assert tuple(found) == refusal
        assert inbox.everything == []
        return
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "requested"
    assert (await inbox.next("handshake")).carrier["status"] == "requested"
    await until_status(api, answer.json()["id"], "active")


ONE_SLIP = [(base, path) for base, path, refusal in PUBLISHED if refusal in (ENDED, UNSIGNED)]


@pytest.mark.parametrize(("base", "path"), ONE_SLIP, ids=[f"{base}-{path}" for base, path in ONE_SLIP])
async def test_without_its_slip_it_is_accepted(
    running: RunningHub, receiver: Receiver, base: FhirVersion, path: str
) -> None:
    api, inbox = running.api(base), receiver.inbox()
    resource = sent_to(read(path), inbox.url)
    del resource["end"]
    for extension in resource["channel"]["extension"]:
        if "valueInteger" in extension:
            extension["valueUnsignedInt"] = extension.pop("valueInteger")
    answer = await api.post("Subscription", resource)
    assert answer.status_code == 201, answer.text
    handshake = await inbox.next("handshake")
    for header in resource["channel"].get("header", ()):
        name, _, value = header.partition(": ")
        assert handshake.header(name.lower()) == value
    shown = await until_status(api, answer.json()["id"], "active")
    assert shown["_criteria"] == resource["_criteria"]
    assert shown["channel"]["_payload"] == resource["channel"]["_payload"]
    assert all(extension in shown["channel"]["extension"] for extension in resource["channel"]["extension"])


@pytest.mark.parametrize("path", CLASSIC)
async def test_a_query_subscription_is_told_of_what_its_search_finds(
    running: RunningHub, receiver: Receiver, path: str
) -> None:
    """S-011…S-013, ruling 29; the standard's own example ended years ago and is refused for that alone (S-079)."""
    api, inbox = running.api(R4), receiver.inbox()
    resource = sent_to(read(path), inbox.url)
    if "end" in resource:
        assert outcome_of(await api.post("Subscription", resource), 422)[0]["expression"] == ["Subscription.end"]
        del resource["end"]
    answer = await api.post("Subscription", resource)
    assert (answer.status_code, answer.json()["status"]) == (201, "active"), answer.text
    bilirubin = {"coding": [{"system": "http://loinc.org", "code": "1975-2"}]}
    observation = {"resourceType": "Observation", "id": fresh_id(), "status": "final", "code": bilirubin}
    assert (await api.put(f"Observation/{observation['id']}", observation)).status_code == 201
    request = await inbox.bare()
    payload = "payload" in resource["channel"]
    assert request.line.startswith("PUT" if payload else "POST")
    assert bool(request.body) is payload
    assert request.values("authorization") == [resource["channel"]["header"][0].partition(": ")[2]]


@pytest.mark.parametrize("path", [path for base, path, refusal in PUBLISHED if base is R4 and refusal in (ENDED, ())])
async def test_without_its_topic_a_published_subscription_is_refused_for_that(running: RunningHub, path: str) -> None:
    """An unknown topic SHALL be rejected (S-082)."""
    resource = sent_to(read(path), "http://127.0.0.1:2001/never")
    resource.pop("end", None)
    resource["criteria"] += "-of-others"
    issues = outcome_of(await running.api(R4).post("Subscription", resource), 422)
    assert [(issue["code"], issue["expression"]) for issue in issues] == [("not-found", ["Subscription.criteria"])]
