"""The words of the email channel: whom a mail goes to, and in which form (S-015, S-170, S-174, S-175).

Asked when a Subscription is written, so that nothing is found unsendable only at sending; asked again before sending,
because a stored one may stem from other rules.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import idna

MAX_ADDRESS_LENGTH = 254  # RFC 5321 section 4.5.3.1.3: a path of 256 with its angle brackets
MAX_LOCAL_LENGTH = 64
MAX_SUBJECT_LENGTH = 200

_LOCAL = re.compile(r"[A-Za-z0-9&'+=_~-]+(?:\.[A-Za-z0-9&'+=_~-]+)*")
"""RFC 5322 dot-atom of the characters that people's addresses have. Not ``%`` and ``!``, which old servers read as a
way to another host, nor ``|`` and ``/``, which they read as a program or a file."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_PARAMETER = re.compile(r";\s*([A-Za-z]+)\s*=\s*(\"[^\"]*\"|[^\s;\"]+)\s*")
_BODY = re.compile(r"\s*(text/plain|text/html|application/fhir\+json|application/json)\s*(;.*)?", re.IGNORECASE)
_ATTACHABLE = ("application/fhir+json", "application/json")


@dataclass(frozen=True, slots=True)
class MailForm:
    """What a mail is made of: always a text; an HTML alternative of it; the notification Bundle as an attachment.

    ``attachment`` is its MIME type, "" for none. ``fhir_version`` is what the type asks for (``4.0``), "" when nothing.
    """

    html: bool = False
    attachment: str = ""
    fhir_version: str = ""


def read_mailto(url: str) -> str:
    """The one address of ``mailto:address``, percent-decoded (RFC 6068); raises ValueError saying what to write.

    Header fields (``?cc=…``, ``?subject=…``, ``?body=…``) are refused, whatever they say: each could turn a mail of
    the hub into somebody else's (S-175).
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "mailto":
        raise ValueError("write mailto: and one mail address, such as mailto:ward@example.org")
    if "?" in rest or "#" in rest:
        raise ValueError("write the address alone: leave out ? or # and what follows (no subject, cc, bcc, body)")
    if not _ESCAPES.fullmatch(rest):
        raise ValueError("write % followed by two hexadecimal digits")
    try:
        address = unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise ValueError("percent-encode the address as UTF-8") from None
    return read_address(address)


def read_address(text: str) -> str:
    """One mail address as it goes on the wire: ``local@domain``, ASCII; raises ValueError saying what to write.

    Only what every mail server reads alike: no name beside it, no quotes, no comment, no address literal.
    """
    if "," in text or ";" in text:
        raise ValueError("write one address: a Subscription has one recipient")
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > MAX_LOCAL_LENGTH:
        raise ValueError(
            "write an address of the form name@example.org: ASCII letters, digits and . _ + - & ' = ~ before the @"
        )
    host = _domain(domain)
    if len(local) + 1 + len(host) > MAX_ADDRESS_LENGTH:
        raise ValueError(f"a mail address has at most {MAX_ADDRESS_LENGTH} characters")
    return f"{local}@{host}"


def _domain(text: str) -> str:
    host = text.lower()
    if not text.isascii():
        try:
            host = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise ValueError("the domain is no valid internationalised name; write it in its xn-- form") from None
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError("write a domain name after the @, such as example.org")
    return host


def read_mail_form(mime: str) -> MailForm:
    """The form that a payload (R4) or contentType (R5) asks for; raises ValueError saying what to write (S-170, S-174).

    text/plain                                text
    text/html                                 text, and HTML as its alternative
    text/plain;attach=application/fhir+json   text, and the Bundle attached; with text/html likewise
    application/fhir+json                     text, and the Bundle attached
    """
    match = _BODY.fullmatch(mime)
    if not match:
        raise ValueError(_FORMS)
    body = match[1].lower()
    parameters = _parameters(match[2] or "", {"attach", "charset", "fhirversion"})
    attachment, version = parameters.get("attach", ""), parameters.get("fhirversion", "")
    if body in _ATTACHABLE:
        if attachment:
            raise ValueError(_FORMS)
        return MailForm(attachment=body, fhir_version=version)
    if attachment:
        kind, _, rest = attachment.partition(";")
        attachment = kind.strip().lower()
        version = version or _parameters(rest and f";{rest}", {"fhirversion"}).get("fhirversion", "")
        if attachment not in _ATTACHABLE:
            raise ValueError(_FORMS)
    if parameters.get("charset", "utf-8").lower() != "utf-8":
        raise ValueError("mails are written in UTF-8: leave charset out")
    return MailForm(body == "text/html", attachment, version)


_FORMS = (
    "mail is written as text/plain or text/html, and with the Bundle attached as "
    "text/plain;attach=application/fhir+json or text/html;attach=application/fhir+json"
)


def _parameters(text: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        name = match[1].lower() if match else ""
        if not match or name not in known or name in found:
            raise ValueError(_FORMS)
        found[name] = match[2].strip('"')
        position = match.end()
    return found


def subject_line(header: str) -> str:
    """The subject of a classic Subscription's mails: header[0], with or without ``Subject:`` (S-015).

    Raises ValueError saying what to write: one line of at most 200 printable characters.
    """
    name, colon, rest = header.partition(":")
    subject = (rest if colon and name.strip().lower() == "subject" else header).strip()
    if not subject or len(subject) > MAX_SUBJECT_LENGTH:
        raise ValueError(f"write a subject line of 1 to {MAX_SUBJECT_LENGTH} characters")
    if any(unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" for character in subject):
        raise ValueError("write the subject on one line, without control or invisible formatting characters")
    return subject
