"""The server suite of Inferno's Subscriptions test kit, check by check (S-217…S-229), on R4 and likewise R4B and R5.

What cannot be asked of a base in these words is asked in its own; ``rules`` lists the differences.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.structure import model
from tests.api.builders import ENCOUNTER_START, subscription, until_status
from tests.api.harness import Api
from tests.api.receiver import Inbox, Notification, Receiver, Reply, events_of, status_of
from tests.conformance.rules import (
    BACKPORT,
    EVERY_NOTIFICATION,
    Rule,
    check_status,
    is_native,
    its_headers_are_those_of_the_subscription,
)
from tests.conformance.tester import EVENTS, Run

Runs = dict[tuple[FhirVersion, str], Run]
every_rule = pytest.mark.parametrize("rule", EVERY_NOTIFICATION, ids=[rule.__name__ for rule in EVERY_NOTIFICATION])


def test_subscription_conformance(tried: Run) -> None:
    """S-217: the tester's own Subscription fits the profile, names its topic by an http URL and wants rest-hook."""
    submitted = tried.submitted
    model("Subscription", tried.api.base).model_validate(submitted)
    if is_native(tried):
        assert submitted["topic"].startswith("http")
        assert submitted["channelType"]["code"] == "rest-hook"
        return
    channel = submitted["channel"]
    assert submitted["criteria"].startswith("http") and channel["type"] == "rest-hook"
    assert channel["payload"] == "application/fhir+json" and channel["header"] == ["Authorization: Bearer SAMPLE_TOKEN"]
    (level,) = channel["_payload"]["extension"]
    assert level == {"url": BACKPORT + "backport-payload-content", "valueCode": tried.content}


def test_notification_delivery(tried: Run) -> None:
    """S-218: 201, then a handshake and events at the endpoint, each about this Subscription."""
    assert tried.answer.status_code == 201
    assert f"/Subscription/{tried.id}" in tried.answer.headers["location"]
    assert len(tried.sent("handshake")) == 1
    assert len(tried.sent("event-notification")) == EVENTS


def test_creation_response_conformance(tried: Run) -> None:
    """S-219, S-075, S-155: the body is the Subscription, requested, with everything that was asked for."""
    created, submitted = tried.created, tried.submitted
    assert created["resourceType"] == "Subscription" and created["status"] == "requested"
    model("Subscription", tried.api.base).model_validate(created)
    if is_native(tried):
        assert created["channelType"]["code"] == "rest-hook"
        assert created["topic"] == submitted["topic"] and created["parameter"] == submitted["parameter"]
        assert created["content"] == tried.content and created["filterBy"] == submitted["filterBy"]
        return
    assert created["channel"]["type"] == "rest-hook" and created["criteria"] == submitted["criteria"]
    assert created["_criteria"] == submitted["_criteria"]
    for name in ("endpoint", "payload", "_payload", "header"):
        assert created["channel"][name] == submitted["channel"][name]


def test_notification_presence(tried: Run) -> None:
    """S-220."""
    assert tried.sent("event-notification")


@every_rule
def test_notification_conformance(tried: Run, rule: Rule) -> None:
    """S-221."""
    for sent in tried.sent("event-notification"):
        rule(tried, sent)


def test_notification_conformance_type_and_status(tried: Run) -> None:
    """S-221: an event notification, of an active Subscription."""
    for sent in tried.sent("event-notification"):
        assert sent.carrier["type"] == "event-notification" and sent.carrier["status"] == "active"


@pytest.mark.parametrize("mime", ["application/json", "application/fhir+json; fhirVersion={version}"])
async def test_notification_conformance_content_type(api: Api, receiver: Receiver, mime: str) -> None:
    """S-221, S-150, S-005: Inferno keeps application/json; the type that was asked for is the one that arrives."""
    inbox, wanted = receiver.inbox(), mime.format(version=api.base.mime_parameter)
    submitted = subscription(api.base, inbox.url)
    if api.base is FhirVersion.R5:
        submitted["contentType"] = wanted
    else:
        submitted["channel"]["payload"] = wanted
    created = await api.post("Subscription", submitted)
    assert created.status_code == 201, created.text
    assert (await inbox.next("handshake")).header("content-type").startswith(wanted)
    await api.delete(f"Subscription/{created.json()['id']}")


