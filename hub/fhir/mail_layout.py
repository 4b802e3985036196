"""The words of a mail as plain text, and as HTML for those who asked for it (S-170, S-171).

The HTML has no link, no image, no style and no script: nothing is fetched when it is read, and nothing in a resource
can become markup.
"""

from __future__ import annotations

from html import escape
from textwrap import wrap

from hub.fhir.mail_words import MailWords, Section

WIDTH = 72
"""Quoted-printable breaks lines after 76 characters; people's mail programs show the breaks of the text itself."""


def as_text(words: MailWords) -> str:
    """Lines of at most 72 characters where words allow it, each ended by a line feed."""
    blocks = [*map(_paragraph, words.opening), *map(_block, words.sections), *map(_paragraph, words.closing)]
    return "\n\n".join(blocks) + "\n"


def _paragraph(text: str) -> str:
    return "\n".join(wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def _block(section: Section) -> str:
    width = max((len(label) for label, _ in section.rows), default=0)
    return "\n".join([section.heading, *(f"  {label:{width}}  {value}" for label, value in section.rows)])


def as_html(words: MailWords) -> str:
    """A whole HTML document; every text is escaped."""
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(words.subject)}</title></head><body>',
        *(f"<p>{escape(text)}</p>" for text in words.opening),
    ]
    for section in words.sections:
        lines.append(f"<h2>{escape(section.heading)}</h2>")
        lines.append("<table>")
        lines += [
            f'<tr><th align="left">{escape(label)}</th><td>{escape(value)}</td></tr>' for label, value in section.rows
        ]
        lines.append("</table>")
    lines += [f"<p>{escape(text)}</p>" for text in words.closing]
    return "\n".join([*lines, "</body></html>"]) + "\n"
