"""One mail over one connection to the operator's mail server (RFC 5321), and what came of it.

TLS is used exactly as the settings say, with a verified certificate: a server that offers none gets no mail and no
password. The commands are given one by one, so that a refusal is known to be of the sender, the recipient or the mail.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPConnectError, SMTPException, SMTPResponseException, SMTPTimeoutError

from hub.channels.response import Failure

QUIT_SECONDS = 1.0
"""For the goodbye of a mail that has been taken; it changes nothing."""
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")  # RFC 3463


class Step(StrEnum):
    """How far the conversation went; names what a refusal refused."""

    CONNECTION = "connection"
    TLS = "TLS"
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. ``tls`` is the context for starttls and tls; ``user`` "" for no login."""

    host: str
    port: int
    sender: str
    encryption: Literal["off", "starttls", "tls"] = "starttls"
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class MailAnswer:
    """What the server said at which step: ``code`` 250 when it took the mail; 0 when ``failure`` says why.

    ``enhanced`` is the code of RFC 3463 (``5.1.1``), "" when there was none. No text of the server is kept.
    """

    step: Step
    code: int = 0
    enhanced: str = ""
    failure: Failure | None = None


class _Connection(SMTP):
    """Closes at once: the library's own close() would wait for a server that does not read."""

    def close(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        super().close()


class MailSession:
    """One conversation. ``submit`` may be cancelled at any moment; ``leave`` must follow it and leaves nothing open."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self.step = Step.CONNECTION
        self._smtp = _Connection(
            hostname=server.host,
            port=server.port,
            use_tls=server.encryption == "tls",
            start_tls=False,  # done here; the library's own way is to use TLS when the server happens to offer it
            tls_context=server.tls,
            local_hostname=server.sender.rpartition("@")[2],  # else the name of this machine is looked up and told
            timeout=None,  # the caller has one deadline over everything
        )

    async def submit(self, recipient: str, mail: bytes) -> MailAnswer:
        """Hand the mail in; never raises for what a server does."""
        try:
            await self._introduce()
            await self._log_in()
            await self._send(recipient, mail)
        except SMTPResponseException as refusal:
            return _refused(self.step, refusal)
        except SMTPConnectError as problem:
            return MailAnswer(self.step, failure=_connect_failure(problem))
        except ssl.SSLError:
            return MailAnswer(Step.TLS, failure=Failure.TLS_FAILED)
        except SMTPTimeoutError:  # of a step that has a limit of its own, as the TLS handshake
            return MailAnswer(self.step, failure=Failure.TIMED_OUT)
        except (SMTPException, OSError):
            lost = Failure.TLS_FAILED if self.step is Step.TLS else Failure.CONNECTION_LOST
            return MailAnswer(self.step, failure=lost)
        except ValueError:  # what a server wrote cannot be read, as the challenge of a login
            return MailAnswer(self.step, failure=Failure.NOT_SMTP)
        return MailAnswer(self.step, 250)

    async def leave(self, seconds: float) -> None:
        """Say goodbye when there is time for it, and close the connection."""
        try:
            if self._smtp.is_connected and seconds > 0:
                with suppress(SMTPException, OSError):
                    await self._smtp.quit(timeout=min(seconds, QUIT_SECONDS))
        finally:
            self._smtp.close()

    async def _introduce(self) -> None:
        await self._smtp.connect()
        await self._smtp.ehlo()
        if self._server.encryption == "starttls":
            self.step = Step.TLS
            await self._smtp.starttls(server_hostname=self._server.host)  # raises when the server does not offer it
            await self._smtp.ehlo()

    async def _log_in(self) -> None:
        if self._server.user:
            self.step = Step.LOGIN
            await self._smtp.login(self._server.user.encode(), self._server.password.encode())

    async def _send(self, recipient: str, mail: bytes) -> None:
        self.step = Step.SENDER
        options = [f"SIZE={len(mail)}"] if self._smtp.supports_extension("size") else []
        await self._smtp.mail(self._server.sender, options=options)
        self.step = Step.RECIPIENT
        await self._smtp.rcpt(recipient)
        self.step = Step.CONTENT
        await self._smtp.data(mail)


def _refused(step: Step, refusal: SMTPResponseException) -> MailAnswer:
    if not 200 <= refusal.code < 600:
        return MailAnswer(step, failure=Failure.NOT_SMTP)
    found = _ENHANCED.match(refusal.message)
    return MailAnswer(step, refusal.code, found[0] if found else "")


def _connect_failure(problem: SMTPConnectError) -> Failure:
    cause = problem.__cause__
    if isinstance(cause, socket.gaierror):
        return Failure.NAME_NOT_RESOLVED
    if isinstance(cause, ssl.SSLError):
        return Failure.TLS_FAILED
    return Failure.CONNECTION_FAILED
