"""A real mail server on loopback (aiosmtpd): it keeps what it is sent, and answers each step as it is told."""

from __future__ import annotations

import asyncio
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

SECONDS = 5.0
"""How long a test waits for what must come."""
USER, PASSWORD = "hub", "s3cret pass=word"


@dataclass(frozen=True)
class Received:
    """One mail: envelope, bytes, and how it came."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    authenticated: bool
    client: str

    @property
    def message(self) -> EmailMessage:
        return cast(EmailMessage, BytesParser(policy=email.policy.default).parsebytes(self.raw))

    def part(self, mime: str) -> str:
        """The decoded text of the first part of this type."""
        (found,) = (each for each in self.message.walk() if each.get_content_type() == mime)
        payload = found.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode()

    @property
    def text(self) -> str:
        return self.part("text/plain").replace("\r\n", "\n")

    @property
    def parts(self) -> list[str]:
        return [each.get_content_type() for each in self.message.walk()]


@dataclass
class Sink:
    """``replies`` are given to a step in order (``MAIL``, ``RCPT``, ``DATA``), then 250 for ever."""

    port: int = 0
    replies: dict[str, list[str]] = field(default_factory=dict)
    mails: list[Received] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    async def next(self) -> Received:
        """The next mail that was not read yet."""
        async with asyncio.timeout(SECONDS):
            while self._read >= len(self.mails):
                self._arrived.clear()
                await self._arrived.wait()
        self._read += 1
        return self.mails[self._read - 1]

    async def attempts(self, step: str, count: int) -> None:
        """Wait until ``step`` was asked for so many times."""
        async with asyncio.timeout(SECONDS):
            while self.asked.count(step) < count:
                await asyncio.sleep(0.01)

    def _reply(self, step: str) -> str:
        self.asked.append(step)
        waiting = self.replies.get(step)
        return waiting.pop(0) if waiting else "250 OK"

    # Called by aiosmtpd.

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if (reply := self._reply("MAIL")).startswith("2"):
            envelope.mail_from = address
        return reply

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if (reply := self._reply("RCPT")).startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        reply = self._reply("DATA")
        if reply.startswith("2"):
            encrypted, login = session.ssl is not None, bool(session.authenticated)
            secure = encrypted or server.transport.get_extra_info("sslcontext") is not None
            sender, recipients = envelope.mail_from, list(envelope.rcpt_tos)
            self.mails.append(Received(sender, recipients, envelope.content, secure, login, session.host_name))
            self._arrived.set()
        return reply


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=right)


class _Smtp(SMTP):
    """Remembers the socket below TLS: a STARTTLS that failed leaves it, and who reads from it, behind."""

    below: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.below = self.below or transport
        super().connection_made(transport)

    def cut(self) -> None:
        for each in (self.transport, self.below):
            if each is not None:
                each.abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()


@asynccontextmanager
async def mail_sink(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False, **options: Any
) -> AsyncIterator[Sink]:
    """Started; with ``starttls`` it takes mail only over TLS, with ``login`` only after one."""
    sink, loop = Sink(), asyncio.get_running_loop()
    open_: list[_Smtp] = []

    def connected() -> SMTP:
        sink.connections += 1
        authentication: dict[str, Any] = {}
        if login:
            over_tls = starttls is not None  # behind a TLS listener it cannot know that the connection is encrypted
            authentication = {
                "authenticator": _authenticate, "auth_required": True, "auth_require_tls": over_tls,
            }  # fmt: skip
        required = {"tls_context": starttls, "require_starttls": True} if starttls else {}
        with warnings.catch_warnings():  # a login without TLS is what some tests are about
            warnings.simplefilter("ignore", UserWarning)
            open_.append(_Smtp(sink, hostname="sink.example", loop=loop, **authentication, **required, **options))
        return open_[-1]

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    yield sink
    server.close()
    for each in open_:
        each.cut()
    await asyncio.sleep(0.01)
