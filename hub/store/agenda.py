"""The agenda: which Subscription is due for what, who holds it, and what became of it.

One sorted set per shard maps each Subscription to the moment of its next duty. Retry, heartbeat, batching, order, lease
expiry and recovery after a crash are this one mechanism; there is no task per event and no queue of retries.

Duties of the caller (STORE §3): at most one COMMIT in flight per (partition, shard), also inside one pipelined write;
a retry sends the same list or a re-evaluated one from the cursor on, never a subset; an attempt ends before its lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from hub.domain.change import ChangeId
from hub.domain.delivery import Attempt, Duty, Progress, Verdict
from hub.store.attempts import MOST_KEPT, attempts_key, write_attempt
from hub.store.client import Store
from hub.store.event_log import (
    IncludedReference,
    Reference,
    dead_letters_key,
    log_key,
    read_reference,
    write_reference,
)
from hub.store.keys import Partition, shard_key
from hub.store.scripts import Argument, Command, script
from hub.store.status_codes import CAUSE_CODES, DUTIES, STATUS_CODES, STATUSES

MOST_PER_CALL = 64
"""Matches of a COMMIT, attempts of a SETTLE: keeps a script under a millisecond (STORE §1.6)."""

SCAN_BATCH = 200
"""Of the agenda, in one script that takes less than a millisecond."""


@dataclass(frozen=True, slots=True)
class Match:
    """A change concerns a Subscription, as judged under one version of its definition."""

    change: ChangeId
    subscription: str
    definition_version: int
    partition_index: int
    included: tuple[IncludedReference, ...] = ()

    @property
    def reference(self) -> Reference:
        """What the log of the Subscription says of it."""
        return Reference(self.partition_index, self.change, self.definition_version, self.included)

    @property
    def place(self) -> tuple[int, int, bytes]:
        """The order in which matches are committed."""
        return (self.change.milliseconds, self.change.sequence, self.subscription.encode())


class CommitCode(StrEnum):
    OK = "OK"
    FENCED = "FENCED"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Hold:
    """This process holds a Subscription for one attempt; ``fence`` proves it when the attempt is settled.

    ``references`` are the events of the batch when they came along, else None: read them from the log.
    """

    subscription: str
    duty: Duty
    fence: int
    definition_version: int
    progress: Progress
    references: tuple[Reference, ...] | None = None
    signing: int = 0
    """Generation of the secrets that its notifications are signed with; 0: they are not signed."""

    @property
    def numbers(self) -> range:
        """The events that the attempt carries; none for handshakes, heartbeats and farewells."""
        if self.duty is Duty.AGAIN:
            return self.progress.again
        return self.progress.batch if self.duty is Duty.EVENTS else range(0)


@dataclass(frozen=True, slots=True)
class Committed:
    """``decided`` matches of the call are done; the rest must be evaluated again (STALE) or left (FENCED)."""

    code: CommitCode
    decided: int
    numbers: tuple[int, ...]
    """The number of each match: 0 = it was a repeat, -1 = the Subscription is off or gone."""
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """One finished attempt; ``dead_letter`` is set when the verdict sends an event there."""

    hold: Hold
    verdict: Verdict
    attempt: Attempt
    dead_letter: str = ""


class Agenda:
    """Commit, claim and settle; each takes batches of one shard. ``owner`` names this process over restarts."""

    def __init__(self, store: Store, owner: str, *, batch_wait: timedelta = timedelta(0)) -> None:
        self._store = store
        self._owner = owner
        self._batch_wait_milliseconds = int(batch_wait.total_seconds() * 1000)

    async def commit(
        self, batches: Sequence[tuple[int, Partition, int, Sequence[Match]]], *, hold: bool
    ) -> list[Committed]:
        """Number matches. Each batch is (shard, partition, epoch, ≤ MOST_PER_CALL sorted matches), one per shard."""
        calls = [self._commit_call(*batch, hold=hold) for batch in batches]
        replies = await self._store.send(*calls)
        done = [_committed(reply, batch[3]) for reply, batch in zip(replies, batches, strict=True)]
        for _, partition, _, matches in batches:
            for match in matches[-1:]:
                self._store.witness.saw(partition, match.change)
        return done

    def _commit_call(
        self, shard: int, partition: Partition, epoch: int, matches: Sequence[Match], *, hold: bool
    ) -> Command:
        places: dict[str, int] = {}
        tail: list[Argument] = []
        for match in matches:
            place = places.setdefault(match.subscription, len(places) + 1)
            reference = write_reference(match.reference)
            tail += [place, match.change.milliseconds, match.change.sequence, match.definition_version, reference]
        keys = [shard_key(shard, "hw"), shard_key(shard, "due"), shard_key(shard, "m")]
        keys += [log_key(shard, name) for name in places]
        head: list[Argument] = [
            str(partition),
            epoch,
            self._owner if hold else "",
            self._batch_wait_milliseconds,
            len(places),
        ]
        return script("commit", keys, [*head, *places, *tail])

    async def claim(self, shards: Sequence[int], most: int) -> list[Hold]:
        """Hold up to ``most`` Subscriptions per shard that are due now. Their references are read separately."""
        keys = [[shard_key(shard, part) for part in ("due", "m", "t")] for shard in shards]
        calls = [script("claim", each, [most, self._owner]) for each in keys]
        return [read_hold(told) for reply in await self._store.send(*calls) for told in reply]

    async def settle(self, shard: int, settlements: Sequence[Settlement], *, again: bool) -> list[Hold | bool]:
        """Write verdicts. For each: a new Hold when more is to be sent at once, True: written, False: fenced."""
        keys = [shard_key(shard, part) for part in ("due", "m", "why", "t")]
        arguments: list[Argument] = [self._owner if again else "", MOST_KEPT]
        for settlement in settlements:
            name = settlement.hold.subscription
            keys += [log_key(shard, name), dead_letters_key(shard, name), attempts_key(shard, name)]
            arguments += _verdict_arguments(settlement)
        (reply,) = await self._store.send(script("settle", keys, arguments))
        return [_settled(item) for item in reply]

    async def resume(self, shards: Sequence[int], began: int) -> int:
        """Free what this owner held before ``began`` (ms of Redis's clock), in a former life; how many.

        What it claims meanwhile stays. Whoever is passed over, because others moved at the same moment, waits for its
        lease.
        """
        return sum([await self._resume(shard, began) for shard in shards])

    async def _resume(self, shard: int, began: int) -> int:
        freed, moment, passed_over = 0, began, 0
        keys = [shard_key(shard, "due"), shard_key(shard, "m")]
        while True:
            arguments: list[Argument] = [self._owner, began, moment, passed_over, SCAN_BATCH]
            ((looked_at, found, last, beside),) = await self._store.send(script("resume", keys, arguments))
            freed += int(found)
            if looked_at < SCAN_BATCH:
                return freed
            moment, passed_over = last, beside + (passed_over if last == moment else 0)

    async def waiting(self, shards: Sequence[int]) -> int:
        """How many events wait for delivery in these shards."""
        counts = await self._store.send(*(("HGET", shard_key(shard, "m"), "") for shard in shards))
        return sum(max(0, int(count or 0)) for count in counts)

    async def give_back(self, shard: int, fences: Mapping[str, int]) -> int:
        """Free what this process held under these fences and will not begin; how many still were its own."""
        freed: int = 0
        names = list(fences)
        keys = [shard_key(shard, "due"), shard_key(shard, "m")]
        for start in range(0, len(names), MOST_PER_CALL):
            pairs = [part for name in names[start : start + MOST_PER_CALL] for part in (fences[name], name)]
            (found,) = await self._store.send(script("yield", keys, pairs))
            freed += found
        return freed

    async def next_due_milliseconds(self, shards: Sequence[int]) -> int | None:
        """When something is due in any of these shards, on Redis's clock; None when nothing is."""
        calls = [("ZRANGE", shard_key(shard, "due"), 0, 0, "WITHSCORES") for shard in shards]
        return min((int(float(reply[1])) for reply in await self._store.send(*calls) if reply), default=None)


def _verdict_arguments(settlement: Settlement) -> list[Argument]:
    hold, verdict = settlement.hold, settlement.verdict
    error = json.dumps({"code": verdict.error.code, "text": verdict.error.text}) if verdict.error else ""
    return [
        hold.subscription, hold.fence, STATUS_CODES[verdict.status], verdict.cursor, verdict.failures,
        int(verdict.delay.total_seconds() * 1000), verdict.singly_upto, int(verdict.verified), int(verdict.farewell),
        verdict.refused, int(verdict.held), int(verdict.sent), int(verdict.keep_frozen), error,
        verdict.dead_number, settlement.dead_letter, write_attempt(settlement.attempt), int(verdict.deaf),
        CAUSE_CODES[verdict.cause], verdict.again_done, verdict.again_singly,
    ]  # fmt: skip


def _committed(reply: list[Any], matches: Sequence[Match]) -> Committed:
    code, decided, numbers, held = reply
    holds = [read_hold(told) for told in held]
    if holds:
        numbered = {(match.subscription, number): match for match, number in zip(matches, numbers, strict=False)}
        holds = [_with_references(hold, numbered) for hold in holds]
    return Committed(CommitCode(code.decode()), decided, tuple(numbers), tuple(holds))


def _with_references(hold: Hold, numbered: Mapping[tuple[str, int], Match]) -> Hold:
    """It was idle, so all that it is to send was numbered just now: the log need not be read."""
    found = [numbered.get((hold.subscription, number)) for number in hold.numbers]
    references = tuple(match.reference for match in found if match)
    return replace(hold, references=references) if len(references) == len(found) else hold


def _settled(item: list[Any]) -> Hold | bool:
    if item[0] == 0:
        return False
    if item[0] == 1:
        return True
    references = tuple(read_reference(reference) for reference in item[2])
    return read_hold(item[1], references)


def read_hold(told: list[Any], references: tuple[Reference, ...] | None = None) -> Hold:
    """What a holder is told (``lua/record.lua``)."""
    (name, duty, fence, status, definition, number, cursor, first_kept, frozen, failures, failing_for, refused, singly,
     held, verified, heartbeat, classic, listener, forgiven, first, last, letters, asked_at,
     signing) = told  # fmt: skip
    return Hold(
        subscription=name.decode(),
        duty=DUTIES[duty],
        fence=fence,
        definition_version=definition,
        references=references,
        signing=signing,
        progress=Progress(
            status=STATUSES[status],
            number=number,
            cursor=cursor,
            first_kept=first_kept,
            frozen_upto=frozen,
            failures=failures,
            failing_for=timedelta(milliseconds=failing_for),
            refused=refused,
            singly_upto=singly,
            held=bool(held),
            verified=bool(verified),
            heartbeat=timedelta(milliseconds=heartbeat),
            classic=bool(classic),
            listener=listener.decode(),
            forgiven=forgiven,
            again=range(first, last + 1) if last else range(0),
            again_letters=bool(letters),
            again_asked_at=asked_at,
        ),
    )
