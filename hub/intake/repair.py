"""Looking into deliveries and repairing them: attempts, transitions, dead letters, sending again, pausing.

Whatever is sent again goes out with its own numbers, after everything that waits (S-190, S-191, ruling 19).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hub.domain.again import MOST_STRETCHES, Stretch, consecutive, dropped, joined, stretches
from hub.domain.delivery import Attempt
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.transition import Cause, Transition
from hub.errors import Conflict, Gone, NotFound, Unprocessable
from hub.fhir.json import write_instant
from hub.fhir.repair_request import ResendParameters
from hub.reading.definitions import living, read_definition
from hub.store.again import Again, AgainCode, AgainReply
from hub.store.attempts import Attempts
from hub.store.event_log import DeadLetter, EventLog
from hub.store.life import BY_REQUEST, Life
from hub.store.subscriptions import Record, Subscriptions

MOST_TRIES = 20
PAGE = 500
MOST_SEARCHED = 100_000
"""Events among which an instant is looked for: their times are read one by one, because acceptance by several
partitions is in no order."""
REDRIVABLE = (Status.REQUESTED, Status.ACTIVE, Status.ERROR)
KEPT = "until they are delivered: nothing that waits expires by time, and further events are numbered"


@dataclass(frozen=True, slots=True)
class SentAgain:
    """The numbers that are on their way again, and what else is to be said about those that are not."""

    numbers: tuple[range, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepairService:
    """``due`` is called when something is to be sent."""

    subscriptions: Subscriptions
    log: EventLog
    attempts_kept: Attempts
    again: Again
    life: Life
    due: Callable[[], None]

    async def attempts(self, key: SubscriptionKey) -> list[Attempt]:
        """The last ones, oldest first: no body, no text of the receiver. Raises NotFound, Gone."""
        await self.record(key)
        return await self.attempts_kept.of(str(key))

    async def transitions(self, key: SubscriptionKey) -> tuple[Record, list[Transition]]:
        """Where it stands, and how it came there. Raises NotFound, and Gone telling when and by whom it was deleted."""
        found = await self.life.transitions(str(key))
        try:
            return await self.record(key), found
        except Gone as gone:
            if not found or found[-1].after is not None:
                raise
            by = f" by {found[-1].by}" if found[-1].by else ""
            raise Gone(f"Subscription/{key.id} was deleted at {write_instant(found[-1].at)}{by}") from gone

    async def dead_letters(self, key: SubscriptionKey) -> tuple[Record, list[DeadLetter]]:
        """Lowest number first. Raises NotFound, Gone."""
        return await self.record(key), await self.log.dead_letters(str(key))

    async def resend(self, key: SubscriptionKey, wanted: ResendParameters) -> SentAgain:
        """Send delivered events again (S-190). Raises NotFound for numbers that are not held, Unprocessable when the
        Subscription is not active (S-191), has no numbers or is asked by instant among too many, Conflict when
        MOST_STRETCHES wait to be sent again already, Gone."""
        if await self.is_classic(key):
            raise Unprocessable("the events of a classic Subscription have no numbers to ask by", code="not-supported")
        for _ in range(MOST_TRIES):
            record, letters = await self.dead_letters(key)
            _refuse_unless_active(key, record)
            found = await self._held(key, record, wanted)
            if not found:
                held = f"{record.first_kept} to {record.cursor}" if record.cursor >= record.first_kept else "none"
                raise NotFound(f"no delivered event of Subscription/{key.id} in that range is held; held: {held}")
            numbers = {letter.number for letter in letters}
            sent = await self._send(key, record, found, numbers, (Status.ACTIVE,))
            if sent is not None:
                return replace(sent, warnings=(*_not_held(wanted, record), *sent.warnings))
        raise Conflict(f"Subscription/{key.id} is being delivered to at this moment; ask again")

    async def redrive(self, key: SubscriptionKey, wanted: Sequence[range]) -> SentAgain:
        """Send dead letters again, all when none is named. Raises NotFound, Unprocessable when it is off, Gone."""
        for _ in range(MOST_TRIES):
            record, letters = await self.dead_letters(key)
            numbers = {letter.number for letter in letters if not wanted or _in(letter.number, wanted)}
            if not numbers:
                raise NotFound(f"Subscription/{key.id} has no such dead letter")
            every = {letter.number for letter in letters}
            sent = await self._send(key, record, consecutive(numbers), every, REDRIVABLE)
            if sent is not None:
                return sent
        raise Conflict(f"Subscription/{key.id} is being delivered to at this moment; ask again")

    async def drop(self, key: SubscriptionKey, wanted: Sequence[range], principal: str) -> int:
        """Forget dead letters for good; how many. Raises NotFound when there is none of them, Gone."""
        for _ in range(MOST_TRIES):
            record, letters = await self.dead_letters(key)
            numbers = [letter.number for letter in letters if _in(letter.number, wanted)]
            if not numbers:
                raise NotFound(f"Subscription/{key.id} has no such dead letter")
            reply = await self.again.drop(key, record.again, dropped(record.again, numbers), numbers, by=principal)
            if reply.code is AgainCode.OK:
                self.due()
                return reply.count
        raise Conflict(f"Subscription/{key.id} is being delivered to at this moment; ask again")

    async def pause(self, key: SubscriptionKey, principal: str, *, paused: bool) -> Record:
        """Hold it back, or let it go on, if it is not so already; the record afterwards. Raises NotFound, Gone."""
        await self.record(key)
        cause = Cause.PAUSED if paused else Cause.RESUMED
        await self.life.hold(key, BY_REQUEST, cause, paused=paused, by=principal)
        self.due()
        return await self.record(key)

    async def record(self, key: SubscriptionKey) -> Record:
        """The live side of one that is there. Raises NotFound, Gone."""
        return (await living(self.subscriptions, key))[0]

    async def _send(
        self,
        key: SubscriptionKey,
        record: Record,
        numbers: Sequence[range],
        letters: set[int],
        statuses: Sequence[Status],
    ) -> SentAgain | None:
        """None when the record moved meanwhile."""
        waiting = [each.numbers for each in record.again]
        more = stretches(numbers, letters, waiting, time.time_ns() // 1_000_000)
        room = max(0, MOST_STRETCHES - len(record.again))
        warnings = ["some of them are on their way again already"] if _fewer(more, numbers) else []
        if more and not room:
            raise Conflict(
                f"{MOST_STRETCHES} stretches of numbers of Subscription/{key.id} wait to be sent again; ask again when "
                "some of them are out"
            )
        if len(more) > room:
            warnings.append(f"those from number {more[room].numbers[0]} on found no room: ask again when these are out")
            more = more[:room]
        if more:
            reply = await self.again.add(key, record.again, len(letters), more, statuses)
            if reply.code is AgainCode.MOVED:
                return None
            _refuse(key, reply)
            self.due()
        return SentAgain(tuple(joined(each.numbers for each in more)), tuple(warnings))

    async def _held(self, key: SubscriptionKey, record: Record, wanted: ResendParameters) -> list[range]:
        """The delivered numbers that are asked for, as far as they are held. Raises Unprocessable for too many."""
        first = max(wanted.since or 1, record.first_kept)
        last = record.cursor if wanted.until is None else min(wanted.until, record.cursor)
        numbers = range(first, last + 1)
        if wanted.since_instant is None and wanted.until_instant is None:
            return [numbers] if numbers else []
        if len(numbers) > MOST_SEARCHED:
            raise Unprocessable(
                f"{len(numbers)} events are held, and an instant is looked for among at most {MOST_SEARCHED}: name "
                "numbers too (eventsSinceNumber, eventsUntilNumber)",
                code="too-costly",
            )
        found: list[range] = []
        for start in range(numbers.start, numbers.stop, PAGE):
            page = range(start, min(start + PAGE, numbers.stop))
            ((held_from, references),) = await self.log.read([(str(key), page)])
            inside = (
                number
                for number, reference in enumerate(references, held_from)
                if _within(reference.change.instant, wanted)
            )
            found += consecutive(inside)
        return joined(found)

    async def is_classic(self, key: SubscriptionKey) -> bool:
        """Whether its events have no numbers (S-017). Raises NotFound, Gone."""
        _, definition = await living(self.subscriptions, key)
        return read_definition(key.base, definition).is_classic


def waiting_in(record: Record) -> range:
    """The numbers that have not been delivered yet."""
    return range(record.cursor + 1, record.number + 1)


def _in(number: int, ranges: Sequence[range]) -> bool:
    return any(number in each for each in ranges)


def _within(instant: datetime, wanted: ResendParameters) -> bool:
    early = wanted.since_instant is not None and instant < wanted.since_instant
    return not early and (wanted.until_instant is None or instant <= wanted.until_instant)


def _fewer(found: Sequence[Stretch], wanted: Sequence[range]) -> bool:
    return sum(len(each.numbers) for each in found) < sum(map(len, wanted))


def _not_held(wanted: ResendParameters, record: Record) -> tuple[str, ...]:
    """What was asked for by number and will not be sent again."""
    first, last = wanted.since or record.first_kept, wanted.until or record.cursor
    if wanted.since is None and wanted.until is not None:
        first = 1
    told = []
    if first < record.first_kept:
        told.append(f"events {first} to {min(last, record.first_kept - 1)} are past their retention and no longer held")
    if last > record.cursor and record.number > record.cursor:
        told.append(f"events from {record.cursor + 1} on have not been delivered yet; they are sent anyway")
    return tuple(told)


def _refuse_unless_active(key: SubscriptionKey, record: Record) -> None:
    if record.status is not Status.ACTIVE:
        raise Unprocessable(
            f"Subscription/{key.id} is {record.status}: events are sent again only while it is active (dead letters: "
            "$dead-letters with action redrive)",
            code="business-rule",
        )


def _refuse(key: SubscriptionKey, reply: AgainReply) -> None:
    if reply.code is AgainCode.ABSENT:
        raise Gone(f"Subscription/{key.id} was deleted")
    if reply.code is AgainCode.STATUS:
        raise Unprocessable(
            f"Subscription/{key.id} is {reply.status}: nothing is sent; PUT it with status requested first",
            code="business-rule",
        )
