"""The answer of ``$explain``: Parameters for machines, a tree of lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.domain.delivery import Attempt
from hub.domain.explanation import Answer, Explanation, Finding, Numbered, Verdict
from hub.fhir.json import write_instant

IN_WORDS = {
    Answer.EVENT: "this is an event for the Subscription",
    Answer.NO_TRIGGER: "no trigger of the topic fires for this",
    Answer.FILTER_SAID_NO: "the topic fires, but a filter of the Subscription says no",
    Answer.UNDECIDED: "it cannot be decided with what the hub holds, so there is no event",
    Answer.EVALUATION_FAILED: "a criterion could not be evaluated, so there is no event",
    Answer.NOT_AUTHORISED: "the owner of the Subscription may not hear of this",
    Answer.TOPIC_UNUSABLE: "the topic cannot be used: nothing fires",
    Answer.BEFORE_SUBSCRIPTION: "it happened before the Subscription was there",
    Answer.NOT_JUDGED_YET: "it has been accepted and waits to be judged",
    Answer.NEVER_JUDGED: "it was loaded, and what is loaded is announced to nobody",
    Answer.SWITCHED_OFF: "the Subscription is off",
    Answer.CHANGED_SINCE: "when it was judged, topic or Subscription were others than now",
    Answer.NO_LONGER_HELD: "what would tell is no longer held",
}
_MARKS = {
    Verdict.YES: "yes", Verdict.NO: "NO", Verdict.LEFT_OUT: "-", Verdict.UNDECIDED: "?", Verdict.FAILED: "FAILED"
}  # fmt: skip

Part = dict[str, Any]


def explanation_parameters(explanation: Explanation) -> dict[str, Any]:
    """Parameters: answer, because, change, interaction, event, finding (nested), note."""
    parts: list[Part] = [
        {"name": "answer", "valueCode": explanation.answer.value},
        {"name": "text", "valueString": IN_WORDS[explanation.answer]},
        {"name": "change", "valueString": explanation.change},
        {"name": "interaction", "valueCode": explanation.interaction.value},
    ]
    if explanation.because is not None:
        parts.append({"name": "because", "part": _finding(explanation.because, whole=False)})
    if explanation.numbered is not None:
        parts.append({"name": "event", "part": _numbered(explanation.numbered)})
    findings = (explanation.topic, explanation.filters)
    parts += [{"name": "finding", "part": _finding(each)} for each in findings if each is not None]
    parts += [{"name": "note", "valueString": note} for note in explanation.notes]
    return {"resourceType": "Parameters", "parameter": parts}


def explanation_text(explanation: Explanation) -> str:
    """The same for a terminal: the answer first, then the tree of findings."""
    lines = [f"{explanation.answer}: {IN_WORDS[explanation.answer]}"]
    if explanation.because is not None:
        lines.append(f"because {_line(explanation.because)}")
    lines.append(f"change  {explanation.interaction} of {explanation.change}")
    if explanation.numbered is not None:
        lines += _told(explanation.numbered)
    lines += [f"note    {note}" for note in explanation.notes]
    for finding in (explanation.topic, explanation.filters):
        if finding is not None:
            lines += ["", *_tree(finding)]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, *, whole: bool = True) -> list[Part]:
    parts: list[Part] = [{"name": "subject", "valueString": finding.subject}]
    if finding.text:
        parts.append({"name": "text", "valueString": finding.text})
    parts.append({"name": "verdict", "valueCode": finding.verdict.value})
    parts += [{"name": "value", "valueString": value} for value in finding.values]
    if finding.reason:
        parts.append({"name": "reason", "valueString": finding.reason})
    if whole:
        parts += [{"name": "finding", "part": _finding(each)} for each in finding.parts]
    return parts


def _numbered(numbered: Numbered) -> list[Part]:
    return [
        {"name": "number", "valueString": str(numbered.number)},
        {"name": "definition-version", "valueString": str(numbered.definition_version)},
        {"name": "delivery", "valueCode": numbered.delivery.value},
        *({"name": "attempt", "part": _attempt(each)} for each in numbered.attempts),
    ]


def _attempt(attempt: Attempt) -> list[Part]:
    parts: list[Part] = [
        {"name": "at", "valueInstant": write_instant(attempt.at)},
        {"name": "outcome", "valueCode": attempt.outcome.value},
        {"name": "milliseconds", "valueInteger": round(attempt.duration_seconds * 1000)},
    ]
    if attempt.status:
        parts.append({"name": "http-status", "valueInteger": attempt.status})
    if attempt.error:
        parts.append({"name": "error", "valueCode": attempt.error})
    return parts


def _told(numbered: Numbered) -> Iterator[str]:
    yield f"event   number {numbered.number}, {numbered.delivery}"
    for attempt in numbered.attempts:
        status = f" HTTP {attempt.status}" if attempt.status else ""
        error = f" {attempt.error}" if attempt.error else ""
        milliseconds = round(attempt.duration_seconds * 1000)
        yield f"attempt {write_instant(attempt.at)} {attempt.outcome}{status}{error} after {milliseconds} ms"


def _tree(finding: Finding, above: str = "", depth: int = 0) -> Iterator[str]:
    yield f"{_MARKS[finding.verdict]:<8}{'  ' * depth}{_line(finding, above)}"
    for part in finding.parts:
        yield from _tree(part, f"{finding.subject}.", depth + 1)


def _line(finding: Finding, above: str = "") -> str:
    """One finding; what stands ``above`` it in the tree is left out of its subject."""
    pieces = [finding.subject.removeprefix(above), finding.text]
    if finding.values:
        pieces.append(f"<- {', '.join(finding.values)}")
    if finding.reason:
        pieces.append(f"({finding.reason})")
    return "  ".join(piece for piece in pieces if piece)
