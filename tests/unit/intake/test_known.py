"""What is kept of a Subscription beside the index, and that nothing of it is lost in few bytes."""

from __future__ import annotations

import pytest

from hub.domain.change import ChangeId
from hub.domain.subscription import Channel, Content, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.intake.known import KnownSubscriptions, Registered

KEY = SubscriptionKey("default", FhirVersion.R5, "a")
TOPIC = "http://topics.example/t|1.0"


def a_subscription(topic: str = TOPIC, content: Content = Content.ID_ONLY) -> Subscription:
    return Subscription(topic, Channel("rest-hook", "http://127.0.0.1/x", content=content))


@pytest.mark.parametrize("content", list(Content))
def test_what_was_put_is_had_back(content: Content) -> None:
    known = KnownSubscriptions()
    known.put(str(KEY), 70_000, a_subscription(content=content), {"0": "1790000000000-3"})
    assert known.get(str(KEY)) == Registered(KEY, 70_000, TOPIC, content)
    assert known.version_of(str(KEY)) == 70_000 and len(known) == 1


def test_who_is_not_known_has_no_version_and_hears_nothing() -> None:
    known = KnownSubscriptions()
    known.drop("default|r5|nobody")
    assert known.get("default|r5|nobody") is None and known.version_of("default|r5|nobody") == 0
    assert not known.counts("default|r5|nobody", 0, ChangeId(1, 0))


def test_changes_count_from_the_floor_of_their_own_partition_on() -> None:
    known = KnownSubscriptions()
    known.put(str(KEY), 1, a_subscription(), {"0": "5-1", "3": "9-0"})
    counting = [
        (partition, change)
        for partition, change in ((0, (5, 1)), (0, (5, 2)), (0, (6, 0)), (3, (8, 9)), (3, (9, 1)), (7, (1, 0)))
        if known.counts(str(KEY), partition, ChangeId(*change))
    ]
    assert counting == [(0, (5, 2)), (0, (6, 0)), (3, (9, 1)), (7, (1, 0))]


def test_only_those_of_the_base_are_listed() -> None:
    known = KnownSubscriptions()
    for name in ("default|r5|a", "default|r4|b", "other|r5|c", "default|r5|d"):
        known.put(name, 1, a_subscription(), {})
    assert sorted(each.key.id for each in known.all_of("default", FhirVersion.R5)) == ["a", "d"]


def test_a_topic_that_nobody_uses_any_more_is_forgotten() -> None:
    known = KnownSubscriptions()
    for version in range(3):
        known.put(str(KEY), version, a_subscription(f"http://topics.example/t|{version}"), {})
    assert list(known._topics.values()) == ["http://topics.example/t|2"]
    known.drop(str(KEY))
    assert not known._topics and not known._topic_numbers and not known._users
