"""``hub topics check``: findings for people, line by line, or as JSON for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from hub.authoring.check import Finding, check_written
from hub.authoring.files import Unreadable, Written, written_topics
from hub.domain.versions import FhirVersion

FINE, REFUSED, UNREADABLE = 0, 1, 2
"""Exit codes: each topic is offered somewhere; one is refused everywhere; something could not be read."""

_LEVELS = {"error": "error", "warning": "warning", "information": "hint"}


def check_files(names: Sequence[str], bases: Sequence[FhirVersion], as_json: bool, out: TextIO, err: TextIO) -> int:
    """Check every topic in ``names`` (files, folders, patterns) and tell of each; the exit code."""
    found = list(written_topics(names))
    unread = [each for each in found if isinstance(each, Unreadable)]
    findings = check_written([each for each in found if isinstance(each, Written)], bases)
    if as_json:
        json.dump(_for_machines(findings, unread), out, ensure_ascii=False, indent=2)
        out.write("\n")
    else:
        out.writelines(_plain(line) + "\n" for line in _for_people(findings))
        err.writelines(_plain(f"hub: {each.source}: {each.reason}") + "\n" for each in unread)
    if unread:
        return UNREADABLE
    return FINE if all(finding.offered for finding in findings) else REFUSED


def _for_people(findings: Iterable[Finding]) -> Iterable[str]:
    levels: Counter[str] = Counter()
    checked = 0
    for finding in findings:
        checked += 1
        for said in finding.said:
            level = _LEVELS[said.issue.severity]
            levels[level] += 1
            some = "" if said.bases == finding.bases else f" ({_listed(said.bases)})"
            where = f" {said.issue.expression}" if said.issue.expression else ""
            yield f"{finding.source}: {level}{where}: {said.issue.diagnostics}{some}"
        yield f"{finding.source}: {_where(finding)}"
    if checked:
        counted = ", ".join(_counted(levels[level], level) for level in _LEVELS.values())
        yield f"{_counted(checked, 'topic')} checked: {counted}"


def _where(finding: Finding) -> str:
    refused = [base for base in finding.bases if base not in finding.offered]
    parts = [
        f"{word} on {_listed(bases)}" for word, bases in (("offered", finding.offered), ("refused", refused)) if bases
    ]
    named = f"{finding.canonical}, written as {finding.form}" if finding.canonical else f"written as {finding.form}"
    return f"{', '.join(parts)}: {named}"


def _listed(bases: Sequence[FhirVersion]) -> str:
    return ", ".join(base.value for base in bases)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plain(line: str) -> str:
    """Without the control characters that a file could send to a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _for_machines(findings: Iterable[Finding], unread: Iterable[Unreadable]) -> dict[str, Any]:
    return {
        "topics": [_topic(finding) for finding in findings],
        "unreadable": [{"source": each.source, "reason": each.reason} for each in unread],
    }


def _topic(finding: Finding) -> dict[str, Any]:
    issues = [
        {
            "level": _LEVELS[said.issue.severity],
            "code": said.issue.code,
            "expression": said.issue.expression,
            "diagnostics": said.issue.diagnostics,
            "bases": [base.value for base in said.bases],
        }
        for said in finding.said
    ]
    return {
        "source": finding.source,
        "canonical": finding.canonical,
        "form": finding.form.value,
        "checked": [base.value for base in finding.bases],
        "offered": [base.value for base in finding.offered],
        "issues": issues,
    }
