"""SIGN on a real Redis: secrets come, overlap and go (SECURITY C4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.delivery import Duty
from hub.reading.signing import SigningSecrets
from hub.store.client import Store
from hub.store.signing import MOST_SECRETS, SignCode, SigningStore
from tests.store.factories import Lab

DAY = timedelta(hours=24)


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


@pytest.fixture
def signing(store: Store) -> SigningStore:
    return SigningStore(store)


async def signed_generation(lab: Lab, short: str) -> int:
    """What the next holder is told."""
    record = await lab.record(short)
    (hold,) = (await lab.commit(lab.match(record.number + 1, short, record.definition_version))).holds
    assert hold.duty is Duty.EVENTS and await lab.settle(hold) is True
    return hold.signing


async def test_nothing_is_signed_until_a_secret_is_asked_for(lab: Lab, signing: SigningStore) -> None:
    await lab.activate("a")
    assert await signed_generation(lab, "a") == 0
    assert (await signing.add(lab.name("a"), "one", DAY)).overlap_until is None
    assert await signed_generation(lab, "a") == 1
    assert [each.secret for each in await signing.secrets(lab.name("a"))] == ["one"]


async def test_both_sign_during_the_overlap_and_then_the_newer_alone(lab: Lab, signing: SigningStore) -> None:
    await lab.activate("a")
    await signing.add(lab.name("a"), "one", DAY)
    told = await signing.add(lab.name("a"), "two", DAY)
    assert told.overlap_until is not None
    for later, expected in ((timedelta(0), ("two", "one")), (timedelta(seconds=1), ("two",))):
        at = told.overlap_until - timedelta(seconds=0.5) + later
        reader = SigningSecrets(signing, clock=lambda at=at: at)  # type: ignore[misc]
        assert await reader.get(lab.name("a"), await signed_generation(lab, "a")) == expected


async def test_a_newer_generation_is_read_anew(lab: Lab, signing: SigningStore) -> None:
    await lab.activate("a")
    reader = SigningSecrets(signing, clock=lambda: datetime.now(UTC))
    await signing.add(lab.name("a"), "one", DAY)
    assert await reader.get(lab.name("a"), await signed_generation(lab, "a")) == ("one",)
    await signing.stop(lab.name("a"))
    assert await signed_generation(lab, "a") == 0
    await signing.add(lab.name("a"), "two", DAY)
    assert await signed_generation(lab, "a") == 3, "a generation is never given twice"
    assert await reader.get(lab.name("a"), 3) == ("two",)


async def test_no_more_secrets_sign_at_a_time_than_a_header_should_hold(lab: Lab, signing: SigningStore) -> None:
    await lab.activate("a")
    for number in range(MOST_SECRETS):
        assert (await signing.add(lab.name("a"), f"s{number}", DAY)).code is SignCode.OK
    assert (await signing.add(lab.name("a"), "more", DAY)).code is SignCode.TOO_MANY
    assert len(await signing.secrets(lab.name("a"))) == MOST_SECRETS
    await signing.stop(lab.name("a"))
    assert (await signing.add(lab.name("a"), "more", DAY)).overlap_until is None


async def test_secrets_that_ended_make_room(lab: Lab, signing: SigningStore) -> None:
    await lab.activate("a")
    for number in range(3 * MOST_SECRETS):
        assert (await signing.add(lab.name("a"), f"s{number}", timedelta(0))).code is SignCode.OK
    assert len(await signing.secrets(lab.name("a"))) <= 2


async def test_a_deleted_subscription_leaves_no_secret(lab: Lab, signing: SigningStore, store: Store) -> None:
    await lab.activate("a")
    await signing.add(lab.name("a"), "one", DAY)
    await lab.subscriptions.remove(lab.key("a"), None)
    assert not await signing.secrets(lab.name("a"))
    assert (await signing.add(lab.name("a"), "two", DAY)).code is SignCode.ABSENT
    await lab.activate("a")
    assert await signed_generation(lab, "a") == 0
