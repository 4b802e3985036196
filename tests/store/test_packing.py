"""How records remember: packed, so that many fit; read back as it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import resources

import pytest

from hub.domain.delivery import Attempt, Duty, OutcomeKind
from hub.domain.subscription import Status
from hub.domain.transition import Cause
from hub.store.attempts import OUTCOME_CODES, Attempts, read_attempt, write_attempt
from hub.store.client import Store
from hub.store.life import Life, read_transitions
from hub.store.status_codes import ANOTHER, CAUSE_CODES, DUTY_CODES, PRINCIPAL_CODES, STATUS_CODES, WIDTH
from tests.store.factories import Lab

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.mark.parametrize("duty", Duty)
@pytest.mark.parametrize("outcome", OutcomeKind)
def test_every_kind_of_attempt_is_read_back(duty: Duty, outcome: OutcomeKind) -> None:
    attempt = Attempt(AT, duty, range(7, 9), outcome, 503, "error-response", 0.25)
    assert read_attempt(write_attempt(attempt)) == attempt


@pytest.mark.parametrize(
    "numbers",
    [range(0), range(1, 2), range(127, 129), range(2**40, 2**40 + 10_000)],
    ids=["none", "one", "two", "many"],
)
def test_numbers_of_any_size_are_read_back(numbers: range) -> None:
    attempt = Attempt(AT, Duty.EVENTS, numbers, OutcomeKind.FAILED, 0, "no-response", 120.0)
    assert read_attempt(write_attempt(attempt)) == attempt


def test_a_delivery_takes_few_bytes() -> None:
    assert len(write_attempt(Attempt(AT, Duty.EVENTS, range(1, 2), OutcomeKind.DELIVERED, 200, "", 0.012))) == 12


def test_every_word_has_a_code_of_its_own_that_fits() -> None:
    for codes, words in (
        (CAUSE_CODES, Cause),
        (DUTY_CODES, Duty),
        (OUTCOME_CODES, OutcomeKind),
        (STATUS_CODES, Status),
    ):
        assert set(codes) == set(words) and len(set(codes.values())) == len(codes)
    assert max(DUTY_CODES.values()) < 16 > max(STATUS_CODES.values())
    assert max(CAUSE_CODES.values()) < WIDTH and max(PRINCIPAL_CODES.values()) < ANOTHER < 256 // WIDTH


def test_the_scripts_know_the_end_by_the_same_code() -> None:
    text = (resources.files("hub.store") / "lua" / "record.lua").read_text(encoding="utf-8")
    found = re.search(r"AT_ITS_END = (\d+)", text)
    assert found and int(found[1]) == CAUSE_CODES[Cause.END], "the only one that a script chooses by itself"


def test_nothing_noted_is_no_transition() -> None:
    assert read_transitions(b"") == []


async def test_the_first_handshake_is_in_the_record_and_moves_to_the_list_with_the_second_attempt(store: Store) -> None:
    lab, attempts = Lab(store), Attempts(store)
    await lab.activate("a")
    assert [each.duty for each in await attempts.of(lab.name("a"))] == [Duty.HANDSHAKE]
    assert await store.send(("EXISTS", f"{{d0}}:a:{lab.name('a')}")) == [0]
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.settle(hold)
    assert [each.duty for each in await attempts.of(lab.name("a"))] == [Duty.HANDSHAKE, Duty.EVENTS]
    assert await store.send(("LLEN", f"{{d0}}:a:{lab.name('a')}")) == [2]


async def test_transitions_beyond_those_in_the_record_come_first(store: Store) -> None:
    lab = Lab(store)
    await lab.activate("a")
    for number in range(1, 4):
        for status in (Status.OFF, Status.ACTIVE):
            await lab.put("a", None, status)
        found = await Life(store).transitions(lab.name("a"))
        assert [each.after for each in found] == [
            Status.REQUESTED, Status.ACTIVE, *[Status.OFF, Status.ACTIVE] * number
        ]  # fmt: skip
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert await store.send(("HEXISTS", "{d0}:t", lab.name("a"))) == [int(number > 1)]


async def test_who_never_existed_has_no_past(store: Store) -> None:
    assert await Life(store).transitions("default|r5|never") == []
    assert await Attempts(store).of("default|r5|never") == []


async def test_nobody_owns_what_is_not_held(store: Store) -> None:
    """The name of a process is longer than the rest of an idle record."""
    lab = Lab(store)
    await lab.activate("a")
    (record,) = await store.send(("HGET", "{d0}:m", lab.name("a")))
    assert b"lab" not in record
    await lab.commit(lab.match(1, "a"))
    (record,) = await store.send(("HGET", "{d0}:m", lab.name("a")))
    assert b"lab" in record
