"""A Subscription that is deleted or written while an attempt for it is prepared: nothing fails, nothing is sent."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hub.domain.subscription import Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe
from tests.api.harness import RunningHub
from tests.api.receiver import Inbox

VOID = "an attempt was void: the Subscription was deleted or written meanwhile"


async def delete(hub: RunningHub, key: SubscriptionKey) -> None:
    await hub.hub.subscriptions.remove(key, None)


def lines(caplog: pytest.LogCaptureFixture, key: SubscriptionKey) -> list[logging.LogRecord]:
    """What was logged of this one; the hub may still be at work for other tests."""
    return [each for each in caplog.records if each.__dict__.get("subscription") == str(key)]


async def said(caplog: pytest.LogCaptureFixture, key: SubscriptionKey) -> logging.LogRecord:
    """The line about its attempt, however it ended."""
    for _ in range(1000):
        for record in lines(caplog, key):
            if record.getMessage() in (VOID, "attempt") or record.levelno >= logging.ERROR:
                return record
        await asyncio.sleep(0.01)
    raise AssertionError("no attempt was made")


@pytest.mark.parametrize("gone", ["definition", "events"])
async def test_deleting_while_an_attempt_is_prepared_is_said_in_one_quiet_line(
    running: RunningHub, base: FhirVersion, inbox: Inbox, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, gone: str,
) -> None:  # fmt: skip
    """Either its definition is missing, or, when that is known still, the log of its events."""
    api, mark = running.api(base), fresh_id()
    shown = await subscribe(api, inbox, filters=(f"_id={mark}",))
    key = SubscriptionKey("default", base, shown["id"])
    definitions = running.hub.definitions
    read = definitions.get

    async def read_too_late(name: str, version: int) -> Subscription:
        if name != str(key):
            return await read(name, version)
        found = await read(name, version)
        await delete(running, key)
        if gone == "definition":
            definitions._cache.pop((name, version))
            return await read(name, version)
        return found

    await api.post(f"Subscription/{key.id}/$pause")  # so that the events are read from the log
    await api.put(f"Patient/{mark}", patient(mark))
    await numbered(running, key)
    monkeypatch.setattr(definitions, "get", read_too_late)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="hub.delivery"):
        await api.post(f"Subscription/{key.id}/$resume")
        record = await said(caplog, key)
    assert (record.levelname, record.getMessage(), record.exc_info) == ("INFO", VOID, None)
    assert record.__dict__["subscription"] == str(key) and record.__dict__["reason"]
    assert inbox.nothing_unread()


async def test_a_fault_of_the_hub_is_still_told_with_its_traceback(
    running: RunningHub, base: FhirVersion, inbox: Inbox, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It counts as a failed attempt and is repeated."""
    api, mark = running.api(base), fresh_id()
    shown = await subscribe(api, inbox, filters=(f"_id={mark}",))
    definitions, faults = running.hub.definitions, [RuntimeError("a fault")]
    read = definitions.get

    async def read_or_fail(name: str, version: int) -> Subscription:
        if name.endswith(shown["id"]) and faults:
            raise faults.pop()
        return await read(name, version)

    monkeypatch.setattr(definitions, "get", read_or_fail)
    with caplog.at_level(logging.INFO, logger="hub.delivery"):
        await api.put(f"Patient/{mark}", patient(mark))
        assert await inbox.numbers(1) == [1]
    key = SubscriptionKey("default", base, shown["id"])
    (record,) = (each for each in lines(caplog, key) if each.levelno >= logging.ERROR)
    assert record.exc_info and "a fault" in str(record.exc_info[1])


async def numbered(running: RunningHub, key: SubscriptionKey) -> None:
    """Until its first event has its number."""
    for _ in range(1000):
        (record,) = await running.hub.subscriptions.records([str(key)])
        if record and record.number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was numbered")
