"""The bytes of one mail (RFC 5322, RFC 2045); pure, and the same for the same notification but for the Date.

Written here line by line, because nothing may depend on chance (boundaries) or on how a library folds a long address.
No text of a resource or a client stands between headers: what is not printable ASCII is refused or encoded.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

_PRINTABLE = re.compile(r"[ -~]{1,900}")  # RFC 5322 allows lines of 998 characters
_LINE_ENDING = "\r\n"
_BASE64_LINE = 76  # RFC 2045 section 6.8


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels along; ``mime`` and ``name`` are the hub's own words."""

    mime: str
    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """``delivery_id`` makes the Message-ID and the boundaries: a repeat of the same notification is the same mail."""

    sender: str
    recipient: str
    subject: str
    text: str
    html: str = ""
    attachment: Attachment | None = None


def write_mail(mail: Mail, delivery_id: str, date: datetime) -> bytes:
    """The mail as it is sent, lines ended by CR LF, ASCII only. Raises ValueError when a header cannot be written."""
    domain = mail.sender.rpartition("@")[2]
    headers = [
        _header("From", mail.sender),
        _header("To", mail.recipient),
        _subject(mail.subject),
        _header("Date", format_datetime(date)),
        _header("Message-ID", f"<{delivery_id}@{domain}>"),
        "Auto-Submitted: auto-generated",  # RFC 3834: no answering machine may answer
        "MIME-Version: 1.0",
    ]
    return _LINE_ENDING.join([*headers, _content(mail, delivery_id)]).encode("ascii")


def _header(name: str, value: str) -> str:
    return f"{name}: {_printable(name, value)}"


def _printable(name: str, value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise ValueError(f"the header {name} cannot be written")
    return value


def _subject(text: str) -> str:
    if _PRINTABLE.fullmatch(text) and "=?" not in text:  # =? would be read as an encoded word
        return f"Subject: {text}"
    if any(character in text for character in "\r\n"):
        raise ValueError("the header Subject cannot be written")
    return "Subject: " + Header(text, "utf-8", header_name="Subject").encode(linesep=_LINE_ENDING)


def _content(mail: Mail, delivery_id: str) -> str:
    """Content headers, an empty line and the body."""
    body = _text_part("plain", mail.text)
    if mail.html:
        body = _multipart("alternative", delivery_id, [body, _text_part("html", mail.html)])
    if mail.attachment:
        body = _multipart("mixed", delivery_id, [body, _file_part(mail.attachment)])
    return body


def _text_part(kind: str, text: str) -> str:
    # Quoted-printable whatever it holds: "=" is written "=3D", so no text can look like a boundary, which begins "=_".
    encoded = binascii.b2a_qp(text.encode(), istext=True).decode("ascii").replace("\n", _LINE_ENDING)
    head = [f"Content-Type: text/{kind}; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"]
    return _LINE_ENDING.join([*head, "", encoded])


def _file_part(attachment: Attachment) -> str:
    encoded = base64.b64encode(attachment.body).decode("ascii")
    lines = [encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)]
    head = [
        _header("Content-Type", attachment.mime),
        "Content-Transfer-Encoding: base64",
        _header("Content-Disposition", f'attachment; filename="{attachment.name}"'),
    ]
    return _LINE_ENDING.join([*head, "", *lines, ""])


def _boundary_parameter(boundary: str) -> str:
    """On a line of its own: RFC 5322 section 2.1.1 asks for lines of at most 78 characters."""
    return _printable("Content-Type", f'boundary="{boundary}"')


def _multipart(kind: str, delivery_id: str, parts: list[str]) -> str:
    boundary = f"=_{kind}_{delivery_id}"
    head = f"Content-Type: multipart/{kind};{_LINE_ENDING} {_boundary_parameter(boundary)}"
    body = "".join(f"--{boundary}{_LINE_ENDING}{part}{_LINE_ENDING}" for part in parts)
    return f"{head}{_LINE_ENDING}{_LINE_ENDING}{body}--{boundary}--{_LINE_ENDING}"
