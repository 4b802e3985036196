"""``hub status``, ``hub events``, ``hub dead-letters``: looking into deliveries from the command line."""

from __future__ import annotations

import sys
from typing import Any

from hub.client.carriers import parts_of, statuses_in, value_of
from hub.client.hub import HubClient, subscription_path

PAGE = 1000


async def status(base_url: str, token: str, subscription: str) -> int:
    """One line for each Subscription of the base, those in trouble first; of one, how it came there. The exit code."""
    async with HubClient(base_url, token) as hub:
        if subscription:
            await _one(hub, subscription)
            return 0
        found = statuses_in(await hub.get("Subscription/$status"))
    for each in sorted(found, key=lambda one: (one.status == "active", one.status, one.subscription)):
        error = f"  {'; '.join(each.errors)}" if each.errors else ""
        identity = each.subscription.rpartition("/")[2]
        sys.stdout.write(f"{each.status:<10}{each.count:>9} events  {identity}{error}\n")
    sys.stdout.write(f"{len(found)} Subscription{'' if len(found) == 1 else 's'}\n")
    return 0


async def _one(hub: HubClient, subscription: str) -> None:
    (told,) = statuses_in(await hub.get(subscription_path(subscription, "status")))
    life = await hub.get(subscription_path(subscription, "transitions"))
    attempts = await hub.get(subscription_path(subscription, "attempts"))
    sys.stdout.write(f"{told.status}, {told.count} event{'' if told.count == 1 else 's'} numbered\n")
    for parameter in life.get("parameter", ()):
        if parameter["name"] == "reason":
            sys.stdout.write(f"held back: {value_of(parameter)}\n")
    for error in told.errors:
        sys.stdout.write(f"error: {error}\n")
    sys.stdout.write("\n")
    for each in _parts(life, "transition"):
        sys.stdout.write(f"{each['at']}  {each.get('from', '-'):>9} -> {each['to']:<9}  {each['text']}\n")
    sys.stdout.write("\n")
    for each in _parts(attempts, "attempt"):
        sys.stdout.write(f"{each['at']}  {_attempt(each)}\n")


def _attempt(attempt: dict[str, Any]) -> str:
    first, last = attempt.get("first-number"), attempt.get("last-number")
    numbers = "" if first is None else f" {first}" if first == last else f" {first}-{last}"
    status = f" HTTP {attempt['http-status']}" if "http-status" in attempt else ""
    error = f" {attempt['error']}" if "error" in attempt else ""
    return f"{attempt['duty']}{numbers}  {attempt['outcome']}{status}{error}  {attempt['milliseconds']} ms"


async def events(base_url: str, token: str, subscription: str, first: str, last: str) -> int:
    """A line for each event from ``first`` to ``last`` ("" for open) that is held, page by page. The exit code."""
    since, shown = first or "1", 0
    async with HubClient(base_url, token) as hub:
        while True:
            path = subscription_path(subscription, "events")
            (told,) = statuses_in(await hub.get(path, eventsSinceNumber=since, eventsUntilNumber=last))
            for each in told.events:
                sys.stdout.write(f"{each.number:>9}  {each.timestamp}  {each.focus}\n")
            for error in told.errors:
                sys.stdout.write(f"           {error}\n")
            shown += len(told.events)
            upto = told.events[-1].number if told.events else 0
            if upto >= min(told.count, int(last) if last else told.count) or not upto:
                break
            since = str(upto + 1)
    sys.stdout.write(f"{shown} of {told.count} event{'' if told.count == 1 else 's'}\n")
    return 0


async def dead_letters(base_url: str, token: str, subscription: str) -> int:
    """A line for each event that was refused for good. The exit code."""
    async with HubClient(base_url, token) as hub:
        letters = _parts(await hub.get(subscription_path(subscription, "dead-letters")), "dead-letter")
    for each in letters:
        status = f"HTTP {each['http-status']}" if "http-status" in each else ""
        waiting = "  on its way again" if each["being-redriven"] else ""
        sys.stdout.write(f"{each['number']:>9}  change {each['change']}  {each.get('reason') or status}{waiting}\n")
    sys.stdout.write(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}\n")
    return 0


def _parts(parameters: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [parts_of(each) for each in parameters.get("parameter", ()) if each["name"] == name]
