"""What one delivery attempt brought, and what follows from it for its Subscription.

Decided here, in pure functions; the store is told the verdict and only checks that the teller still holds the
Subscription. What is due and when follows from the record alone (``store/lua/record.lua``, decision 0003).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.domain.event import Notification, SubscriptionError
from hub.domain.subscription import Status
from hub.domain.trail import NO_TRAIL, Trail
from hub.domain.transition import Cause


class Duty(StrEnum):
    """What a Subscription is held for."""

    HANDSHAKE = "handshake"
    EVENTS = "events"
    HEARTBEAT = "heartbeat"
    AGAIN = "again"
    """Events that were asked for again, or dead letters: as they were, after everything else (S-190, ruling 19)."""
    FAREWELL = "farewell"
    """The one last notification of a Subscription that was switched off (ruling 20)."""


class OutcomeKind(StrEnum):
    """What the other side did with one attempt (the outcome table DR)."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """This very notification will never be taken: 400, 413, 415, 422 (ruling 19)."""
    FAILED = "failed"
    """Try again later: every other answer, no answer, no connection."""
    GONE = "gone"
    """410: the endpoint says it is over."""
    UNHEARD = "unheard"
    """Nobody listens: no socket is bound. No failure; nothing is attempted until somebody does (S-167)."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What one attempt carries to a subscriber.

    A notification Bundle in ``body``. For a classic Subscription (S-012): nothing at all, or a resource, when
    ``update_of`` is its relative reference (``Observation/1``) below the endpoint. ``subscription`` is the name of the
    Subscription (``str(SubscriptionKey)``), ``notification`` what the Bundle says, None for a classic one. ``numbers``
    are those of its events, ``listener`` says who holds the socket of the subscriber ("" nobody). ``trail`` is that of
    the change behind its newest event. It is signed with each of ``signing_secrets``; with none, not at all.
    """

    body: bytes = b""
    update_of: str = ""
    subscription: str = ""
    notification: Notification | None = None
    numbers: range = range(0)
    listener: str = ""
    trail: Trail = NO_TRAIL
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt; a value, not an exception.

    ``status`` is the HTTP status, or the reply code of a mail server; 0 when there was none.
    ``error`` is "" when delivered, else a code of subscription-error (``dns-resolution-error``, ``no-response``,
    ``error-response``, S-117).
    ``detail`` is safe to show and to log: never a text of the receiver, never a path or a secret.
    ``retry_after_seconds`` is what the receiver asked for (capped at 24 h), None when it asked for nothing.
    ``duration_seconds`` is the whole attempt. ``delivered_upto``: only the numbers up to this one reached the
    subscriber, some of them before this attempt; 0 when all did.
    """

    kind: OutcomeKind
    status: int = 0
    error: str = ""
    detail: str = ""
    retry_after_seconds: float | None = None
    duration_seconds: float = 0.0
    delivered_upto: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it is remembered: no body, no text of the receiver.

    ``numbers`` are the events it carried, empty for other duties; ``at`` is when it ended.
    """

    at: datetime
    duty: Duty
    numbers: range
    outcome: OutcomeKind
    status: int = 0
    error: str = ""
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a held Subscription stands.

    ``number`` is the highest event number given, ``cursor`` the highest delivered, ``first_kept`` the lowest still in
    the log. ``frozen_upto`` is the last number of the batch that this and every repeated attempt carries. Events up to
    ``singly_upto`` go one by one, because a batch with them was refused. ``refused`` counts the dead letters that keep
    it in error. ``held`` means: nothing is attempted until the client asks (``HUB_RECOVERY=client``).
    """

    status: Status
    number: int
    cursor: int
    first_kept: int = 1
    frozen_upto: int = 0
    failures: int = 0
    failing_for: timedelta = timedelta(0)
    refused: int = 0
    singly_upto: int = 0
    held: bool = False
    verified: bool = True
    heartbeat: timedelta = timedelta(0)
    """After how much silence a heartbeat is due; zero: never."""
    classic: bool = False
    """Nothing but events goes to this subscriber: no handshake, no heartbeat, no farewell (S-017)."""
    listener: str = ""
    """Who holds the socket that this Subscription is bound to; "" for nobody and for every other channel."""
    forgiven: int = 0
    """Dead letters up to this number do not keep it in error: the client asked to go on (ruling 19)."""
    again: range = range(0)
    """The event numbers that are sent again, when that is what is to be done next."""
    again_letters: bool = False
    """All of them are dead letters."""
    again_asked_at: int = 0
    """When it was asked for, in milliseconds; part of what makes this delivery another than the first one."""

    @property
    def batch(self) -> range:
        """The event numbers that the attempt carries."""
        return range(self.cursor + 1, self.frozen_upto + 1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again, when to call it an error, when to give up (HOUSE decision 8)."""

    initial: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(hours=2)
    error_after_failures: int = 10
    off_after: timedelta = timedelta(days=7)
    """Zero: never."""
    recovers_by_itself: bool = True
    """False: ``HUB_RECOVERY=client``; in error nothing is attempted until the client PUTs ``requested``."""

    def delay(self, failures: int, jitter: float) -> timedelta:
        """The wait after the n-th failure in a row: doubled each time, moved by 20 % of ``jitter`` (-1 to 1)."""
        doubled = min(self.initial.total_seconds() * 2.0 ** min(failures - 1, 60), self.longest.total_seconds())
        return timedelta(seconds=doubled * (1 + 0.2 * jitter))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a Subscription after an attempt; written as it stands if the fence still holds."""

    status: Status
    cursor: int
    failures: int = 0
    delay: timedelta = timedelta(0)
    singly_upto: int = 0
    verified: bool = True
    farewell: bool = False
    refused: int = 0
    held: bool = False
    sent: bool = False
    """Something reached the subscriber: the heartbeat's clock starts anew (S-145)."""
    keep_frozen: bool = False
    error: SubscriptionError | None = None
    dead_number: int = 0
    """This event goes to the dead letters; 0 = none."""
    deaf: bool = False
    """Nobody listens: nothing is due until a socket is bound."""
    cause: Cause = Cause.CLIENT
    """Why, when the status is another one than before."""
    again_done: int = 0
    """What was sent again is over with up to this number; 0 = nothing."""
    again_singly: int = 0
    """What is sent again goes one by one up to this number; 0 = as it is."""


def judge(duty: Duty, progress: Progress, outcome: Outcome, policy: RetryPolicy, jitter: float) -> Verdict:
    """What follows from one attempt (S-075, S-076, S-148; HOUSE decision 8, rulings 16, 19, 20).

    ``jitter`` is a number in [-1, 1] chosen by the caller.
    """
    if duty is Duty.FAREWELL:
        return replace(_as_it_is(progress), status=Status.OFF, error=_error(outcome))
    if outcome.kind is OutcomeKind.DELIVERED:
        return _delivered(duty, progress, outcome)
    if outcome.kind is OutcomeKind.UNHEARD:
        return replace(_as_it_is(progress), deaf=True)
    if outcome.kind is OutcomeKind.GONE and progress.verified:
        return replace(
            _as_it_is(progress), status=Status.OFF, keep_frozen=False, error=_error(outcome), cause=Cause.GONE
        )
    if outcome.kind is OutcomeKind.REFUSED and duty is Duty.AGAIN:
        return _refused_again(progress, outcome, policy)
    if outcome.kind is OutcomeKind.REFUSED and duty is Duty.EVENTS:
        return _refused(progress, outcome, policy)
    return _failed(duty, progress, outcome, policy, jitter)


def _as_it_is(progress: Progress) -> Verdict:
    return Verdict(
        status=progress.status,
        cursor=progress.cursor,
        failures=progress.failures,
        singly_upto=progress.singly_upto,
        verified=progress.verified,
        refused=progress.refused,
        held=progress.held,
        keep_frozen=True,
    )


def _delivered(duty: Duty, progress: Progress, outcome: Outcome) -> Verdict:
    cursor = outcome.delivered_upto or progress.frozen_upto if duty is Duty.EVENTS else progress.cursor
    drained = duty is Duty.HANDSHAKE or cursor >= progress.number
    status, refused = progress.status, progress.refused
    if duty is Duty.AGAIN and progress.again_letters:
        refused = max(0, refused - sum(number > progress.forgiven for number in progress.again))
    if refused:
        status = Status.ERROR  # until no dead letter is left or the client asks (ruling 19)
    elif drained and not progress.held:
        status = Status.ACTIVE
    recovered = status is Status.ACTIVE
    return Verdict(
        status=status,
        cursor=cursor,
        singly_upto=progress.singly_upto,
        refused=refused,
        held=progress.held,
        sent=True,
        keep_frozen=duty is not Duty.EVENTS,
        error=None if recovered else _still_in_error(replace(progress, refused=refused)),
        cause=_why_active(duty, progress),
        again_done=progress.again[-1] if duty is Duty.AGAIN else 0,
    )


def _why_active(duty: Duty, progress: Progress) -> Cause:
    if duty is Duty.HANDSHAKE:
        return Cause.HANDSHAKE
    return Cause.NO_DEAD_LETTERS if progress.refused else Cause.RECOVERED


def _still_in_error(progress: Progress) -> SubscriptionError:
    if progress.refused:
        return SubscriptionError("error-response", "the endpoint refused at least one event; see the dead letters")
    if progress.held:
        return SubscriptionError("error-response", "the endpoint answers again; PUT status requested to go on")
    return SubscriptionError("error-response", "the endpoint answers again; waiting events are being delivered")


def _refused(progress: Progress, outcome: Outcome, policy: RetryPolicy) -> Verdict:
    """A batch is tried again one by one; a single refused event goes to the dead letters and the rest goes on."""
    as_it_is = replace(_as_it_is(progress), keep_frozen=False, failures=0)
    if len(progress.batch) > 1:
        return replace(as_it_is, singly_upto=progress.frozen_upto, error=_error(outcome))
    return replace(
        as_it_is,
        status=Status.ERROR,
        cursor=progress.frozen_upto,
        refused=progress.refused + 1,
        held=not policy.recovers_by_itself,
        dead_number=progress.frozen_upto,
        error=_error(outcome),
        cause=Cause.REFUSED,
    )


def _refused_again(progress: Progress, outcome: Outcome, policy: RetryPolicy) -> Verdict:
    """As at the first time. A dead letter that is refused once more stays one; it is not counted twice.

    An event from before the client asked to go on holds nothing back: that is forgiven.
    """
    as_it_is = replace(_as_it_is(progress), failures=0, error=_error(outcome), cause=Cause.REFUSED)
    number = progress.again[-1]
    if len(progress.again) > 1:
        return replace(as_it_is, again_singly=number)
    dead = replace(as_it_is, dead_number=number, again_done=number)
    if number <= progress.forgiven:
        return dead
    refused = progress.refused + (not progress.again_letters)
    return replace(dead, status=Status.ERROR, refused=refused, held=not policy.recovers_by_itself)


def _failed(duty: Duty, progress: Progress, outcome: Outcome, policy: RetryPolicy, jitter: float) -> Verdict:
    failures = progress.failures + 1
    status = progress.status
    delay = policy.delay(failures, jitter)
    if outcome.retry_after_seconds is not None:  # never sooner than by ourselves: 0 would be a hot loop
        delay = max(delay, timedelta(seconds=outcome.retry_after_seconds))
    too_silent = bool(progress.heartbeat) and delay > progress.heartbeat  # while active no period may pass in silence
    if duty is Duty.HANDSHAKE or failures >= policy.error_after_failures or too_silent:
        status = Status.ERROR
    given_up = bool(policy.off_after) and progress.failing_for >= policy.off_after
    if given_up:
        status = Status.OFF
    return replace(
        _as_it_is(progress),
        status=status,
        failures=failures,
        delay=delay,
        farewell=given_up and progress.verified and not progress.classic,
        held=progress.held or (status is Status.ERROR and not policy.recovers_by_itself),
        error=_error(outcome),
        cause=_why_failed(duty, given_up=given_up),
    )


def _why_failed(duty: Duty, *, given_up: bool) -> Cause:
    if given_up:
        return Cause.GIVEN_UP
    return Cause.HANDSHAKE_FAILED if duty is Duty.HANDSHAKE else Cause.DELIVERY_FAILED


def _error(outcome: Outcome) -> SubscriptionError | None:
    if outcome.kind in (OutcomeKind.DELIVERED, OutcomeKind.UNHEARD):
        return None
    return SubscriptionError(outcome.error or "error-response", outcome.detail or f"HTTP {outcome.status}")


def status_after_update(present: Status, submitted: Status, *, verify_anew: bool) -> Status | None:
    """The status that a client's update leads to; None when it stays as it is (S-072…S-074, S-076, ruling 17).

    ``active`` from error or off counts as ``requested``: the handshake runs again. A new endpoint, header, content
    level or content type needs a new handshake whatever was submitted, unless the Subscription is to be off.
    """
    if submitted in (Status.OFF, Status.ENTERED_IN_ERROR):
        return submitted
    stopped = present in (Status.OFF, Status.ENTERED_IN_ERROR)
    if submitted is Status.REQUESTED or (submitted is Status.ACTIVE and (stopped or present is Status.ERROR)):
        return Status.REQUESTED
    return Status.REQUESTED if verify_anew and not stopped else None
