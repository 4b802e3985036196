"""What must have arrived, from what clients were answered alone.

A change is *required* for a Subscription when it matches under every definition that can have been in force when it was
judged, *allowed* when it matches under one of them: a definition that is edited while changes are under way may fall
either way (I5). A barrier is a moment at which everything accepted before it had been judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from tests.faults.receiver import Arrival, Event, Manner


class Promise(StrEnum):
    """What can be broken."""

    LOST = "lost"
    ORDER = "reordered"
    NUMBER = "renumbered"
    MADE_UP = "made up"
    REPEATED = "repeated without cause"


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken promise, in words."""

    promise: Promise
    words: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.words}"


@dataclass(slots=True)
class Change:
    """One version of a resource. ``gender`` is that of its focus; ``milliseconds`` None for a delete: not told."""

    reference: str
    version: int
    gender: str
    sent: float
    answered: float
    milliseconds: int | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Unsure:
    """A write that was sent once and not answered: it may stand, and if one Subscription is told of it, it does."""

    gender: str
    sent: float


@dataclass(frozen=True, slots=True)
class Wish:
    """A definition of a Subscription, from when on and whether it counts. ``gender`` None = every change."""

    sent: float
    answered: float
    on: bool
    gender: str | None = None
    begins: bool = False
    """Events count anew from here: created, or asked for again after off."""


NOTHING = Wish(-inf, -inf, on=False)


@dataclass
class Ledger:
    """The changes of one base, the wishes of its Subscriptions, the barriers."""

    changes: dict[tuple[str, int], Change] = field(default_factory=dict)
    wishes: dict[str, list[Wish]] = field(default_factory=dict)
    barriers: list[float] = field(default_factory=list)
    unsure: dict[str, Unsure] = field(default_factory=dict)
    """By the text that is the name of the Patient."""

    def note(self, change: Change) -> None:
        """A change may be answered to two clients: a delete that found it deleted already."""
        known = self.changes.setdefault((change.reference, change.version), change)
        known.sent, known.answered = min(known.sent, change.sent), max(known.answered, change.answered)

    def wish(self, mailbox: str, wish: Wish) -> None:
        self.wishes.setdefault(mailbox, [NOTHING]).append(wish)

    def name_focus_of_deletes(self) -> None:
        """A delete is judged by what was there before (S-066)."""
        for (reference, version), change in self.changes.items():
            if change.deleted and (before := self.changes.get((reference, version - 1))):
                change.gender = before.gender

    def learn(self, arrivals: Iterable[Arrival]) -> int:
        """Writes that nobody was sure of and that stand, because somebody was told; how many there are."""
        found = 0
        for arrival in arrivals:
            for focus in arrival.focuses() if self.unsure else ():
                write = self.unsure.get(focus.name)
                if write and (focus.reference, focus.version) not in self.changes:
                    found += 1
                    at = focus.milliseconds
                    self.note(Change(focus.reference, focus.version, write.gender, write.sent, arrival.at, at))
        return found

    def verdicts(self, mailbox: str, change: Change) -> set[bool]:
        """Whether the change is an event for it, under each definition that can have been in force."""
        judged_by = min((moment for moment in self.barriers if moment >= change.answered), default=inf)
        wishes = self.wishes[mailbox]
        found: set[bool] = set()
        floor = NOTHING
        for index, wish in enumerate(wishes):
            floor = wish if wish.begins else floor
            ends = wishes[index + 1].answered if index + 1 < len(wishes) else inf
            if wish.sent <= judged_by and ends >= change.sent:
                found |= _under(wish, floor, change)
        return found

    def find(self, event: Event, version: int | None, told: set[tuple[str, int]]) -> Change | None:
        """The change that an event tells of.

        That is the version in its body; without a body the write of that millisecond, else the delete between two
        writes.
        """
        if version is not None:
            return self.changes.get((event.reference, version))
        of_it = [each for each in self._of(event.reference) if (each.reference, each.version) not in told]
        at = event.milliseconds
        written = (each for each in of_it if each.milliseconds == at)
        return next(written, None) or next((each for each in of_it if each.deleted and self._between(each, at)), None)

    def _of(self, reference: str) -> Iterator[Change]:
        version = 1
        while change := self.changes.get((reference, version)):
            yield change
            version += 1

    def _between(self, change: Change, milliseconds: int) -> bool:
        former = self.changes.get((change.reference, change.version - 1))
        before = former.milliseconds or 0 if former else 0
        after = self.changes.get((change.reference, change.version + 1))
        return before <= milliseconds <= (after.milliseconds or inf if after else inf)


