"""Why a change is, or is not, an event for a Subscription: findings, and the answer that they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.domain.change import Interaction
from hub.domain.delivery import Attempt


class Verdict(StrEnum):
    """What one test said."""

    YES = "yes"
    NO = "no"
    LEFT_OUT = "left-out"
    """It was not asked: the criterion has no such side, or the state is not known."""
    UNDECIDED = "undecided"
    """It needs something that the hub does not hold, which counts as no (HOUSE ruling 23)."""
    FAILED = "failed"
    """It could not be evaluated, which counts as no (S-042)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One decision, and in ``parts`` those that it rests on.

    ``subject`` names the element (``resourceTrigger[0].queryCriteria.current``), ``text`` is as written there.
    ``values`` are what was looked at, as JSON; ``reason`` says in words what the verdict alone does not.
    """

    subject: str
    text: str
    verdict: Verdict
    values: tuple[str, ...] = ()
    reason: str = ""
    parts: tuple[Finding, ...] = ()


def decisive(finding: Finding) -> Finding | None:
    """The first part that said no, as deep as it goes; None when ``finding`` says yes or was left out.

    Where alternatives all said no, the one that came furthest is named: the others fell at what it passed.
    """
    if finding.verdict in (Verdict.YES, Verdict.LEFT_OUT):
        return None
    refusing = [(part, found) for part in finding.parts if (found := decisive(part)) is not None]
    if not refusing:
        return finding
    _, found = max(refusing, key=lambda pair: _passed(pair[0]))
    return found


def _passed(finding: Finding) -> int:
    """How many of its parts said yes before the first that did not; the first of equals is taken."""
    count = 0
    for part in finding.parts:
        if part.verdict is not Verdict.YES:
            break
        count += 1
    return count


class Answer(StrEnum):
    """Why there is, or is not, an event."""

    EVENT = "event"
    """It is one: it fires, and for a change that was judged it has its number."""
    NO_TRIGGER = "no-trigger"
    FILTER_SAID_NO = "filter-said-no"
    UNDECIDED = "undecided"
    EVALUATION_FAILED = "evaluation-failed"
    NOT_AUTHORISED = "not-authorised"
    TOPIC_UNUSABLE = "topic-unusable"
    """The topic is gone or does not compile here: nothing can fire."""
    BEFORE_SUBSCRIPTION = "before-subscription"
    """Events count from the 201 of the Subscription on (HOUSE ruling 16)."""
    NOT_JUDGED_YET = "not-judged-yet"
    NEVER_JUDGED = "never-judged"
    """Loaded resources are announced to nobody (HOUSE ruling 34)."""
    SWITCHED_OFF = "switched-off"
    CHANGED_SINCE = "changed-since"
    """As they are now, topic and filters would let it through; when it was judged they were others."""
    NO_LONGER_HELD = "no-longer-held"
    """What would tell has gone with retention."""


class DeliveryState(StrEnum):
    """Where a numbered event stands."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class Numbered:
    """The event that a change became: its number, where it stands, and the remembered attempts that carried it.

    ``definition_version`` is the one it was matched under.
    """

    number: int
    definition_version: int
    delivery: DeliveryState
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer. ``change`` names what was judged (``Encounter/7/_history/2``, or what was handed in).

    ``topic`` and ``filters`` are None when they could not be asked. ``notes`` say in words what else matters.
    """

    answer: Answer
    change: str
    interaction: Interaction
    topic: Finding | None = None
    filters: Finding | None = None
    numbered: Numbered | None = None
    notes: tuple[str, ...] = ()

    @property
    def because(self) -> Finding | None:
        """The first clause that said no; None when none did."""
        for finding in (self.topic, self.filters):
            if finding is not None and (found := decisive(finding)) is not None:
                return found
        return None
