"""``$signing-secret``, and what names an attempt: signatures, ids, correlation and trace (SECURITY C4, DR)."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import classic, encounter, fresh_id, patient, subscribe, until_status
from tests.api.harness import Api, RunningHub, outcome_of, raw_call, snapshot
from tests.api.receiver import Inbox, Notification, Reply
from tests.verifying import verifies

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def secret_of(api: Api, identity: str) -> str:
    answer = await api.post(f"Subscription/{identity}/$signing-secret")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(parameters(answer.json())["secret"])


def parameters(resource: dict[str, Any]) -> dict[str, Any]:
    assert resource["resourceType"] == "Parameters"
    return {each["name"]: next(v for k, v in each.items() if k.startswith("value")) for each in resource["parameter"]}


def signed_by(found: Notification, secret: str) -> bool:
    return verifies(dict(found.request.headers), found.body, secret)


async def test_events_are_signed_once_a_secret_was_asked_for(api: Api, inbox: Inbox) -> None:
    made = await subscribe(api, inbox)
    assert not inbox.everything[0].header("webhook-signature"), "nobody asked for it yet"
    secret = await secret_of(api, made["id"])
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    event = await inbox.event()
    assert signed_by(event, secret)
    assert "." not in event.header("webhook-id")


async def test_a_retry_has_the_ids_of_the_first_attempt_and_a_signature_of_its_own(api: Api, inbox: Inbox) -> None:
    secret = await secret_of(api, (await subscribe(api, inbox))["id"])
    inbox.replies = [Reply(503), Reply(500), Reply(200)]
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark), X_Correlation_ID="c-7", traceparent=TRACE)
    attempts = [await inbox.event() for _ in range(3)]
    for name in ("webhook-id", "x-request-id", "x-correlation-id", "traceparent"):
        assert len({each.header(name) for each in attempts}) == 1, name
    assert all(signed_by(each, secret) for each in attempts)
    assert (attempts[0].header("x-correlation-id"), attempts[0].header("traceparent")) == ("c-7", TRACE)


async def test_a_handshake_and_a_heartbeat_are_signed(running: RunningHub, inbox: Inbox) -> None:
    api = running.api(FhirVersion.R5)
    made = await subscribe(api, inbox, heartbeat=1)
    secret = await secret_of(api, made["id"])
    assert signed_by(await inbox.next("heartbeat"), secret)
    written = (await api.get(f"Subscription/{made['id']}")).json() | {"status": "requested"}
    await api.put(f"Subscription/{made['id']}", written)
    handshakes = [await inbox.next("handshake")]
    assert signed_by(handshakes[-1], secret), "a new definition keeps the secret"


async def test_during_a_rotation_both_secrets_verify_every_delivery(api: Api, inbox: Inbox) -> None:
    made = await subscribe(api, inbox)
    old = await secret_of(api, made["id"])
    answer = parameters((await api.post(f"Subscription/{made['id']}/$signing-secret")).json())
    assert answer["overlap-until"] and answer["secret"] != old
    for _ in range(3):
        mark = fresh_id()
        await api.put(f"Patient/{mark}", patient(mark))
        event = await inbox.event()
        assert signed_by(event, old) and signed_by(event, answer["secret"])


async def test_stop_ends_signing(api: Api, inbox: Inbox) -> None:
    made = await subscribe(api, inbox)
    await secret_of(api, made["id"])
    stop = {"resourceType": "Parameters", "parameter": [{"name": "stop", "valueBoolean": True}]}
    answer = await api.post(f"Subscription/{made['id']}/$signing-secret", stop)
    assert parameters(answer.json()) == {"signed": False}
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert not (await inbox.event()).header("webhook-signature")


async def test_the_secret_is_shown_once_and_stands_in_no_read_and_no_log(
    running: RunningHub, api: Api, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    made = await subscribe(api, inbox)
    with caplog.at_level(logging.DEBUG):
        secret = (await secret_of(api, made["id"])).removeprefix("whsec_")
        mark = fresh_id()
        await api.put(f"Patient/{mark}", patient(mark))
        await inbox.event()
        reads = ("", "/_history/1", "/$status", "/$events", f"/$explain?change=Patient/{mark}")
        shown = [(await api.get(f"Subscription/{made['id']}{path}")).text for path in reads]
        shown += [(await api.get("Subscription")).text, (await api.get("metadata")).text]
    assert not [each for each in shown if secret in each]
    assert not [record for record in caplog.records if secret in str(vars(record))]


async def test_a_deleted_subscription_takes_its_secret_along(running: RunningHub, api: Api, inbox: Inbox) -> None:
    made = await subscribe(api, inbox)
    secret = await secret_of(api, made["id"])
    await api.delete(f"Subscription/{made['id']}")
    assert secret not in str(await snapshot(running.hub))
    outcome_of(await api.post(f"Subscription/{made['id']}/$signing-secret"), 404)


async def test_what_cannot_be_signed_is_refused(running: RunningHub, base: FhirVersion, api: Api, inbox: Inbox) -> None:
    outcome_of(await api.post("Subscription/nobody/$signing-secret"), 404)
    made = await subscribe(api, inbox)
    path = f"Subscription/{made['id']}/$signing-secret"
    for query in ("?stop=maybe", "?start=true", "?stop=true&stop=true"):
        outcome_of(await api.post(path + query), 400)
    wrong = {"resourceType": "Parameters", "parameter": [{"name": "stop", "valueString": "true"}]}
    outcome_of(await api.post(path, wrong), 400)
    refused = await api.get(path)
    outcome_of(refused, 405)
    assert refused.headers["allow"] == "POST"
    for _ in range(4):
        await secret_of(api, made["id"])
    outcome_of(await api.post(path), 422)


async def test_a_batch_carries_the_trail_of_its_newest_event(running: RunningHub, inbox: Inbox) -> None:
    api = running.api(FhirVersion.R5)
    await subscribe(api, inbox, max_count=10)
    inbox.replies = [Reply(503)]
    for number in range(4):
        mark = fresh_id()
        await api.put(f"Patient/{mark}", patient(mark), X_Correlation_ID=f"c-{number + 1}")
    seen = 0
    while seen < 4:
        event = await inbox.event()
        seen = event.numbers[-1]
        assert event.header("x-correlation-id") == f"c-{seen}"


@pytest.mark.parametrize("base", [FhirVersion.R4], ids=["r4"])
async def test_a_classic_subscription_has_the_trail_too(api: Api, base: FhirVersion, inbox: Inbox) -> None:
    made = await api.post("Subscription", classic(inbox.url, "Encounter?status=in-progress"))
    await until_status(api, made.json()["id"], "active")
    await secret_of(api, made.json()["id"])
    mark = fresh_id()
    await api.put(f"Encounter/{mark}", encounter(base, mark, "p"), X_Correlation_ID="c-9")
    request = await inbox.bare()
    assert request.values("x-correlation-id") == ["c-9"] and request.values("webhook-signature")


async def test_every_way_in_carries_the_trail(api: Api, base: FhirVersion, inbox: Inbox) -> None:
    """A transaction and ``$process-change`` as well as a single write."""
    await subscribe(api, inbox)
    mark = fresh_id()
    entry = {"resource": patient(mark), "request": {"method": "PUT", "url": f"Patient/{mark}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await api.post("", bundle, X_Correlation_ID="t-1")).status_code == 200
    assert (await inbox.event()).header("x-correlation-id") == "t-1"
    told = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "interaction", "valueCode": "create"},
            {"name": "current", "resource": patient(fresh_id())},
        ],
    }
    assert (await api.post("$process-change", told, X_Correlation_ID="p-1")).status_code in (200, 201)
    assert (await inbox.event()).header("x-correlation-id") == "p-1"


async def test_the_log_of_an_attempt_names_its_trail(api: Api, inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    await subscribe(api, inbox)
    mark = fresh_id()
    with caplog.at_level(logging.INFO):
        await api.put(f"Patient/{mark}", patient(mark), X_Correlation_ID="log-1", traceparent=TRACE)
        await inbox.event()
        again = fresh_id()
        await api.put(f"Patient/{again}", patient(again))
        await inbox.event()
    logged = [vars(record) for record in caplog.records if record.getMessage() == "attempt"]
    assert ("log-1", TRACE) in [(each["correlation"], each["traceparent"]) for each in logged]


async def test_a_correlation_that_cannot_be_sent_is_refused_and_a_broken_trace_overlooked(
    running: RunningHub, api: Api, base: FhirVersion
) -> None:
    mark = fresh_id()
    refused = await api.put(f"Patient/{mark}", patient(mark), X_Correlation_ID="x" * 300)
    assert "X-Correlation-ID" in outcome_of(refused, 400)[0]["diagnostics"]
    headers = [(b"content-type", b"application/fhir+json"), (b"traceparent", b"\xff\x00")]
    path = f"{base.path}/Patient/{mark}".encode()
    answer = await raw_call(running.app, "PUT", path, b"", headers, json.dumps(patient(mark)).encode())
    assert answer.status == 201
