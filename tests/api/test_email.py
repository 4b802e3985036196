"""The email channel through the whole hub, on each base (S-170…S-175, S-015; HOUSE ruling 35)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import BACKPORT, classic, fresh_id, patient, subscription, until_status
from tests.api.harness import Api, RunningHub, outcome_of, running_hub
from tests.api.receiver import Inbox, Receiver, carrier_of, events_of
from tests.mail_sink import Received, Sink, mail_sink

R5 = FhirVersion.R5
CLASSIC_BASES = [FhirVersion.R4, FhirVersion.R4B]
RECIPIENT = "mailto:ph@example.org"
ATTACHED = "text/plain;attach=application/fhir+json"
PLACES = {
    "channelType": ("Subscription.channelType", "Subscription.channel.type"),
    "endpoint": ("Subscription.endpoint", "Subscription.channel.endpoint"),
    "contentType": ("Subscription.contentType", "Subscription.channel.payload"),
    "content": (
        "Subscription.content",
        f"Subscription.channel.payload.extension('{BACKPORT}backport-payload-content').value",
    ),
    "header": ("Subscription.parameter[0]", "Subscription.channel.header[0]"),
}


@pytest.fixture(scope="module")
async def sink() -> AsyncIterator[Sink]:
    async with mail_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
async def running(
    api_redis_url: str, tmp_path_factory: pytest.TempPathFactory, sink: Sink
) -> AsyncIterator[RunningHub]:
    """A hub with a mail server, beside the one that most tests share and that has none."""
    settings = {
        "smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_tls": "off", "email_from": "hub@hub.test",
        "email_heartbeat_min_seconds": 1,
    }  # fmt: skip
    async with running_hub(f"{api_redis_url}?db=3", tmp_path_factory.mktemp("hub"), **settings) as hub:
        yield hub


@pytest.fixture(autouse=True)
async def quiet(running: RunningHub, sink: Sink) -> AsyncIterator[None]:
    """Each test reads its own mails only: the Subscriptions of a test end with it."""
    sink._read = len(sink.mails)
    yield
    sink.replies.clear()
    for base in FhirVersion:
        api = running.api(base)
        found = (await api.get("Subscription?_count=100")).json()
        for entry in found.get("entry", ()):
            await api.delete(f"Subscription/{entry['resource']['id']}")


def by_mail(
    base: FhirVersion, endpoint: str = RECIPIENT, content_type: str = "text/plain", **options: Any
) -> dict[str, Any]:
    resource = subscription(base, endpoint, **options)
    if base is R5:
        resource["channelType"]["code"], resource["contentType"] = "email", content_type
    else:
        resource["channel"]["type"], resource["channel"]["payload"] = "email", content_type
    return resource


async def subscribed(api: Api, mark: str, **options: Any) -> dict[str, Any]:
    created = await api.post("Subscription", by_mail(api.base, filters=(f"_id={mark}",), **options))
    assert created.status_code == 201, created.text
    return dict(created.json())


async def put(api: Api, mark: str, **elements: Any) -> None:
    assert (await api.put(f"Patient/{mark}", patient(mark, **elements))).is_success


def place(api: Api, element: str) -> str:
    return PLACES[element][api.base is not R5]


async def test_it_is_active_at_once_and_no_confirmation_mail_is_sent_s076_ruling_35(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    created = await subscribed(api, mark)
    assert created["status"] == "active"
    await put(api, mark)
    mail = await sink.next()
    assert mail.message["Subject"] == f"Subscription {created['id']} event 1"
    assert mail.recipients == ["ph@example.org"]


async def test_empty_says_nothing_of_the_patient_in_any_part_s171(api: Api, sink: Sink) -> None:
    mark = fresh_id("canary")
    await subscribed(api, mark, content="empty", content_type="text/html;attach=application/fhir+json")
    await put(api, mark, name=[{"family": "Canary"}])
    mail = await sink.next()
    told = [mail.part(each) for each in ("text/plain", "text/html", "application/fhir+json")]
    for text in [*told, mail.raw.decode(), *map(str, mail.message.values())]:
        assert mark not in text and "Canary" not in text and "Patient" not in text and "patient-change" not in text
    assert "Event 1" in mail.text and "Happened" in mail.text


async def test_the_attachment_is_the_notification_bundle_of_the_base_s142(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    created = await subscribed(api, mark, content_type=ATTACHED)
    await put(api, mark)
    mail = await sink.next()
    bundle = json.loads(mail.part("application/fhir+json"))
    assert bundle["type"] == ("subscription-notification" if api.base is R5 else "history")
    assert carrier_of(bundle)["type"] == "event-notification"
    (event,) = events_of(bundle)
    assert (event.number, event.focus) == ("1", f"http://hub.test{api.base.path}/Patient/{mark}")
    assert event.focus in mail.text
    assert created["status"] == "active"


async def test_a_retry_is_the_same_mail_with_the_same_message_id_s174(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    asked = sink.asked.count("DATA")
    sink.replies["DATA"] = ["451 4.3.0 later", "452 4.3.1 full"]
    await subscribed(api, mark, content_type=ATTACHED)
    await put(api, mark)
    first = await sink.next()
    assert sink.asked.count("DATA") - asked == 3
    assert len(sink.mails) == sink._read, "one mail only was taken"
    await put(api, mark, active=True)
    assert (await sink.next()).message["Message-ID"] != first.message["Message-ID"]


async def test_message_ids_of_attempts_are_equal(api: Api, sink: Sink) -> None:
    """The server takes the mail, but its answer is lost: it comes again, and can be recognised."""
    mark = fresh_id()
    taken: list[Received] = []
    original = sink.handle_DATA

    async def lose_the_answer(server: Any, session: Any, envelope: Any) -> str:
        reply = await original(server, session, envelope)
        if len(taken) < 2:
            taken.append(sink.mails[-1])
            return "451 4.3.0 later"
        return reply

    sink.handle_DATA = lose_the_answer  # type: ignore[method-assign]
    try:
        await subscribed(api, mark)
        await put(api, mark)
        mails = [await sink.next() for _ in range(3)]
    finally:
        del sink.handle_DATA  # type: ignore[method-assign]
    assert len({mail.message["Message-ID"] for mail in mails}) == 1


async def test_an_unknown_mailbox_is_an_error_and_heals_with_nothing_lost(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    sink.replies["RCPT"] = ["550 5.1.1 nobody"] * 11
    created = await subscribed(api, mark)
    await put(api, mark)
    await put(api, mark, active=True)
    found = await until_status(api, created["id"], "error")
    answer = (await api.get(f"Subscription/{created['id']}/$status")).text
    assert "mail server: SMTP 550 5.1.1 (recipient)" in answer and "nobody" not in answer
    assert found["status"] == "error"
    subjects = [(await sink.next()).message["Subject"] for _ in range(2)]
    assert subjects == [f"Subscription {created['id']} event {number}" for number in (1, 2)]
    await until_status(api, created["id"], "active")


async def test_a_mailbox_that_moved_away_switches_it_off(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    sink.replies["RCPT"] = ["551 5.1.6 moved"]
    created = await subscribed(api, mark)
    await put(api, mark)
    await until_status(api, created["id"], "off")


async def test_a_mail_that_is_refused_is_a_dead_letter_and_the_next_goes_on_ruling_19(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    sink.replies["DATA"] = ["554 5.6.0 not this one"]
    created = await subscribed(api, mark)
    await put(api, mark)
    await put(api, mark, active=True)
    assert (await sink.next()).message["Subject"].endswith("event 2")
    await until_status(api, created["id"], "error")
    resource = (await api.get(f"Subscription/{created['id']}")).json() | {"status": "requested"}
    again = await api.put(f"Subscription/{created['id']}", resource)
    assert again.json()["status"] == "active", "no handshake stands between"


async def test_switched_off_by_its_client_it_says_so_once_ruling_20(api: Api, sink: Sink) -> None:
    created = await subscribed(api, fresh_id())
    assert (await api.put(f"Subscription/{created['id']}", created | {"status": "off"})).is_success
    assert (await sink.next()).message["Subject"] == f"Subscription {created['id']} is off"


async def test_heartbeats_come_only_when_they_were_asked_for_s145(api: Api, sink: Sink) -> None:
    created = await subscribed(api, fresh_id(), heartbeat=1)
    mail = await sink.next()
    assert mail.message["Subject"] == f"Subscription {created['id']} heartbeat"
    assert "There has been no event yet." in mail.text


async def test_a_heartbeat_every_minute_is_too_often_for_a_person(
    start_hub: Any, sink: Sink, base: FhirVersion
) -> None:
    """S-101: clamped and returned."""
    hub = await start_hub(smtp_host="127.0.0.1", smtp_port=sink.port, smtp_tls="off", email_from="hub@hub.test")
    created = (await hub.api(base).post("Subscription", by_mail(base, heartbeat=60))).json()
    text = json.dumps(created)
    assert '"heartbeatPeriod": 3600' in text or '"valueUnsignedInt": 3600' in text


async def test_a_new_address_applies_at_once_and_what_waits_goes_there_ruling_17(api: Api, sink: Sink) -> None:
    mark = fresh_id()
    created = await subscribed(api, mark)
    moved = json.loads(json.dumps(created).replace("ph@example.org", "new@example.org"))
    answer = await api.put(f"Subscription/{created['id']}", moved)
    assert answer.json()["status"] == "active"
    await put(api, mark)
    assert (await sink.next()).recipients == ["new@example.org"]


async def test_from_mail_to_rest_hook_a_handshake_comes_first_and_back_none(
    api: Api, sink: Sink, receiver: Receiver
) -> None:
    mark, inbox = fresh_id(), receiver.inbox()
    created = await subscribed(api, mark)
    hooked = subscription(api.base, inbox.url, filters=(f"_id={mark}",)) | {"id": created["id"]}
    assert (await api.put(f"Subscription/{created['id']}", hooked)).json()["status"] == "requested"
    await inbox.next("handshake")
    await until_status(api, created["id"], "active")
    await put(api, mark)
    assert (await inbox.event()).numbers == [1]
    back = by_mail(api.base, filters=(f"_id={mark}",)) | {"id": created["id"]}
    assert (await api.put(f"Subscription/{created['id']}", back)).json()["status"] == "active"
    await put(api, mark, active=True)
    assert (await sink.next()).message["Subject"].endswith("event 2")


async def test_without_a_mail_server_it_is_refused_and_says_what_the_operator_must_set(
    start_hub: Any, base: FhirVersion
) -> None:
    api = (await start_hub()).api(base)
    (issue,) = outcome_of(await api.post("Subscription", by_mail(base)), 422)
    assert issue["expression"] == [place(api, "channelType")]
    assert "HUB_SMTP_HOST" in issue["diagnostics"] and "HUB_EMAIL_FROM" in issue["diagnostics"]


async def test_what_was_accepted_stays_when_the_mail_server_is_taken_away(
    api_redis_url: str, tmp_path: Path, sink: Sink, base: FhirVersion
) -> None:
    """Nothing is lost or forgotten: it is an error that names the setting, until there is a server again."""
    mail = {"smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_tls": "off", "email_from": "hub@hub.test"}
    mark, url = fresh_id(), f"{api_redis_url}?db=2"
    async with running_hub(url, tmp_path, **mail) as hub:
        created = await subscribed(hub.api(base), mark)
    async with running_hub(url, tmp_path, fresh=False) as hub:
        api = hub.api(base)
        await put(api, mark)
        await until_status(api, created["id"], "error")
        assert "HUB_SMTP_HOST" in (await api.get(f"Subscription/{created['id']}/$status")).text
    async with running_hub(url, tmp_path, fresh=False, **mail):
        assert (await sink.next()).message["Subject"].endswith("event 1")


async def test_whole_resources_need_the_operators_word_ruling_35(api: Api, start_hub: Any, sink: Sink) -> None:
    refused = by_mail(api.base, content="full-resource")
    (issue,) = outcome_of(await api.post("Subscription", refused), 422)
    assert issue["expression"] == [place(api, "content")] and issue["code"] == "security"
    assert "HUB_EMAIL_FULL_RESOURCE" in issue["diagnostics"]
    hub = await start_hub(
        smtp_host="127.0.0.1", smtp_port=sink.port, smtp_tls="off", email_from="hub@hub.test", email_full_resource=True
    )
    allowed, mark = hub.api(api.base), fresh_id()
    await subscribed(allowed, mark, content="full-resource", content_type=ATTACHED)
    await put(allowed, mark, name=[{"family": "Lovelace"}])
    mail = await sink.next()
    assert "Lovelace" in mail.text and '"family":"Lovelace"' in mail.part("application/fhir+json")


@pytest.mark.parametrize(
    ("element", "change"),
    [
        ("endpoint", {"endpoint": "mailto:a@x.org,b@x.org"}),
        ("endpoint", {"endpoint": "mailto:a@x.org?bcc=b@x.org"}),
        ("endpoint", {"endpoint": "mailto:a@x.org%0D%0ABcc:b@x.org"}),
        ("endpoint", {"endpoint": "https://x.org/hook"}),
        ("contentType", {"content_type": "application/fhir+xml"}),
        ("contentType", {"content_type": "text/plain;attach=application/fhir+xml"}),
        ("contentType", {"content_type": "text/plain;attach=application/fhir+json;fhirVersion=3.0"}),
        ("header", {"headers": ("From: x@x.org",)}),
        ("header", {"headers": ("Subject: hello",)}),
    ],
)
async def test_what_cannot_be_honoured_is_refused_s172_s175(
    api: Api, sink: Sink, element: str, change: dict[str, Any]
) -> None:
    seen = sink.connections
    (issue,) = outcome_of(await api.post("Subscription", by_mail(api.base, **change)), 422)
    assert issue["expression"] == [place(api, element)]
    assert sink.connections == seen


@pytest.mark.parametrize("base", CLASSIC_BASES, indirect=True)
async def test_no_text_of_a_client_reaches_the_head_of_a_mail(api: Api, sink: Sink) -> None:
    evil = "x\r\nBcc: canary@x.org"
    mark = fresh_id()
    resource = by_mail(api.base, filters=(f"_id={mark}",)) | {"reason": evil, "contact": [{"value": evil}]}
    assert (await api.post("Subscription", resource)).status_code == 201
    await put(api, mark)
    assert b"canary" not in (await sink.next()).raw


@pytest.mark.parametrize("base", CLASSIC_BASES, indirect=True)
@pytest.mark.parametrize("header", ["A patient has changed", "Subject: A patient has changed"])
async def test_a_classic_one_gets_one_mail_per_match_with_its_subject_s015(api: Api, sink: Sink, header: str) -> None:
    mark = fresh_id("canary")
    resource = classic(RECIPIENT, f"Patient?_id={mark}")
    resource["channel"] |= {"type": "email", "header": [header]}
    created = (await api.post("Subscription", resource)).json()
    assert created["status"] == "active"
    for active in (True, False):
        await put(api, mark, active=active)
    for _ in range(2):
        mail = await sink.next()
        assert mail.message["Subject"] == "A patient has changed"
        assert mail.parts == ["text/plain"] and mark not in mail.raw.decode()
    shown = (await api.get(f"Subscription/{created['id']}")).json()
    assert shown["channel"]["header"] == [header], "a subject line is no secret"
    assert (await api.put(f"Subscription/{created['id']}", shown)).is_success


@pytest.mark.parametrize("base", CLASSIC_BASES, indirect=True)
async def test_a_classic_one_carries_the_resource_only_with_the_operators_word(api: Api) -> None:
    resource = classic(RECIPIENT, "Patient?_id=x", ATTACHED)
    resource["channel"]["type"] = "email"
    (issue,) = outcome_of(await api.post("Subscription", resource), 422)
    assert issue["expression"] == ["Subscription.channel.payload"]
    assert "HUB_EMAIL_FULL_RESOURCE" in issue["diagnostics"]


@pytest.mark.parametrize("base", CLASSIC_BASES, indirect=True)
@pytest.mark.parametrize(
    ("headers", "element"),
    [
        (["a\r\nBcc: x@x.org"], "Subscription.channel.header[0]"),
        (["a\tb"], "Subscription.channel.header[0]"),
        (["x" * 201], "Subscription.channel.header[0]"),
        (["Authorization: ***"], "Subscription.channel.header[0]"),
        (["fine", "X: second"], "Subscription.channel.header[1]"),
    ],
)
async def test_of_a_classic_mail_only_the_subject_can_be_asked_for(api: Api, headers: list[str], element: str) -> None:
    resource = classic(RECIPIENT, "Patient?_id=x")
    resource["channel"] |= {"type": "email", "header": headers}
    assert element in [each["expression"][0] for each in outcome_of(await api.post("Subscription", resource), 400, 422)]


async def test_a_mail_server_that_hangs_holds_up_mail_only(
    start_hub: Any, base: FhirVersion, inbox: Inbox, serve_silence: int
) -> None:
    """More mails hang than a host has turns; a rest-hook goes on as if nothing were."""
    hub = await start_hub(
        smtp_host="127.0.0.1", smtp_port=serve_silence, smtp_tls="off", email_from="hub@hub.test",
        max_attempts_in_flight=24,
    )  # fmt: skip
    api, mark = hub.api(base), fresh_id()
    for _ in range(20):
        await subscribed(api, mark, timeout=120)
    hooked = subscription(base, inbox.url, filters=(f"_id={mark}",))
    assert (await api.post("Subscription", hooked)).status_code == 201
    await inbox.next("handshake")
    await put(api, mark)
    assert (await inbox.event()).numbers == [1]
    assert hub.hub.worker.in_flight >= 16


@pytest.fixture
async def serve_silence() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    writers: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def test_logs_hold_neither_address_nor_patient(api: Api, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="hub")
    mark = fresh_id("canary")
    sink.replies["RCPT"] = [f"450 4.2.0 {mark} try later"]
    await subscribed(api, mark, endpoint=f"mailto:{mark}@x.org")
    await put(api, mark)
    await sink.next()
    assert mark not in " ".join(
        f"{each.getMessage()} {vars(each)}" for each in caplog.records if each.name.startswith("hub")
    )
