"""The message channel through the whole hub, on each base (S-177…S-179, S-015)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import classic, fresh_id, patient, subscription, until_status
from tests.api.harness import Api, outcome_of
from tests.api.receiver import Inbox, Reply, carrier_of, events_of
from tests.channels.receivers import Request

R5 = FhirVersion.R5


def by_message(base: FhirVersion, endpoint: str, **options: Any) -> dict[str, Any]:
    resource = subscription(base, endpoint, **options)
    (resource["channelType"] if base is R5 else resource["channel"])["code" if base is R5 else "type"] = "message"
    return resource


def read(request: Request) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The message, its header, and the notification Bundle inside."""
    assert request.line.split()[1].endswith("/$process-message")
    message = json.loads(request.body)
    assert message["type"] == "message"
    header, inside = (entry["resource"] for entry in message["entry"])
    assert header["focus"] == [{"reference": message["entry"][1]["fullUrl"]}]
    return message, header, inside


async def subscribed(api: Api, inbox: Inbox, **options: Any) -> str:
    created = await api.post("Subscription", by_message(api.base, inbox.url, **options))
    assert created.status_code == 201 and created.json()["status"] == "requested", created.text
    _, _, inside = read(await inbox.bare())
    assert carrier_of(inside)["type"] == "handshake"
    await until_status(api, created.json()["id"], "active")
    return str(created.json()["id"])


async def put(api: Api, mark: str, **elements: Any) -> None:
    assert (await api.put(f"Patient/{mark}", patient(mark, **elements))).is_success


async def test_a_handshake_then_numbered_events_each_as_a_message_s177(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await subscribed(api, inbox, filters=(f"_id={mark}",), headers=("Authorization: Bearer abc",))
    for number in ("1", "2"):
        await put(api, mark, active=number == "1")
        request = await inbox.bare()
        _, header, inside = read(request)
        assert request.values("authorization") == ["Bearer abc"]
        assert header["eventCoding"]["code"] == "subscription-notification"
        assert inside["type"] == ("subscription-notification" if api.base is R5 else "history")
        assert [(each.number, each.focus.rpartition("/")[2]) for each in events_of(inside)] == [(number, mark)]


async def test_a_repeat_keeps_the_header_and_what_it_is_about_and_has_a_new_bundle_id(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await subscribed(api, inbox, filters=(f"_id={mark}",))
    inbox.replies = [Reply(503), Reply(500)]
    await put(api, mark)
    messages = [read(await inbox.bare()) for _ in range(3)]
    assert len({message["id"] for message, _, _ in messages}) == 3
    assert len({header["id"] for _, header, _ in messages}) == 1
    assert len({inside["id"] for _, _, inside in messages}) == 1
    await put(api, mark, active=True)
    assert read(await inbox.bare())[1]["id"] != messages[0][1]["id"]


async def test_a_handshake_that_fails_is_an_error(api: Api, inbox: Inbox) -> None:
    inbox.reply = Reply(500)
    created = await api.post("Subscription", by_message(api.base, inbox.url))
    await until_status(api, created.json()["id"], "error")
    inbox.reply = Reply(200)
    await until_status(api, created.json()["id"], "active")


async def test_empty_says_nothing_of_the_patient(api: Api, inbox: Inbox) -> None:
    mark = fresh_id("canary")
    await subscribed(api, inbox, filters=(f"_id={mark}",), content="empty")
    await put(api, mark)
    request = await inbox.bare()
    assert b"canary" not in request.body and b"Patient" not in request.body


async def test_bytes_travel_unchanged(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await subscribed(api, inbox, filters=(f"_id={mark}",), content="full-resource")
    raw = f'{{"resourceType":"Patient","id":"{mark}",   "multipleBirthInteger": 1.0}}'.encode()
    assert (await api.put(f"Patient/{mark}", raw)).status_code == 201
    assert b'   "multipleBirthInteger": 1.0' in (await inbox.bare()).body


@pytest.mark.parametrize("endpoint", ["mailto:a@x.org", "mllp://x.org", "/fhir", "", "http://127.0.0.1/fhir?x=1"])
async def test_an_endpoint_is_the_base_of_a_fhir_server(api: Api, endpoint: str) -> None:
    issues = outcome_of(await api.post("Subscription", by_message(api.base, endpoint)), 400, 422)
    assert any("endpoint" in issue["expression"][0] for issue in issues)


async def test_the_guard_of_egress_is_asked_at_creation(start_hub: Any, base: FhirVersion) -> None:
    api = (await start_hub(allow_private_endpoints=False)).api(base)
    (issue,) = outcome_of(await api.post("Subscription", by_message(base, "http://127.0.0.1:9999/fhir")), 422)
    assert "HUB_EGRESS_ALLOW" in issue["diagnostics"]


async def test_the_event_coding_is_the_operators_s179(start_hub: Any, base: FhirVersion, inbox: Inbox) -> None:
    api = (await start_hub(message_event="urn:oid:1.2.3|told")).api(base)
    await api.post("Subscription", by_message(base, inbox.url))
    assert read(await inbox.bare())[1]["eventCoding"] == {"system": "urn:oid:1.2.3", "code": "told"}


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B], indirect=True)
async def test_a_classic_one_gets_a_message_per_match_s015(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    for payload in ("application/fhir+json", ""):
        resource = classic(inbox.url, f"Patient?_id={mark}", payload)
        resource["channel"]["type"] = "message"
        assert (await api.post("Subscription", resource)).json()["status"] == "active"
    await put(api, mark)
    messages = [json.loads((await inbox.bare()).body) for _ in range(2)]
    empty, whole = sorted(messages, key=lambda each: len(each["entry"]))
    assert len(empty["entry"]) == 1
    assert whole["entry"][1]["resource"]["id"] == mark
    assert whole["entry"][1]["fullUrl"] == f"http://hub.test{api.base.path}/Patient/{mark}"
