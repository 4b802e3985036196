"""How refusals are gathered while compiling, and how faults are told while matching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hub.errors import Issue, Refused, Unprocessable


@dataclass(frozen=True, slots=True)
class Fault:
    """A test that could not be made on a change; it counted as not matched (S-042).

    ``topic`` is the canonical, ``subscription`` its key or "" when the topic itself could not be decided,
    ``criterion`` the text that failed, ``reason`` why.
    """

    topic: str
    criterion: str
    reason: str
    subscription: str = ""
    undecided: bool = False
    """It may hold or not: what would tell is not held here (HOUSE ruling 23)."""


class NotAnEvent(StrEnum):
    """Why a change was no event of a Subscription whose topic is about its type; counted for each of them."""

    NO_TRIGGER = "no-trigger"
    FILTER_SAID_NO = "filter-said-no"
    UNDECIDED = "undecided"
    EVALUATION_FAILED = "evaluation-failed"
    NOT_AUTHORISED = "not-authorised"
    """Never so far: every principal may hear of everything."""


Tally = Counter[NotAnEvent]

Report = Callable[[Fault], None]
"""Given by the caller, who counts and shows what it is told; matching itself never swallows a fault."""


@dataclass(slots=True)
class Refusals:
    """Gathers every refusal of one compilation, each at the element that is at fault."""

    issues: dict[Issue, None] = field(default_factory=dict)

    @contextmanager
    def at(self, expression: str) -> Iterator[None]:
        """A refusal inside is kept as an issue of ``expression``, and what follows the block goes on."""
        try:
            yield
        except Refused as refusal:
            self.issues.update(dict.fromkeys(replace(issue, expression=expression) for issue in refusal.issues))

    def raise_if_any(self) -> None:
        """Raises Unprocessable with everything gathered."""
        if self.issues:
            raise Unprocessable(*self.issues)
