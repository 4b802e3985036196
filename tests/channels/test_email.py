"""The email channel against a real mail server (S-170…S-175; HOUSE ruling 35)."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trustme

from hub.channels.tls import tls_context
from hub.domain.delivery import OutcomeKind
from hub.domain.subscription import Content
from tests.channels.mail_builders import (
    CANARY,
    DELIVERY,
    NOW,
    OBSERVATION,
    RECIPIENT,
    SENDER,
    dispatch,
    email_to,
    event,
    mail_channel,
    notification,
    send,
)
from tests.mail_sink import PASSWORD, USER, mail_sink

ATTACHED = "text/plain;attach=application/fhir+json"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return tls_context(ca=path, protocols=())


def serving(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_notification_is_one_mail_to_one_address_s173() -> None:
    async with mail_sink() as sink:
        outcome = await send(email_to(sink.port))
        mail = await sink.next()
    assert (outcome.kind, outcome.status, outcome.error) == (OutcomeKind.DELIVERED, 250, "")
    assert (mail.sender, mail.recipients) == (SENDER, [RECIPIENT])
    assert (mail.message["From"], mail.message["To"]) == (SENDER, RECIPIENT)
    assert mail.message["Subject"] == "Subscription ward-7 event 1"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Date"].datetime == NOW
    assert mail.parts == ["text/plain"]
    assert mail.client == "hub.example.org", "the name of the machine is not told"


async def test_a_repeat_has_the_same_message_id_and_another_notification_has_not_s174() -> None:
    async with mail_sink() as sink:
        sink.replies["DATA"] = ["451 later"]
        email = email_to(sink.port)
        assert (await send(email)).kind is OutcomeKind.FAILED
        for delivery in (DELIVERY, DELIVERY, "another"):
            assert (await send(email, delivery_id=delivery)).kind is OutcomeKind.DELIVERED
    first, second, other = sink.mails
    assert first.raw == second.raw
    assert first.message["Message-ID"] == f"<{DELIVERY}@hub.example.org>"
    assert other.message["Message-ID"] == "<another@hub.example.org>"


@pytest.mark.parametrize(
    ("content_type", "parts"),
    [
        ("text/plain", ["text/plain"]),
        ("text/html", ["multipart/alternative", "text/plain", "text/html"]),
        (ATTACHED, ["multipart/mixed", "text/plain", "application/fhir+json"]),
        ("application/fhir+json", ["multipart/mixed", "text/plain", "application/fhir+json"]),
        (
            "text/html;attach=application/fhir+json",
            ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/fhir+json"],
        ),
    ],
)
async def test_the_form_is_the_one_that_was_asked_for_s170_s174(content_type: str, parts: list[str]) -> None:
    sent = dispatch()
    async with mail_sink() as sink:
        await send(email_to(sink.port), mail_channel(content_type=content_type), sent)
        mail = await sink.next()
    assert mail.parts == parts
    if "application/fhir+json" in parts:
        assert mail.part("application/fhir+json").encode() == sent.body, "the Bundle travels byte for byte (S-142)"
        (attachment,) = mail.message.iter_attachments()
        assert attachment.get_filename() == "notification-1-1.json"
        assert attachment.get_param("fhirVersion") == "4.0"
    if "text/html" in parts:
        assert "<h2>Event 1</h2>" in mail.part("text/html")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/html", ATTACHED, "text/html;attach=application/fhir+json"]
)
@pytest.mark.parametrize("content", [Content.EMPTY, Content.ID_ONLY, Content.FULL_RESOURCE])
async def test_no_part_of_a_mail_says_more_than_its_content_level_s171(content: Content, content_type: str) -> None:
    """Canaries: the id of patient and resource (also in the topic), a name, a value, the type."""
    carried = event(resource=OBSERVATION if content is Content.FULL_RESOURCE else b"")
    sent = dispatch(notification(carried, content=content))
    async with mail_sink() as sink:
        email = email_to(sink.port, full_resource=True)
        await send(email, mail_channel(content_type=content_type, content=content), sent)
        mail = await sink.next()
    decoded = [str(value) for value in mail.message.values()]
    decoded += [mail.part(kind) for kind in mail.parts if not kind.startswith("multipart")]
    whole = "\n".join(decoded)
    assert (CANARY in whole) is (content is not Content.EMPTY)
    assert ("Observation" in whole) is (content is not Content.EMPTY)
    for word in ("potassium", "Canary Patient", "6.30"):
        assert (word in whole) is (content is Content.FULL_RESOURCE), word
    assert CANARY not in mail.message["Subject"] and "Observation" not in mail.message["Subject"]


async def test_empty_content_hides_what_an_event_holds_even_when_it_is_there_s132() -> None:
    async with mail_sink() as sink:
        await send(email_to(sink.port), mail_channel(content_type="text/html"), dispatch(notification(event())))
        raw = (await sink.next()).raw
    assert CANARY.encode() not in raw and b"potassium" not in raw


async def test_a_batch_is_one_mail_with_each_event_numbered_s173() -> None:
    told = notification(*(event(number) for number in (4, 5, 6)), content=Content.ID_ONLY)
    async with mail_sink() as sink:
        await send(email_to(sink.port), mail_channel(content_type=ATTACHED), dispatch(told))
        mail = await sink.next()
    assert mail.message["Subject"] == "Subscription ward-7 events 4-6"
    assert [line for line in mail.text.splitlines() if line.startswith("Event ")] == ["Event 4", "Event 5", "Event 6"]
    assert "eventsSinceNumber=4&eventsUntilNumber=6" in mail.text
    assert len(json.loads(mail.part("application/fhir+json"))["entry"]) == 1


async def test_starttls_is_begun_before_anything_is_said(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with mail_sink(starttls=serving(authority)) as sink:
        assert (await send(email_to(sink.port, encryption="starttls", tls=trusting))).kind is OutcomeKind.DELIVERED
        assert (await sink.next()).encrypted


async def test_tls_from_the_first_byte(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with mail_sink(tls=serving(authority)) as sink:
        assert (await send(email_to(sink.port, encryption="tls", tls=trusting))).kind is OutcomeKind.DELIVERED
        assert (await sink.next()).encrypted


async def test_a_server_without_starttls_gets_no_mail(trusting: ssl.SSLContext) -> None:
    async with mail_sink() as sink:
        email = email_to(sink.port, encryption="starttls", tls=trusting, user=USER, password=PASSWORD)
        outcome = await send(email)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.FAILED, "mail server: tls-failed (TLS)")
    assert sink.asked == []


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
@pytest.mark.parametrize("stranger", ["other authority", "other name"])
async def test_an_unverified_server_gets_no_mail_and_no_password(
    authority: trustme.CA, trusting: ssl.SSLContext, encryption: str, stranger: str
) -> None:
    served = serving(trustme.CA()) if stranger == "other authority" else serving(authority, "mail.example")
    options = {"starttls": served} if encryption == "starttls" else {"tls": served}
    async with mail_sink(login=True, **options) as sink:
        email = email_to(sink.port, encryption=encryption, tls=trusting, user=USER, password=PASSWORD)
        outcome = await send(email)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.detail.startswith("mail server: tls-failed")
    assert sink.asked == []


async def test_it_logs_in(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with mail_sink(starttls=serving(authority), login=True) as sink:
        email = email_to(sink.port, encryption="starttls", tls=trusting, user=USER, password=PASSWORD)
        assert (await send(email)).kind is OutcomeKind.DELIVERED
        assert (await sink.next()).authenticated


async def test_a_wrong_password_is_the_operators_to_put_right(
    authority: trustme.CA, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_sink(starttls=serving(authority), login=True) as sink:
        email = email_to(sink.port, encryption="starttls", tls=trusting, user=USER, password="wr0ng")
        outcome = await send(email)
    assert (outcome.kind, outcome.status) == (OutcomeKind.FAILED, 535)
    assert outcome.detail.startswith("mail server: SMTP 535") and "wr0ng" not in repr(outcome) + caplog.text


async def test_whole_resources_need_the_operators_word_at_sending_too_ruling_35() -> None:
    sent = dispatch(notification(event(), content=Content.FULL_RESOURCE))
    async with mail_sink() as sink:
        outcome = await send(email_to(sink.port), mail_channel(content=Content.FULL_RESOURCE), sent)
    assert outcome.kind is OutcomeKind.FAILED and "HUB_EMAIL_FULL_RESOURCE" in outcome.detail
    assert sink.connections == 0


@pytest.mark.parametrize(
    "endpoint", ["mailto:a@x.org?bcc=b@x.org", "mailto:a@x.org%0D%0ABcc:b@x.org", "mailto:a@x.org,b@x.org", "http://x"]
)
async def test_an_endpoint_that_should_not_have_been_stored_gets_no_mail(endpoint: str) -> None:
    async with mail_sink() as sink:
        outcome = await send(email_to(sink.port), mail_channel(endpoint))
    assert (outcome.kind, outcome.detail) == (OutcomeKind.FAILED, "mail: this Subscription cannot be sent by mail")
    assert sink.connections == 0


def test_certificates_are_those_of_the_mail_server_not_of_the_web(tmp_path: Path) -> None:
    """A context for mail names no web protocol: some servers hang up when they see one."""
    left, right = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context(protocols=()).wrap_bio(left, right, server_hostname="mail.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    assert b"http/1.1" not in right.read()
