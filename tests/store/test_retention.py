"""The janitor: what may go goes, and nothing that an event still needs (ruling 14)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.domain.change import ChangeId
from hub.domain.delivery import Outcome, OutcomeKind, judge
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.intake.retention import Janitor
from hub.store.acceptance import Accepted, Operation
from hub.store.agenda import Hold, Match, Settlement
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.event_log import EventLog, Reference, write_dead_letter
from hub.store.subscriptions import Subscriptions
from tests.store.factories import NEVER_ERROR, PARTITION, Lab, attempted, offer, resource_key

LATER = 10**9
"""Milliseconds after now, when everything is older than any retention here."""


class Household:
    """Changes that are events of Subscription ``a``, and a janitor."""

    def __init__(self, store: Store, *, most_kept: int = 1000, retention: timedelta = timedelta(hours=1)) -> None:
        self.store = store
        self.lab = Lab(store)
        self.changes = Changes(store, most_waiting=10_000)
        self.told: list[tuple[str, int]] = []
        self.subscriptions = Subscriptions(store)
        self.janitor = Janitor(
            self.changes, self.subscriptions, EventLog(store), store.layout, "default", self._reconcile,
            retention=retention, most_kept=most_kept,
        )  # fmt: skip

    async def _reconcile(self, name: str, version: int) -> None:
        self.told.append((name, version))

    async def change(self, *references: str, operation: Operation = Operation.PUT) -> list[Accepted]:
        return await self.changes.accept(
            PARTITION, [offer(reference, operation, reference.encode()) for reference in references]
        )

    async def judge(self, *accepted: Accepted, of: str = "a") -> list[Hold]:
        """Commit them as events and move the cursor."""
        matches = [Match(each.id, self.lab.name(of), 1, 0) for each in accepted if each.id]
        committed = await self.lab.commit(*matches)
        await self.pass_by(*accepted)
        return list(committed.holds)

    async def pass_by(self, *accepted: Accepted) -> None:
        lease = await self.changes.own(PARTITION, "me", "1", 10_000)
        last = accepted[-1].id
        assert last
        await self.changes.advance(PARTITION, "me", "1", lease.epoch, last, len(accepted), 10_000)

    async def clean(self, after_milliseconds: int = LATER) -> None:
        await self.janitor.round(await self.store.clock_milliseconds() + after_milliseconds)

    async def held(self) -> list[ChangeId]:
        return [entry.id for entry in await self.changes.oldest(PARTITION, 1000)]


@pytest.fixture
async def house(store: Store) -> Household:
    house = Household(store)
    await house.lab.activate("a")
    return house


async def test_what_waits_is_never_retired_and_what_was_delivered_goes(house: Household) -> None:
    accepted = await house.change("Patient/1", "Patient/2", "Patient/3")
    (hold,) = await house.judge(*accepted)
    await house.clean()
    assert await house.held() == [each.id for each in accepted]
    assert await house.lab.log_length("a") == 3
    await house.lab.settle(hold)
    await house.clean()
    await house.clean()
    assert await house.lab.log_length("a") == 0
    assert len(await house.held()) <= 1, "the newest judged change may stay for another round"


async def test_heads_outlive_the_stream(house: Household) -> None:
    accepted = await house.change("Patient/1", "Patient/2", "Patient/1")
    await house.pass_by(*accepted)
    await house.pass_by(*await house.change("Patient/9"))
    await house.clean()
    for reference, version in (("Patient/1", 2), ("Patient/2", 1)):
        found = await house.changes.version(PARTITION, resource_key(reference), None)
        assert found and (found.body, found.version) == (reference.encode(), version)
    assert await house.changes.version(PARTITION, resource_key("Patient/1"), 1) is None


async def test_delivered_events_stay_within_their_retention_with_their_bodies(house: Household) -> None:
    accepted = await house.change("Patient/1", "Patient/1")
    (hold,) = await house.judge(*accepted)
    await house.lab.settle(hold)
    await house.clean(after_milliseconds=1000)
    assert await house.lab.log_length("a") == 2
    assert await house.held() == [each.id for each in accepted]


async def test_only_so_many_delivered_events_are_kept_and_numbers_go_on(store: Store) -> None:
    house = Household(store, most_kept=2)
    await house.lab.activate("a")
    (hold,) = await house.judge(*await house.change(*(f"Patient/{number}" for number in range(5))))
    await house.lab.settle(hold)
    await house.clean(after_milliseconds=0)
    assert ((await house.lab.record("a")).first_kept, await house.lab.log_length("a")) == (4, 2)
    (following,) = await house.judge(*await house.change("Patient/6"))
    assert list(following.progress.batch) == [6]


async def test_a_count_never_reaches_past_the_cursor(store: Store) -> None:
    house = Household(store, most_kept=2)
    await house.lab.activate("a", max_count=1)
    accepted = await house.change(*(f"Patient/{number}" for number in range(5)))
    (hold,) = await house.judge(*accepted)
    await house.clean(after_milliseconds=0)
    assert await house.lab.log_length("a") == 5, "nothing was delivered yet"
    await house.lab.settle(hold)
    await house.clean()
    record = await house.lab.record("a")
    assert (record.cursor, record.first_kept) == (1, 2), "only what was delivered went, by count and by age"
    assert await house.held() == [each.id for each in accepted[1:]]


async def test_a_count_of_none_keeps_what_waits_and_every_head(store: Store) -> None:
    house = Household(store, most_kept=0)
    await house.lab.activate("a")
    (hold,) = await house.judge(*await house.change("Patient/1", "Patient/1", "Patient/2"))
    await house.lab.settle(hold)
    waiting = await house.judge(*await house.change("Patient/3"))
    await house.clean()
    assert (await house.lab.log_length("a"), len(waiting)) == (1, 1)
    for reference, version in (("Patient/1", 2), ("Patient/2", 1), ("Patient/3", 1)):
        found = await house.changes.version(PARTITION, resource_key(reference), None)
        assert found and (found.body, found.version) == (reference.encode(), version)


async def test_what_a_dead_letter_tells_of_is_kept(house: Household) -> None:
    refused, fine = await house.change("Patient/1", "Patient/1")
    (hold,) = await house.judge(refused)
    verdict = judge(hold.duty, hold.progress, Outcome(OutcomeKind.REFUSED, 422), NEVER_ERROR, 0)
    assert refused.id
    letter_text = write_dead_letter(Reference(0, refused.id, 1), 422, "HTTP status 422")
    assert await house.lab.agenda.settle(0, [Settlement(hold, verdict, attempted(hold), letter_text)], again=False) == [
        True
    ]
    (letter,) = await house.lab.log.dead_letters(house.lab.name("a"))
    assert (letter.number, letter.reference.change) == (1, refused.id)
    (hold,) = await house.judge(fine)
    await house.lab.settle(hold)
    await house.clean()
    assert await house.lab.log_length("a") == 0
    assert refused.id in await house.held()


async def test_what_waits_behind_off_is_kept(house: Household) -> None:
    accepted = await house.change("Patient/1", "Patient/1")
    await house.judge(*accepted)
    await house.lab.put("a", 1, Status.OFF)
    await house.clean()
    assert await house.held() == [each.id for each in accepted]
    assert await house.lab.log_length("a") == 2


async def test_a_deleted_subscription_keeps_nothing(house: Household) -> None:
    accepted = await house.change("Patient/1", "Patient/1", "Patient/2")
    await house.judge(*accepted)
    await house.subscriptions.remove(SubscriptionKey("default", FhirVersion.R5, "a"), None)
    await house.clean()
    assert await house.held() in ([], [accepted[-1].id])


async def test_a_backlog_that_is_judged_during_the_round_keeps_what_its_events_need(house: Household) -> None:
    """A hub that comes back after longer than the retention judges old changes while the janitor looks around."""
    accepted = await house.change("Patient/1", "Patient/1")
    looked_at = house.janitor._note_needed

    async def judged_just_after(name: str, limits: dict[object, ChangeId]) -> None:
        await looked_at(name, limits)  # type: ignore[arg-type]
        await house.judge(*accepted)

    house.janitor._note_needed = judged_just_after  # type: ignore[method-assign, assignment]
    await house.clean()
    assert await house.held() == [each.id for each in accepted]


async def test_more_than_one_page_is_retired_in_one_round(house: Household) -> None:
    for _ in range(6):
        await house.pass_by(*await house.change(*(f"Patient/{number}" for number in range(30))))
    await house.clean()
    assert len(await house.held()) <= 1


async def test_every_definition_met_on_the_way_is_told(house: Household) -> None:
    await house.lab.put("b")
    await house.lab.put("b", 1, None)
    await house.clean()
    assert sorted(house.told) == [(house.lab.name("a"), 1), (house.lab.name("b"), 2)]