async def test_cs_conformance(api: Api) -> None:
    """S-222, S-194, S-195; R5 has Subscriptions of its own and needs no profile for them."""
    answer = await api.get("metadata")
    assert answer.status_code == 200
    statement = answer.json()
    model("CapabilityStatement", api.base).model_validate(statement)
    assert statement["fhirVersion"] == api.base.number
    (rest,) = statement["rest"]
    assert rest["mode"] == "server"
    (resource,) = (each for each in rest["resource"] if each["type"] == "Subscription")
    if api.base is not FhirVersion.R5:
        assert BACKPORT + "backport-subscription" in resource["supportedProfile"]
        assert any("/CapabilityStatement/backport-subscription-server" in each for each in statement["instantiates"])


async def test_topic_discovery(runs: Runs, api: Api) -> None:
    """S-223, S-199: every topic that is used is listed; where there is a resource for it, it is found."""
    statement = (await api.get("metadata")).json()
    (resource,) = (each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription")
    url = BACKPORT + "capabilitystatement-subscriptiontopic-canonical"
    listed = {each["valueCanonical"].partition("|")[0] for each in resource["extension"] if each["url"] == url}
    used = {run.submitted["topic" if is_native(run) else "criteria"] for run in runs.values()}
    assert used == {ENCOUNTER_START} and used <= listed
    if api.base is not FhirVersion.R4:
        found = (await api.get(f"SubscriptionTopic?url={ENCOUNTER_START}")).json()
        assert [entry["resource"]["url"] for entry in found["entry"]] == [ENCOUNTER_START]


def references(sent: Notification) -> list[dict[str, Any]]:
    """Of each event: its number, focus and additional context, in words of R5."""
    resource = sent.bundle["entry"][0]["resource"]
    if resource["resourceType"] == "SubscriptionStatus":
        return list(resource["notificationEvent"])
    events = []
    for parameter in resource["parameter"]:
        if parameter["name"] == "notification-event":
            parts = [(part["name"], part.get("valueReference")) for part in parameter["part"]]
            found: dict[str, Any] = {name: value for name, value in parts if name == "focus"}
            context = [value for name, value in parts if name == "additional-context"]
            events.append(found | ({"additionalContext": context} if context else {}))
    return events


def test_empty_content(runs: Runs, base: FhirVersion) -> None:
    """S-224, S-132, S-113, S-114: events without any reference, no entry but the status, no topic."""
    tried = runs[base, "empty"]
    for sent in tried.sent("event-notification"):
        assert sent.events and sent.entries == []
        assert not any("focus" in event or "additionalContext" in event for event in references(sent))
        assert "topic" not in sent.carrier
        assert not any(identity.encode() in sent.body for identity in (*tried.encounters, tried.patient))


def test_id_only_content(runs: Runs, base: FhirVersion) -> None:
    """S-225, S-133: a focus in every event; an entry, if there is one, has a fullUrl and no resource."""
    tried = runs[base, "id-only"]
    foci = [event.focus for sent in tried.sent("event-notification") for event in sent.events]
    assert [focus.split("/")[-2:] for focus in foci] == [["Encounter", identity] for identity in tried.encounters]
    for sent in tried.sent("event-notification"):
        assert all("resource" not in entry and entry["fullUrl"] for entry in sent.entries)


def test_full_resource_content(runs: Runs, base: FhirVersion) -> None:
    """S-226, S-134, S-138: topic, focus, and every reference found among the entries, each with a valid resource."""
    tried = runs[base, "full-resource"]
    for sent in tried.sent("event-notification"):
        assert sent.carrier["topic"].partition("|")[0] == ENCOUNTER_START
        (event,) = references(sent)
        assert event["additionalContext"][0]["reference"].endswith(f"Patient/{tried.patient}")
        entries = {entry["fullUrl"]: entry["resource"] for entry in sent.entries}
        named = [event["focus"]["reference"], *(each["reference"] for each in event["additionalContext"])]
        assert sorted(named) == sorted(entries)
        for url, resource in entries.items():
            assert url.endswith(f"{resource['resourceType']}/{resource['id']}")
            model(resource["resourceType"], base).model_validate(resource)


@every_rule
def test_handshake_conformance(tried: Run, rule: Rule) -> None:
    """S-227: like an event notification."""
    (handshake,) = tried.sent("handshake")
    rule(tried, handshake)


def test_handshake_conformance_type_and_status(tried: Run) -> None:
    """S-227: it comes first, while the Subscription is requested, and tells of no event."""
    handshake = tried.inbox.everything[0]
    assert handshake.carrier["type"] == "handshake" and handshake.carrier["status"] == "requested"
    assert handshake.events == [] and handshake.entries == []
    assert handshake.carrier["eventsSinceSubscriptionStart"] == "0"


async def test_handshake_conformance_outcome(api: Api, receiver: Receiver) -> None:
    """S-075, requirements 20, 21, 30, 31: a success makes it active, any error makes it error."""
    welcome, unwelcome = receiver.inbox(), receiver.inbox()
    unwelcome.reply = Reply(500)
    for inbox, status in ((welcome, "active"), (unwelcome, "error")):
        created = (await api.post("Subscription", subscription(api.base, inbox.url))).json()
        await inbox.next("handshake")
        await until_status(api, created["id"], status)
        await api.delete(f"Subscription/{created['id']}")


@every_rule
def test_heartbeat_conformance(runs: Runs, base: FhirVersion, rule: Rule) -> None:
    """S-228: like the others."""
    tried = runs[base, "heartbeat"]
    for heartbeat in tried.sent("heartbeat"):
        rule(tried, heartbeat)


def test_heartbeat_conformance_presence(runs: Runs, base: FhirVersion) -> None:
    """S-228, S-145: at least one where a period was accepted, none where it was not."""
    tried = runs[base, "heartbeat"]
    if is_native(tried):
        assert tried.created["heartbeatPeriod"] == 1
    else:
        period = {"url": BACKPORT + "backport-heartbeat-period", "valueUnsignedInt": 1}
        assert period in tried.created["channel"]["extension"]
    assert tried.sent("heartbeat")
    assert not any(run.sent("heartbeat") for (_, kind), run in runs.items() if kind != "heartbeat")


async def test_status_invocation(tried: Run) -> None:
    """S-229, S-183, S-184: a searchset with the status of this Subscription, which counts its events."""
    answer = await tried.api.get(f"Subscription/{tried.id}/$status")
    assert answer.status_code == 200
    bundle = answer.json()
    model("Bundle", tried.api.base).model_validate(bundle)
    assert bundle["type"] == "searchset"
    (entry,) = bundle["entry"]
    check_status(tried.api.base, entry["resource"])
    status = status_of(entry["resource"])
    assert status["subscription"]["reference"].endswith(f"Subscription/{tried.id}")
    assert (status["type"], status["status"]) == ("query-status", "active")
    assert status["eventsSinceSubscriptionStart"] == str(EVENTS)


async def test_status_invocation_of_several(runs: Runs, base: FhirVersion) -> None:
    """S-183: ids are alternatives, and so are statuses."""
    tried = [run for (where, _), run in runs.items() if where is base]
    api, query = tried[0].api, "&".join(f"id={run.id}" for run in tried[:2])
    for statuses, wanted in (("", tried[:2]), ("&status=active&status=off", tried[:2]), ("&status=off", [])):
        bundle = (await api.get(f"Subscription/$status?{query}{statuses}")).json()
        found = [status_of(entry["resource"])["subscription"]["reference"] for entry in bundle.get("entry", ())]
        assert sorted(each.rpartition("/")[2] for each in found) == sorted(run.id for run in wanted)


async def test_events_invocation(tried: Run) -> None:
    """S-186, requirements 115, 118, 119: both bounds belong to it, and the content level is kept."""
    answer = await tried.api.get(f"Subscription/{tried.id}/$events?eventsSinceNumber=2&eventsUntilNumber=2")
    assert answer.status_code == 200
    model("Bundle", tried.api.base).model_validate(answer.json())
    assert [event.number for event in events_of(answer.json())] == ["2"]
    assert (len(answer.json()["entry"]) > 1) == (tried.content == "full-resource")


async def test_authorization_is_not_told_to_readers(tried: Run) -> None:
    """Ruling 24: the 201 shows header values, as Inferno demands; later reads mask them."""
    assert "SAMPLE_TOKEN" not in (await tried.api.get(f"Subscription/{tried.id}")).text
    its_headers_are_those_of_the_subscription(tried, tried.inbox.everything[-1])


async def test_an_error_is_counted_and_told(api: Api, receiver: Receiver) -> None:
    """S-077, requirements 77, 78, 79: in error the count goes on, and $status answers."""
    inbox: Inbox = receiver.inbox()
    inbox.reply = Reply(500)
    created = (await api.post("Subscription", subscription(api.base, inbox.url))).json()
    await until_status(api, created["id"], "error")
    patient = {"resourceType": "Patient", "id": "counted"}
    await api.put("Patient/counted", patient)
    async with asyncio.timeout(5):
        while True:
            (entry,) = (await api.get(f"Subscription/{created['id']}/$status")).json()["entry"]
            status = status_of(entry["resource"])
            assert status["status"] == "error" and status["error"]
            if status["eventsSinceSubscriptionStart"] == "1":
                break
            await asyncio.sleep(0.01)
    await api.delete(f"Subscription/{created['id']}")
