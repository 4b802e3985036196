"""Whom a mail goes to and in which form: the tables of S-170, S-174, S-175; SMTP injection (SECURITY D2)."""

from __future__ import annotations

import pytest

from hub.domain.mail import MailForm, read_address, read_mail_form, read_mailto, subject_line


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mailto:ward@example.org", "ward@example.org"),
        ("MAILTO:ward@example.org", "ward@example.org"),
        ("mailto:Ward.7+hub@Example.ORG", "Ward.7+hub@example.org"),
        ("mailto:o%27brien@example.org", "o'brien@example.org"),
        ("mailto:a%2Bb@example.org", "a+b@example.org"),
        ("mailto:ward%40example.org", "ward@example.org"),
        ("mailto:a@b%C3%BCcher.example", "a@xn--bcher-kva.example"),
        ("mailto:a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("mailto:root@localhost", "root@localhost"),
    ],
)
def test_one_address_is_read_and_percent_decoded_s170(url: str, address: str) -> None:
    assert read_mailto(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mailto:",
        "ward@example.org",
        "mail:ward@example.org",
        "http://example.org/",
        "mailto://ward@example.org",
        "mailto:a@x.org,b@x.org",
        "mailto:a@x.org%2Cb@x.org",
        "mailto:a@x.org;b@x.org",
        "mailto:a@x.org?cc=b@x.org",
        "mailto:a@x.org?bcc=b@x.org",
        "mailto:a@x.org?to=b@x.org",
        "mailto:a@x.org?subject=hello",
        "mailto:a@x.org?body=hello",
        "mailto:a@x.org?",
        "mailto:?to=a@x.org",
        "mailto:a@x.org#b",
        "mailto:a@x.org%0D%0ABcc:b@x.org",
        "mailto:a%0Ab@x.org",
        "mailto:a@x.org%0D%0ARCPT%20TO:%3Cb@x.org%3E",
        "mailto:a@x.org\r\nBcc: b@x.org",
        "mailto:a@x.org\n",
        "mailto:a@x.org%00",
        "mailto:a@x.org%E2%80%A8b",
        "mailto:%3Ca@x.org%3E",
        "mailto:Ward%20<a@x.org>",
        'mailto:"a b"@x.org',
        "mailto:%22a%40b%22@x.org",
        "mailto:(comment)a@x.org",
        "mailto:a@b@x.org",
        "mailto:@x.org",
        "mailto:@relay.org:a@x.org",
        "mailto:a@",
        "mailto:a%25b@x.org",
        "mailto:x.org!a@relay.org",
        "mailto:|/bin/sh@x.org",
        "mailto:a%2Fb@x.org",
        "mailto:.a@x.org",
        "mailto:a.@x.org",
        "mailto:a..b@x.org",
        "mailto:a b@x.org",
        "mailto:ä@x.org",
        "mailto:%C3%A4@x.org",
        "mailto:%FF@x.org",
        "mailto:a%@x.org",
        "mailto:a%4@x.org",
        "mailto:a%zz@x.org",
        "mailto:a@[127.0.0.1]",
        "mailto:a@[IPv6:::1]",
        "mailto:a@127.0.0.1",
        "mailto:a@-x.org",
        "mailto:a@x..org",
        "mailto:a@x.org.",
        "mailto:a@x_y.org",
        "mailto:" + "a" * 65 + "@x.org",
        "mailto:a@" + ".".join(["x" * 60] * 5),
    ],
)
def test_anything_else_is_refused_with_what_to_write_s175(url: str) -> None:
    with pytest.raises(ValueError, match=r"write|encode|has at most"):
        read_mailto(url)


def test_a_wrong_address_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(ValueError) as refusal:
        read_address("s3cret canary@x.org")
    assert "s3cret" not in str(refusal.value)


FHIR, JSON = "application/fhir+json", "application/json"


@pytest.mark.parametrize(
    ("mime", "form"),
    [
        ("text/plain", MailForm()),
        ("TEXT/Plain; charset=UTF-8", MailForm()),
        ("text/html", MailForm(html=True)),
        (f"text/plain;attach={FHIR}", MailForm(attachment=FHIR)),
        (f"text/plain; attach={FHIR}; fhirVersion=4.0", MailForm(attachment=FHIR, fhir_version="4.0")),
        (f'text/html;attach="{FHIR}; fhirVersion=5.0"', MailForm(True, FHIR, "5.0")),
        (f"text/html ; ATTACH = {JSON}", MailForm(True, JSON)),
        (FHIR, MailForm(attachment=FHIR)),
        (f"{FHIR}; fhirVersion=4.3", MailForm(attachment=FHIR, fhir_version="4.3")),
        (JSON, MailForm(attachment=JSON)),
    ],
)
def test_each_form_of_the_ig_is_read_s170_s174(mime: str, form: MailForm) -> None:
    assert read_mail_form(mime) == form


@pytest.mark.parametrize(
    "mime",
    [
        "", "text", "text/markdown", "image/png", "application/fhir+xml", "text/plain;attach=application/fhir+xml",
        "text/html;attach=application/fhir+xml", "text/plain;attach=", "text/plain;attach=text/html",
        f"{FHIR};attach={FHIR}", f"text/plain;attach={FHIR};attach={FHIR}", "text/plain;format=flowed", "text/plain;",
        "text/plain; charset=latin-1", f"text/plain,{FHIR}", f'text/plain;attach="{FHIR}', "text/plain\r\nX: y",
        f'text/plain;attach="{FHIR};x=y"', "text/plain;=x", "text/plain;attach",
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_honoured_is_refused_s172(mime: str) -> None:
    with pytest.raises(ValueError, match=r"mail is written as|UTF-8"):
        read_mail_form(mime)


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        ("A result has come", "A result has come"),
        ("Subject: A result has come", "A result has come"),
        ("subject:x", "x"),
        ("Potassium: too high", "Potassium: too high"),
        ("Neue Aufnahme – Übersicht", "Neue Aufnahme – Übersicht"),
    ],
)
def test_header_0_is_the_subject_with_or_without_its_name_s015(header: str, subject: str) -> None:
    assert subject_line(header) == subject


@pytest.mark.parametrize(
    "header",
    ["", " ", "Subject:", "a\r\nBcc: b@x.org", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\u202eb", "a\x85b", "x" * 201],
)
def test_a_subject_is_one_line_of_bounded_length(header: str) -> None:
    with pytest.raises(ValueError, match="write"):
        subject_line(header)
