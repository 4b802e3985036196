"""Mails compared with golden files, byte for byte (S-170…S-174; RFC 5322, 2045, 2047, 3834).

How the files came to be: each was written by hand, from those pages, docs/email.md and the inputs below, by somebody
who had not seen what the code writes: first what a nurse or a clerk has to read, then the form. Then they were laid
beside the code's mails, line by line. Where they differed the standard decided, then what reads better, and the code or
the file was changed by hand:

- the code learned to fold Content-Type (lines of at most 78), to say in the heading what was done to what, to write
  moments and open periods for people, and to name in a heartbeat, a last mail and a classic mail where to ask;
- the files took over what the pages leave open: boundaries, quoted-printable for every text (it keeps long addresses
  from being broken by others), ``fhirVersion`` on what is attached, columns, the paragraph on numbers, and
  ``resource.json`` for a classic attachment (a gateway logs names of files; an id is not its business).

Only the base64 of the attachments was made by a program (coreutils), not by this one. Change them by hand too.
"""

from __future__ import annotations

import email.policy
import json
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.channels.mail import Mail, write_mail
from hub.domain.change import Interaction
from hub.domain.delivery import Dispatch
from hub.domain.event import AdditionalContext, Notification, NotificationEvent, NotificationType
from hub.domain.mail import subject_line
from hub.domain.subscription import Content, Status
from hub.fhir.mail_layout import as_html, as_text
from hub.fhir.mail_words import MOST_EVENTS, MailWords, classic_words, notification_words
from tests.channels.mail_builders import email_to, mail_channel

GOLDEN = Path(__file__).parent / "golden" / "mail"
BASE = "https://hub.example.org/fhir/r4"
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
DELIVERY = "b0a7c1d2-0001-5c3d-8e9f-000000000001"
ENCOUNTER = (
    b'{"resourceType":"Encounter","id":"visit-7","status":"in-progress","class":{"code":"IMP","display":"inpatient"},'
    b'"subject":{"reference":"Patient/1","display":"Jos\xc3\xa9 M\xc3\xbcller"},"period":{"start":"2026-03-04"}}'
)
LAB = (
    b'{"resourceType":"Observation","id":"lab-9","status":"final","code":{"coding":[{"system":"http://loinc.org",'
    b'"code":"2823-3","display":"Potassium"}]},"subject":{"reference":"Patient/1"},'
    b'"effectiveDateTime":"2026-03-04T05:00:00Z","valueQuantity":{"value":6.30,"unit":"mmol/L"}}'
)
PATIENT = AdditionalContext("Patient", "1", b'{"resourceType":"Patient","id":"1"}')


def visit(number: int = 41, interaction: Interaction = Interaction.CREATE) -> NotificationEvent:
    resource = b"" if interaction is Interaction.DELETE else ENCOUNTER
    return NotificationEvent(number, MOMENT, "Encounter", "visit-7", interaction, resource, (PATIENT,))


def lab(number: int = 42) -> NotificationEvent:
    return NotificationEvent(number, MOMENT, "Observation", "lab-9", Interaction.UPDATE, LAB)


def notification(
    *events: NotificationEvent,
    content: Content = Content.EMPTY,
    type: NotificationType = NotificationType.EVENT_NOTIFICATION,
    status: Status = Status.ACTIVE,
    count: int = 40,
) -> Notification:
    return Notification(
        type=type, subscription_id="ward-7", topic="http://hub.example.org/topics/encounter-start", status=status,
        content=content, events_since_start=events[-1].number if events else count, bundle_id=DELIVERY,
        status_id=DELIVERY, timestamp=MOMENT, events=events,
    )  # fmt: skip


BEAT = NotificationType.HEARTBEAT
ATTACHED = "text/plain;attach=application/fhir+json"
BUNDLE = b'{"resourceType":"Bundle","id":"b0a7c1d2-0001-5c3d-8e9f-000000000001","type":"history"}'
"""Stands for the notification Bundle: its own golden files lie next door."""
CASES: dict[str, tuple[str, Notification | None, bytes, str]] = {
    "empty": ("text/plain", notification(visit()), BUNDLE, ""),
    "empty-attached": (ATTACHED, notification(visit()), BUNDLE, ""),
    "id-only": ("text/plain", notification(visit(), content=Content.ID_ONLY), BUNDLE, ""),
    "id-only-html-attached": (
        "text/html;attach=application/fhir+json",
        notification(visit(), lab(), content=Content.ID_ONLY),
        BUNDLE,
        "",
    ),
    "full-resource": ("text/html", notification(visit(), lab(), content=Content.FULL_RESOURCE), BUNDLE, ""),
    "full-resource-delete": (
        "text/plain",
        notification(visit(interaction=Interaction.DELETE), content=Content.FULL_RESOURCE),
        BUNDLE,
        "",
    ),
    "heartbeat": ("text/plain", notification(type=BEAT), BUNDLE, ""),
    "heartbeat-error": ("text/plain", notification(type=BEAT, status=Status.ERROR), BUNDLE, ""),
    "farewell": ("text/plain", notification(type=BEAT, status=Status.OFF), BUNDLE, ""),
    "classic": ("text/plain", None, b"", "Neue Aufnahme auf Station 7 – bitte prüfen"),
    "classic-attached": (ATTACHED, None, LAB, ""),
}


def written(name: str) -> bytes:
    content_type, told, body, subject = CASES[name]
    email_ = email_to(1)
    reference = "Observation/lab-9" if told is None and body else ""
    sent = Dispatch(body, reference, "default|r4|ward-7", told)
    headers = (("Subject", subject),) if subject else ()
    channel = mail_channel("mailto:ward-7@hospital.example.org", content_type=content_type, headers=headers)
    mail = email_._mail("hub@hub.example.org", "ward-7@hospital.example.org", channel, sent)
    return write_mail(mail, DELIVERY, MOMENT)


