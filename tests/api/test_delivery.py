"""Delivery through the whole hub when the receiver is slow, broken, or says no (issue point 6, decision 8)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe, until_status
from tests.api.harness import Api, outcome_of
from tests.api.receiver import Inbox, Notification, Reply, events_of, status_of


async def _change(api: Api, *marks: str) -> None:
    for mark in marks:
        assert (await api.put(f"Patient/{mark}", patient(mark))).status_code == 201


def _marks(count: int) -> list[str]:
    return [fresh_id() for _ in range(count)]


async def _subscribed(api: Api, inbox: Inbox, marks: list[str], **options: Any) -> str:
    told = await subscribe(api, inbox, filters=(f"_id={','.join(marks)}",), **options)
    return str(told["id"])


def _attempts(inbox: Inbox) -> list[Notification]:
    return [each for each in inbox.everything if each.type == "event-notification"]


async def test_a_backlog_goes_out_in_batches_of_at_most_max_count(api: Api, inbox: Inbox) -> None:
    """S-140: ascending; the carrier's count is the highest number in the bundle (S-109)."""
    marks, go_on = _marks(8), asyncio.Event()
    await _subscribed(api, inbox, marks, max_count=3, content="full-resource")
    inbox.replies = [Reply(after=go_on)]
    await _change(api, *marks)
    await asyncio.sleep(0.05)
    go_on.set()
    assert await inbox.numbers(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    for notification in _attempts(inbox):
        assert len(notification.events) <= 3
        assert notification.carrier["eventsSinceSubscriptionStart"] == notification.events[-1].number
        assert [entry["fullUrl"] for entry in notification.entries] == [each.focus for each in notification.events]
    assert max(len(notification.events) for notification in _attempts(inbox)) == 3


async def test_without_max_count_events_go_out_one_by_one(api: Api, inbox: Inbox) -> None:
    marks = _marks(5)
    await _subscribed(api, inbox, marks)
    await _change(api, *marks)
    assert [(await inbox.event()).numbers for _ in marks] == [[1], [2], [3], [4], [5]]


async def test_a_failed_batch_is_repeated_identically_and_nothing_overtakes_it(api: Api, inbox: Inbox) -> None:
    """Ruling 18: frozen when first attempted; same body, same webhook-id, same Bundle.id."""
    marks, go_on = _marks(6), asyncio.Event()
    await _subscribed(api, inbox, marks, max_count=3)
    inbox.replies = [Reply(503, after=go_on), Reply(500), Reply(429)]
    await _change(api, *marks)
    go_on.set()
    while len({each.numbers[0] for each in _attempts(inbox)}) < 2 or _attempts(inbox)[-1].numbers[-1] < 6:
        await asyncio.sleep(0.01)
    first, *again = _attempts(inbox)[:4]
    assert [each.answered for each in (first, *again)] == [503, 500, 429, 200]
    for attempt in again:
        assert attempt.body == first.body
        assert attempt.header("webhook-id") == first.header("webhook-id") != ""
    later = _attempts(inbox)[4:]
    assert [number for each in later for number in each.numbers] == [2, 3, 4, 5, 6]
    assert later[0].header("webhook-id") != first.header("webhook-id")
    assert later[0].bundle["id"] != first.bundle["id"]


async def test_gone_switches_the_subscription_off(api: Api, inbox: Inbox) -> None:
    """S-149: 410 after a handshake that succeeded."""
    marks = _marks(2)
    identity = await _subscribed(api, inbox, marks)
    inbox.reply = Reply(410)
    await _change(api, *marks)
    await until_status(api, identity, "off")
    assert [each.numbers for each in _attempts(inbox)] == [[1]]


async def test_a_refused_event_becomes_a_dead_letter_and_the_rest_is_delivered(api: Api, inbox: Inbox) -> None:
    """Ruling 19: the Subscription stays in error, with the reason, until the client asks anew."""
    marks, go_on = _marks(4), asyncio.Event()
    identity = await _subscribed(api, inbox, marks, max_count=4)
    inbox.replies = [Reply(503, after=go_on)]
    await _change(api, marks[0])
    await inbox.event()
    await _change(api, *marks[1:])
    inbox.replies += [Reply(200), Reply(422), Reply(200), Reply(422), Reply(200)]
    go_on.set()
    while [each.numbers for each in _attempts(inbox) if each.answered == 200][-1:] != [[4]]:
        await asyncio.sleep(0.01)
    assert [(each.numbers, each.answered) for each in _attempts(inbox)] == [
        ([1], 503), ([1], 200), ([2, 3, 4], 422), ([2], 200), ([3], 422), ([4], 200),
    ]  # fmt: skip
    shown = await until_status(api, identity, "error")
    status = (await api.get(f"Subscription/{identity}/$status")).json()
    (error,) = status_of(status["entry"][0]["resource"])["error"]
    assert error["coding"][0]["code"] == "error-response"
    answer = await api.put(f"Subscription/{identity}", shown | {"status": "requested"})
    assert answer.json()["status"] == "requested"
    await until_status(api, identity, "active")


async def test_retry_after_is_obeyed(api: Api, inbox: Inbox) -> None:
    """S-149. The hub's own first wait is 20 ms here."""
    (mark,) = marks = _marks(1)
    await _subscribed(api, inbox, marks)
    inbox.replies = [Reply(503, "Retry-After: 1\r\n")]
    await _change(api, mark)
    await inbox.event()
    begun = time.monotonic()
    assert (await inbox.event()).numbers == [1]
    assert time.monotonic() - begun > 0.9


async def test_a_receiver_that_hangs_is_given_up_after_the_time_out_and_tried_again(api: Api, inbox: Inbox) -> None:
    """S-100: the time-out is that of one attempt."""
    (mark,) = marks = _marks(1)
    identity = await _subscribed(api, inbox, marks, timeout=1)
    never = asyncio.Event()
    inbox.replies = [Reply(after=never)]
    begun = time.monotonic()
    await _change(api, mark)
    await inbox.event()
    again = await inbox.event()
    assert time.monotonic() - begun > 0.9, "and the inbox has no patience for the 15 s of the hub"
    assert again.numbers == [1]
    never.set()
    await until_status(api, identity, "active")


async def test_failures_make_it_an_error_and_a_delivered_backlog_makes_it_active_again(
    start_hub: Any, inbox: Inbox, base: FhirVersion
) -> None:
    """Decision 8: by itself, in order, with nothing dropped."""
    api = (await start_hub(error_after_failures=3)).api(base)
    marks = _marks(5)
    identity = await _subscribed(api, inbox, marks)
    inbox.reply = Reply(502)
    await _change(api, *marks)
    await until_status(api, identity, "error")
    status = (await api.get(f"Subscription/{identity}/$status")).json()
    found = status_of(status["entry"][0]["resource"])
    assert (found["status"], found["eventsSinceSubscriptionStart"]) == ("error", "5")  # S-077
    assert "502" in found["error"][0]["text"]
    inbox.reply = Reply(200)
    await until_status(api, identity, "active")
    delivered = [each.numbers for each in _attempts(inbox) if each.answered == 200]
    assert delivered == [[1], [2], [3], [4], [5]]


async def test_a_redirect_is_a_failure_and_is_not_followed(api: Api, inbox: Inbox) -> None:
    """S-154, SECURITY B4."""
    (mark,) = marks = _marks(1)
    await _subscribed(api, inbox, marks)
    inbox.replies = [Reply(307, f"Location: {inbox.url}/elsewhere\r\n")]
    await _change(api, mark)
    first, second = await inbox.event(), await inbox.event()
    assert first.request.line == second.request.line
    assert first.body == second.body


async def test_events_that_wait_are_shown_by_events_before_they_are_delivered(api: Api, inbox: Inbox) -> None:
    marks = _marks(3)
    identity = await _subscribed(api, inbox, marks)
    inbox.reply = Reply(503)
    await _change(api, *marks)
    await inbox.event()
    for _ in range(100):
        answer = await api.get(f"Subscription/{identity}/$events")
        if answer.status_code == 200 and len(events_of(answer.json())) == 3:
            break
        await asyncio.sleep(0.01)
    assert [event.number for event in events_of(answer.json())] == ["1", "2", "3"]
    outcome_of(await api.get(f"Subscription/{identity}/$events?eventsSinceNumber=x"), 400)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_a_delivery(api: Api, inbox: Inbox, status: int) -> None:
    """S-154."""
    marks = _marks(2)
    await _subscribed(api, inbox, marks)
    inbox.reply = Reply(status)
    await _change(api, *marks)
    assert await inbox.numbers(2) == [1, 2]
