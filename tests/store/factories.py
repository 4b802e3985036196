"""Small ways to put things into the store and to act for the hub's processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.domain.change import ChangeId, ResourceKey
from hub.domain.delivery import Attempt, Duty, Outcome, OutcomeKind, RetryPolicy, judge
from hub.domain.subscription import Channel, Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.store.acceptance import Offer, Operation
from hub.store.agenda import Agenda, Committed, Hold, Match, Settlement
from hub.store.client import Store
from hub.store.event_log import EventLog, write_dead_letter
from hub.store.keys import Partition
from hub.store.subscriptions import Definition, Put, Record, Subscriptions

PARTITION = Partition("default", FhirVersion.R5, 0)
NEVER_ERROR = RetryPolicy(initial=timedelta(milliseconds=1), error_after_failures=10**6)


def resource_key(reference: str) -> ResourceKey:
    resource_type, _, identity = reference.partition("/")
    return ResourceKey("default", FhirVersion.R5, resource_type, identity)


def offer(reference: str, operation: Operation = Operation.PUT, body: bytes = b"{}", **more: object) -> Offer:
    return Offer(resource_key(reference), operation, body, **more)  # type: ignore[arg-type]


def subscription(**channel: object) -> Subscription:
    end, criteria = channel.pop("end", None), str(channel.pop("criteria", ""))
    settings: dict[str, object] = {"type": "rest-hook", "endpoint": "http://127.0.0.1:1/hook", "max_count": 10}
    reach = Channel(**(settings | channel))  # type: ignore[arg-type]
    return Subscription("http://example.org/topic", reach, end=end, criteria=criteria)  # type: ignore[arg-type]


def attempted(hold: Hold, kind: OutcomeKind = OutcomeKind.DELIVERED) -> Attempt:
    return Attempt(datetime(2026, 1, 2, tzinfo=UTC), hold.duty, hold.numbers, kind, 500, "error-response", 0.25)


class Lab:
    """One shard, one partition, and short names for what the hub's processes do."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.agenda = Agenda(store, "lab")
        self.subscriptions = Subscriptions(store)
        self.log = EventLog(store)

    def name(self, short: str) -> str:
        return f"default|r5|{short}"

    def key(self, short: str) -> SubscriptionKey:
        return SubscriptionKey("default", FhirVersion.R5, short)

    async def put(
        self, short: str, expected: int | None = 0, status: Status | None = Status.REQUESTED, *, anew: bool = False,
        **channel: object,
    ) -> Put:  # fmt: skip
        definition = Definition("{}", {}, "owner", datetime.now(UTC).isoformat())
        key = self.key(short)
        wanted = subscription(**channel)
        return await self.subscriptions.put(
            key, wanted, definition, expected_version=expected, status=status, verify_anew=anew
        )

    async def activate(self, *shorts: str, **channel: object) -> None:
        """Create and shake hands."""
        for short in shorts:
            await self.put(short, **channel)  # type: ignore[arg-type]
        for hold in await self.claim():
            assert hold.duty is Duty.HANDSHAKE
            assert await self.settle(hold) is True

    def match(self, at: int, short: str, definition: int = 1) -> Match:
        return Match(ChangeId(at, 0), self.name(short), definition, 0)

    async def commit(self, *matches: Match, epoch: int = 1, hold: bool = True) -> Committed:
        ordered = sorted(matches, key=lambda match: match.place)
        (committed,) = await self.agenda.commit([(0, PARTITION, epoch, ordered)], hold=hold)
        return committed

    async def claim(self, most: int = 100) -> list[Hold]:
        return await self.agenda.claim([0], most)

    async def settle(
        self, hold: Hold, kind: OutcomeKind = OutcomeKind.DELIVERED, *, policy: RetryPolicy = NEVER_ERROR,
        again: bool = False,
    ) -> Hold | bool:  # fmt: skip
        verdict = judge(hold.duty, hold.progress, Outcome(kind, 500, "error-response"), policy, 0)
        letter = write_dead_letter(hold.references[0], 422, "no") if verdict.dead_number and hold.references else "{}"
        settlement = Settlement(hold, verdict, attempted(hold, kind), letter if verdict.dead_number else "")
        (result,) = await self.agenda.settle(0, [settlement], again=again)
        return result

    async def record(self, short: str) -> Record:
        (record,) = await self.subscriptions.records([self.name(short)])
        assert record is not None
        return record

    async def log_length(self, short: str) -> int:
        """The length of the log, after checking that first kept number + length - 1 is the highest number."""
        record = await self.record(short)
        (length,) = await self.store.send(("LLEN", f"{{d0}}:e:{self.name(short)}"))
        assert record.first_kept + length - 1 == record.number
        return int(length)

    async def lease_ends_now(self, *shorts: str) -> None:
        """As if the lease of each had run out: its record says so, and the agenda looks at it."""
        script = (
            "local m = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1])) m[6] = 1 "
            "redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(m)) redis.call('ZADD', KEYS[2], 1, ARGV[1])"
        )
        for short in shorts:
            await self.store.send(("EVAL", script, 2, "{d0}:m", "{d0}:due", self.name(short)))