@pytest.mark.parametrize("name", CASES)
def test_a_mail_equals_its_golden_file(name: str) -> None:
    """Golden files have the line endings of the repository; a mail has CR LF."""
    golden = (GOLDEN / f"{name}.eml").read_bytes()
    assert b"\r" not in golden
    assert written(name) == golden.replace(b"\n", b"\r\n")


def test_every_golden_mail_is_tested() -> None:
    assert {path.stem for path in GOLDEN.glob("*.eml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_mail_can_be_read_by_others_and_has_no_defect(name: str) -> None:
    message = BytesParser(policy=email.policy.default.clone(raise_on_defect=True)).parsebytes(written(name))
    assert message["Message-ID"] == f"<{DELIVERY}@hub.example.org>"
    assert message["Subject"] == CASES[name][3] or message["Subject"].startswith("Subscription ward-7")
    assert [part.get_content() for part in message.walk() if not part.is_multipart()]


def test_json_numbers_keep_their_digits_in_words() -> None:
    """6.30 stays 6.30."""
    words = notification_words(notification(lab(), content=Content.FULL_RESOURCE), BASE, BASE)
    assert ("Value", "6.30 mmol/L") in words.sections[0].rows


def test_a_person_reads_fifty_events_and_is_told_of_the_rest() -> None:
    words = notification_words(notification(*(lab(number) for number in range(1, 73))), BASE, BASE)
    assert len(words.sections) == MOST_EVENTS
    assert "Only the first 50 of 72 events are told here." in words.closing
    assert any("eventsSinceNumber=1&eventsUntilNumber=72" in each for each in words.closing)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found += [tag, *(name for name, _ in attrs)]


@pytest.mark.parametrize("place", ["status", "code", "subject", "id"])
def test_nothing_in_a_resource_becomes_markup(place: str) -> None:
    evil = "</td></tr><script>alert(1)</script><img src=x onerror=y> \"'&amp;"
    value: Any = {"code": {"text": evil}, "subject": {"display": evil}}.get(place, evil)
    raw = json.dumps({"resourceType": "Basic", "id": "1", place: value}).encode()
    event = NotificationEvent(1, MOMENT, "Basic", evil, Interaction.CREATE, raw)
    page = as_html(notification_words(notification(event, content=Content.FULL_RESOURCE), BASE, BASE))
    tags = Tags()
    tags.feed(page)
    assert set(tags.found) <= {"html", "lang", "head", "meta", "charset", "title", "body", "p", "h2", "table", "tr",
                               "th", "align", "td"}  # fmt: skip


def test_html_fetches_nothing_and_links_nowhere() -> None:
    page = as_html(notification_words(notification(visit(), content=Content.FULL_RESOURCE), BASE, BASE))
    for word in ("href", "src=", "<img", "<link", "<style", "<script", "url("):
        assert word not in page


@pytest.mark.parametrize("subject", ["a\r\nBcc: x@x.org", "a\nb", "a\rb", "Zürich\r\nBcc: x@x.org"])
def test_a_header_with_a_line_break_is_never_written(subject: str) -> None:
    with pytest.raises(ValueError, match="Subject cannot be written"):
        write_mail(Mail("a@x.org", "b@x.org", subject, "text"), DELIVERY, MOMENT)
    for parts in ({"sender": subject}, {"recipient": subject}):
        with pytest.raises(ValueError, match="cannot be written"):
            write_mail(Mail(**{"sender": "a@x.org", "recipient": "b@x.org", "subject": "s", "text": "", **parts}),
                       DELIVERY, MOMENT)  # fmt: skip


@pytest.mark.parametrize("subject", ["=?utf-8?q?Bcc=3A_x?=", "ü" * 200, "x" * 200, "Ärzte: " + "=?" * 90])
def test_a_subject_reads_as_it_was_written(subject: str) -> None:
    raw = write_mail(Mail("a@x.org", "b@x.org", subject, "text"), DELIVERY, MOMENT)
    assert BytesParser(policy=email.policy.default).parsebytes(raw)["Subject"] == subject
    assert max(map(len, raw.split(b"\r\n"))) <= 998 and raw.isascii()


def test_a_classic_match_says_which_resource_only_when_it_travels_along_s015() -> None:
    silent = as_text(classic_words("ward-7", "", "Observation/lab-9", b"", BASE, BASE))
    assert "Observation" not in silent and "lab-9" not in silent
    assert f"{BASE}/Observation/lab-9" in as_text(classic_words("ward-7", "", "Observation/lab-9", LAB, BASE, BASE))


def test_lines_are_short_enough_to_be_read() -> None:
    words = MailWords("s", ("word " * 60,), (), ("x" * 300,))
    lines = as_text(words).splitlines()
    assert all(len(line) <= 72 for line in lines if " " in line) and "x" * 300 in lines


@given(st.text(max_size=60))
def test_no_subject_makes_another_header(text: str) -> None:
    """SECURITY D2: whatever a client may ask for as a subject, the head has the hub's own headers and no other."""
    try:
        subject = subject_line(text)
    except ValueError:
        return
    raw = write_mail(Mail("a@x.org", "b@x.org", subject, "text"), DELIVERY, MOMENT)
    message = BytesParser(policy=email.policy.compat32).parsebytes(raw)
    assert message.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert str(make_header(decode_header(message["Subject"]))) == subject
