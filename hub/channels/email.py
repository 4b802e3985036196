"""The email channel: a notification is one mail to one address (S-015, S-170…S-175; HOUSE ruling 35).

The mail server is the operator's, so the guard of egress has no part in it. Each mail has a connection of its own
(docs/decisions/0012). A slow server costs turns of mail only; a lost answer after the last byte costs a mail that comes
twice, with the same Message-ID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from hub.beside import beside
from hub.channels.mail import Attachment, Mail, write_mail
from hub.channels.mail_outcomes import judge_mail
from hub.channels.response import Failure
from hub.channels.smtp import MailAnswer, MailServer, MailSession
from hub.domain.delivery import Dispatch, Outcome, OutcomeKind
from hub.domain.mail import MailForm, read_mail_form, read_mailto
from hub.domain.subscription import Channel, Content, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.fhir.mail_layout import as_html, as_text
from hub.fhir.mail_words import MailWords, attachment_name, classic_words, notification_words


def system_clock() -> datetime:
    return datetime.now(UTC)


class Email:
    """Delivers by mail. ``server`` None: the operator has set none, so every attempt fails until one is set.

    ``base_urls`` are (hub, source of record) by version; ``full_resource`` is HUB_EMAIL_FULL_RESOURCE; ``clock`` is
    asked for the Date.
    """

    def __init__(
        self,
        server: MailServer | None,
        base_urls: Mapping[FhirVersion, tuple[str, str]],
        *,
        full_resource: bool = False,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self._server = server
        self._base_urls = base_urls
        self._full_resource = full_resource
        self._clock = clock
        self._attempts: set[asyncio.Timeout] = set()
        self._ended = asyncio.Event()
        self._closed = False

    async def deliver(
        self, channel: Channel, dispatch: Dispatch, *, delivery_id: str, deadline_seconds: float
    ) -> Outcome:
        """Send it; what came of it, whatever the mail server does. ``delivery_id`` makes the Message-ID (S-174)."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._server is None:
            return _not_sent("this hub has no mail server (HUB_SMTP_HOST)")
        if channel.content is Content.FULL_RESOURCE and not self._full_resource:
            return _not_sent("whole resources do not go by mail any more (HUB_EMAIL_FULL_RESOURCE)")
        try:
            recipient = read_mailto(channel.endpoint)
            now = self._clock()
            written = await beside(
                len(dispatch.body), self._write, self._server.sender, recipient, channel, dispatch, delivery_id, now
            )
        except ValueError:  # stored under other rules than today's
            return _not_sent("this Subscription cannot be sent by mail")
        answer = await self._submit(MailSession(self._server), recipient, written, started + deadline_seconds)
        return replace(judge_mail(answer), duration_seconds=loop.time() - started)

    async def aclose(self) -> None:
        """Cut every attempt and wait until they have ended."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts:
            attempt.reschedule(now)
        while self._attempts:
            self._ended.clear()
            await self._ended.wait()

    async def _submit(self, session: MailSession, recipient: str, mail: bytes, deadline: float) -> MailAnswer:
        """One conversation within ``deadline`` (loop time); its connection is closed at the end, whatever happens."""
        loop = asyncio.get_running_loop()
        answer: MailAnswer | None = None
        try:
            async with asyncio.timeout_at(loop.time() if self._closed else deadline) as attempt:
                self._attempts.add(attempt)
                try:
                    answer = await session.submit(recipient, mail)
                finally:
                    self._attempts.discard(attempt)
                    self._ended.set()
        except TimeoutError:
            failure = Failure.SENDER_CLOSED if self._closed else Failure.TIMED_OUT
            return answer or MailAnswer(session.step, failure=failure)
        finally:
            await session.leave(deadline - loop.time() if answer and not self._closed else 0)
        return answer

    def _write(
        self, sender: str, recipient: str, channel: Channel, dispatch: Dispatch, delivery_id: str, now: datetime
    ) -> bytes:
        return write_mail(self._mail(sender, recipient, channel, dispatch), delivery_id, now)

    def _mail(self, sender: str, recipient: str, channel: Channel, dispatch: Dispatch) -> Mail:
        form = read_mail_form(channel.content_type)
        words, attachment = self._content(form, channel, dispatch)
        html = as_html(words) if form.html else ""
        return Mail(sender, recipient, words.subject, as_text(words), html, attachment)

    def _content(self, form: MailForm, channel: Channel, dispatch: Dispatch) -> tuple[MailWords, Attachment | None]:
        """What is said, and what travels along when it was asked for."""
        key = SubscriptionKey.parse(dispatch.subscription)
        base_url, source_base_url = self._base_urls[key.base]
        notification = dispatch.notification
        name = attachment_name(notification.events) if notification else "resource.json"
        mime = f"{form.attachment}; fhirVersion={key.base.mime_parameter}"
        attachment = Attachment(mime, name, dispatch.body) if form.attachment and dispatch.body else None
        shown = attachment.name if attachment else ""
        if notification:
            return notification_words(notification, base_url, source_base_url, shown), attachment
        subject = next((value for _, value in channel.headers), "")
        resource, reference = dispatch.body, dispatch.update_of
        return classic_words(key.id, subject, reference, resource, base_url, source_base_url, shown), attachment


def _not_sent(reason: str) -> Outcome:
    return Outcome(OutcomeKind.FAILED, error="no-response", detail=f"mail: {reason}")
