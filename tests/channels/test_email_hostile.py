"""Mail servers that refuse, lie, dawdle or hang up: each ends in its Outcome, in time, with nothing left open."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.channels.email import Email
from hub.channels.mail_outcomes import judge_mail
from hub.channels.response import Failure
from hub.channels.smtp import MailAnswer, Step
from hub.domain.delivery import Outcome, OutcomeKind
from hub.domain.subscription import Content
from tests.channels.mail_builders import (
    CANARY,
    DELIVERY,
    dispatch,
    email_to,
    event,
    mail_channel,
    notification,
    send,
)
from tests.channels.receivers import Receiver
from tests.mail_sink import mail_sink

FAILED, REFUSED, GONE = OutcomeKind.FAILED, OutcomeKind.REFUSED, OutcomeKind.GONE
Serve = Callable[..., Awaitable[Receiver]]


@pytest.mark.parametrize(
    ("step", "reply", "kind"),
    [
        ("MAIL", "421 4.3.2 shutting down", FAILED),
        ("MAIL", "451 4.7.1 later", FAILED),
        ("MAIL", "550 5.7.1 not you", FAILED),
        ("MAIL", "552 5.3.4 too large", REFUSED),
        ("RCPT", "450 4.2.0 greylisted", FAILED),
        ("RCPT", "452 4.5.3 too many", FAILED),
        ("RCPT", "550 5.1.1 nobody here", FAILED),
        ("RCPT", "553 5.1.3 no such address", FAILED),
        ("RCPT", "551 5.1.6 moved", GONE),
        ("RCPT", "550 5.1.6 moved", GONE),
        ("RCPT", "556 5.1.10 takes no mail", GONE),
        ("DATA", "451 4.3.0 later", FAILED),
        ("DATA", "452 4.3.1 disk full", FAILED),
        ("DATA", "550 5.7.1 looks like spam", REFUSED),
        ("DATA", "552 5.3.4 too large", REFUSED),
        ("DATA", "554 5.6.0 not this one", REFUSED),
        ("DATA", "503 5.5.1 bad sequence", FAILED),
    ],
)
async def test_a_refusal_becomes_the_outcome_of_the_table(step: str, reply: str, kind: OutcomeKind) -> None:
    async with mail_sink() as sink:
        sink.replies[step] = [reply]
        outcome = await send(email_to(sink.port))
    step_name = {"MAIL": "sender", "RCPT": "recipient", "DATA": "content"}[step]
    said = " ".join(reply.split()[:2])
    assert outcome == Outcome(
        kind,
        int(reply[:3]),
        "error-response",
        f"mail server: SMTP {said} ({step_name})",
        duration_seconds=outcome.duration_seconds,
    )
    assert not sink.mails


def test_only_250_after_the_mail_is_a_delivery() -> None:
    answers = [MailAnswer(step, code) for step in Step for code in range(200, 600)]
    delivered = [each for each in answers if judge_mail(each).kind is OutcomeKind.DELIVERED]
    assert delivered == [MailAnswer(Step.CONTENT, 250)]


@pytest.mark.parametrize("step", Step)
def test_no_answer_is_never_more_than_a_failure(step: Step) -> None:
    for failure in Failure:
        outcome = judge_mail(MailAnswer(step, failure=failure))
        assert (outcome.kind, outcome.status) == (FAILED, 0)
        assert outcome.error == ("dns-resolution-error" if failure is Failure.NAME_NOT_RESOLVED else "no-response")


def talk(*replies: bytes, then: str = "hang up") -> Any:
    """A server that greets and answers line for line; then hangs up, falls silent, or drips."""

    async def script(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting, *answers = replies or (b"",)
        writer.write(greeting)
        for answer in answers:
            if not await reader.readline():
                return
            writer.write(answer)
        if then == "hang up":
            await writer.drain()
            writer.close()
        while then == "drip":
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.01)
        while then == "flood":
            writer.write(b"250-" + b"x" * 4000)
            await writer.drain()
        await asyncio.sleep(0 if then == "hang up" else 60)

    return script


HELLO, EHLO, OK = b"220 here\r\n", b"250 hello\r\n", b"250 ok\r\n"
UP_TO_DATA = (HELLO, EHLO, OK, OK, b"354 go on\r\n")


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (talk(then="hang up"), "connection-failed (connection)"),
        (talk(HELLO), "connection-lost (connection)"),
        (talk(HELLO, EHLO), "connection-lost (sender)"),
        (talk(HELLO, EHLO, OK), "connection-lost (recipient)"),
        (talk(HELLO, EHLO, OK, OK), "connection-lost (content)"),
        (talk(*UP_TO_DATA), "connection-lost (content)"),
        (talk(b"554 go away\r\n"), "SMTP 554 (connection)"),
        (talk(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "not-smtp (connection)"),
        (talk(HELLO, b"\xff\xfe\r\n"), "not-smtp (connection)"),
        (talk(HELLO, b"999999 hm\r\n"), "not-smtp (connection)"),
        (talk(HELLO, b"502 no\r\n"), "SMTP 502 (connection)"),
        (talk(HELLO, EHLO, b"354 what\r\n"), "SMTP 354 (sender)"),
        (talk(*UP_TO_DATA, b"251 nearly\r\n"), "SMTP 251 (content)"),
        (talk(HELLO, EHLO, then="flood"), "not-smtp (connection)"),
    ],
)
async def test_a_server_that_breaks_off_or_lies_is_a_failure(serve: Serve, script: Any, detail: str) -> None:
    receiver = await serve(script)
    outcome = await send(email_to(receiver.port))
    assert outcome.kind is FAILED
    assert outcome.detail.startswith(f"mail server: {detail}")


@pytest.mark.parametrize("said", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("then", ["silence", "drip"])
async def test_a_tar_pit_is_left_at_the_deadline(serve: Serve, said: int, then: str) -> None:
    """Whatever was said before; one deadline over everything, however much drips in."""
    receiver = await serve(talk(*UP_TO_DATA[:said], then=then))
    outcome = await send(email_to(receiver.port), deadline_seconds=0.2)
    assert (outcome.kind, outcome.error) == (FAILED, "no-response")
    assert outcome.detail.startswith("mail server: timed-out (")


async def test_a_server_that_does_not_read_the_mail_is_left_and_nothing_stays_open(serve: Serve) -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def deaf(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        for answer in UP_TO_DATA[1:]:
            await reader.readline()
            writer.write(answer)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            while await reader.read(2**16):
                pass
            raise ConnectionResetError
        ended.set()

    receiver = await serve(deaf)
    told = notification(event(resource=b'{"id":"' + b"x" * 8_000_000 + b'"}'), content=Content.FULL_RESOURCE)
    channel = mail_channel(content=Content.FULL_RESOURCE, content_type="application/fhir+json")
    email = email_to(receiver.port, full_resource=True)
    outcome = await send(email, channel, dispatch(told), deadline_seconds=2)
    assert outcome.detail == "mail server: timed-out (content)"
    go_on.set()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_mail_that_was_taken_is_delivered_even_if_the_goodbye_hangs(serve: Serve) -> None:
    async def rude(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in UP_TO_DATA:
            writer.write(answer)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(OK)
        await asyncio.sleep(60)

    receiver = await serve(rude)
    outcome = await send(email_to(receiver.port), deadline_seconds=1)
    assert (outcome.kind, outcome.status) == (OutcomeKind.DELIVERED, 250)


async def test_nobody_there_and_no_such_name(free_port: int) -> None:
    outcome = await send(email_to(free_port))
    assert (outcome.error, outcome.detail) == ("no-response", "mail server: connection-failed (connection)")
    outcome = await send(email_to(free_port, host="no.such.host.invalid"))
    assert (outcome.error, outcome.detail) == ("dns-resolution-error", "mail server: name-not-resolved (connection)")


async def test_outcomes_and_logs_hold_no_text_of_the_server_no_address_and_no_patient(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    texts = [HELLO, EHLO, OK, f"550 5.1.1 <{CANARY}@x.org> canary Patient {CANARY}\r\n".encode()]
    receiver = await serve(talk(*texts))
    outcome = await send(email_to(receiver.port), mail_channel(f"mailto:{CANARY}@x.org"))
    assert outcome.detail == "mail server: SMTP 550 5.1.1 (recipient)"
    assert CANARY not in repr(outcome) + caplog.text


async def test_dots_and_long_lines_arrive_as_they_were_sent(serve: Serve) -> None:
    """No line of a resource can end the mail: every dot at the beginning of a line is doubled (RFC 5321 4.5.2)."""
    words = ".\\r\\n.\\r\\nMAIL FROM:<evil@x.org>\\r\\n" + "x" * 3000 + " =2E --=_mixed_" + DELIVERY
    raw = f'{{"resourceType":"Basic","id":"1","status":"{words}"}}'.encode()
    told = notification(event(resource=raw), content=Content.FULL_RESOURCE)
    channel = mail_channel(content=Content.FULL_RESOURCE, content_type="text/html;attach=application/fhir+json")
    sent = dispatch(told)
    async with mail_sink() as sink:
        assert (await send(email_to(sink.port, full_resource=True), channel, sent)).kind is OutcomeKind.DELIVERED
        mail = await sink.next()
    assert len(sink.mails) == 1
    assert mail.parts == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/fhir+json"
    ]  # fmt: skip
    assert mail.part("application/fhir+json").encode() == sent.body
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998
    assert all(each.isascii() for each in mail.raw.split(b"\r\n"))


async def test_closing_cuts_attempts_and_takes_no_more(serve: Serve) -> None:
    receiver = await serve(talk(HELLO, then="silence"))
    email = email_to(receiver.port)
    attempt = asyncio.create_task(send(email, deadline_seconds=60))
    async with asyncio.timeout(5):
        while not receiver.connections:
            await asyncio.sleep(0.01)
        await email.aclose()
        assert (await attempt).detail == "mail server: sender-closed (connection)"
        assert (await send(email, deadline_seconds=60)).detail == "mail server: sender-closed (connection)"


async def test_an_attempt_that_is_cancelled_leaves_nothing_open(serve: Serve) -> None:
    hung_up = asyncio.Event()

    async def waiting(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        while await reader.readline():
            pass
        hung_up.set()

    receiver = await serve(waiting)
    attempt = asyncio.create_task(send(email_to(receiver.port), deadline_seconds=60))
    async with asyncio.timeout(5):
        while not receiver.connections:
            await asyncio.sleep(0.01)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await hung_up.wait()


async def test_memory_stays_flat_however_often_servers_misbehave(serve: Serve) -> None:
    """Sixty more attempts at floods, refusals and hang-ups leave behind less than one of their mails."""
    scripts = (talk(HELLO, EHLO, then="flood"), talk(*UP_TO_DATA), talk(HELLO, EHLO, OK, b"550 no\r\n"))
    emails = [email_to((await serve(script)).port, full_resource=True) for script in scripts]
    told = notification(event(resource=b'{"id":"' + b"x" * 200_000 + b'"}'), content=Content.FULL_RESOURCE)
    channel = mail_channel(content=Content.FULL_RESOURCE, content_type="application/fhir+json")
    sent = dispatch(told)

    async def kept_after(rounds: int) -> int:
        for _ in range(rounds):
            await asyncio.gather(*(send(email, channel, sent) for email in emails))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await kept_after(5)
        assert await kept_after(20) - before < len(sent.body)
    finally:
        tracemalloc.stop()


async def test_without_a_mail_server_an_attempt_says_what_is_missing() -> None:
    outcome = await send(Email(None, {}))
    assert (outcome.kind, outcome.error) == (FAILED, "no-response")
    assert "HUB_SMTP_HOST" in outcome.detail