def _under(wish: Wish, floor: Wish, change: Change) -> set[bool]:
    if not wish.on or wish.gender not in (None, change.gender) or change.answered < floor.sent:
        return {False}
    return {True} if change.sent >= floor.answered else {True, False}


def faults_of(ledger: Ledger, mailbox: str, arrivals: Iterable[Arrival], *, complete: bool) -> Iterator[Broken]:
    """Every broken promise of one Subscription. ``complete``: everything required must be there."""
    arrivals = list(arrivals)
    yield from _faults_of_order(arrivals, complete=complete)
    yield from _faults_of_repeats(arrivals)
    events = sorted({event for arrival in arrivals for event in arrival.events}, key=lambda event: event.number)
    versions = {number: version for arrival in arrivals for number, version in arrival.versions.items()}
    told: set[tuple[str, int]] = set()
    changes: list[Change] = []
    for event in events:
        change = ledger.find(event, versions.get(event.number), told)
        if change is None:
            yield Broken(Promise.MADE_UP, f"#{event.number} is about nothing that anybody did: {event}")
            continue
        told.add((change.reference, change.version))
        changes.append(change)
        if True not in ledger.verdicts(mailbox, change):
            yield Broken(Promise.MADE_UP, f"#{event.number} does not match: {change}")
    yield from _faults_of_accept_order(changes)
    if complete:
        for key, change in ledger.changes.items():
            if key not in told and ledger.verdicts(mailbox, change) == {True}:
                yield Broken(Promise.LOST, str(change))


def _faults_of_order(arrivals: list[Arrival], *, complete: bool) -> Iterator[Broken]:
    """First receipts are 1, 2, 3 …; the same for what the subscriber kept, but for what it refused for good."""
    seen: set[int] = set()
    kept: set[int] = set()
    refused: set[int] = set()
    for arrival in arrivals:
        numbers = [event.number for event in arrival.events]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            yield Broken(Promise.ORDER, f"a notification with the numbers {numbers}")
        for number in numbers:
            if number not in seen and number != len(seen) + 1:
                yield Broken(Promise.ORDER, f"#{number} came when {len(seen)} were known")
            seen.add(number)
            settled = kept | refused
            if arrival.manner.keeps and number not in settled and number != len(settled) + 1:
                yield Broken(Promise.ORDER, f"#{number} was kept when {len(settled)} were settled")
            if arrival.manner.keeps:
                kept.add(number)
        if arrival.manner is Manner.UNFIT and len(numbers) == 1:
            refused.add(numbers[0])
    if complete and (missing := seen - kept - refused):
        yield Broken(Promise.LOST, f"never kept by the subscriber: {sorted(missing)}")


def _faults_of_repeats(arrivals: list[Arrival]) -> Iterator[Broken]:
    events: dict[int, Event] = {}
    notifications: dict[str, tuple[object, ...]] = {}
    bodies: dict[tuple[str, int], bytes] = {}
    for arrival in arrivals:
        if notifications.setdefault(arrival.webhook_id, arrival.content) != arrival.content:
            yield Broken(Promise.NUMBER, f"webhook-id {arrival.webhook_id} came with two contents")
        newest = {event.reference: event for event in arrival.events}
        for event in arrival.events:
            if events.setdefault(event.number, event) != event:
                words = f"#{event.number} has two contents: {events[event.number]} and {event}"
                yield Broken(Promise.NUMBER, words)
            if newest[event.reference] is event:
                body = arrival.bodies[event.reference]
                if bodies.setdefault((event.reference, event.number), body) != body:
                    yield Broken(Promise.NUMBER, f"#{event.number} has two bodies")


def _faults_of_accept_order(changes: list[Change]) -> Iterator[Broken]:
    """What was answered before another was sent has the lower number; versions of a resource rise."""
    newest_sent = -inf
    versions: dict[str, int] = {}
    for change in changes:
        if change.answered < newest_sent:
            yield Broken(Promise.ORDER, f"told too late: {change}")
        newest_sent = max(newest_sent, change.sent)
        if change.version <= versions.get(change.reference, 0):
            yield Broken(Promise.ORDER, f"versions out of order: {change}")
        versions[change.reference] = change.version
