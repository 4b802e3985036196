"""``hub resend``, ``hub dead-letters --redrive`` and ``--drop``, ``hub pause``, ``hub resume``, ``hub stop``,
``hub start``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from hub.client.carriers import parts_of, value_of
from hub.client.hub import HubClient, subscription_path
from hub.errors import CannotStart

_NUMBER = re.compile(r"\d+")


async def resend(base_url: str, token: str, subscription: str, first: str, last: str) -> int:
    """Send events again; each bound is a number, an instant, or "" for open. The exit code."""
    if not first and not last:
        raise CannotStart("say what is to be sent again: --from or --to, each a number or an instant")
    query = {**_bound("Since", first), **_bound("Until", last)}
    async with HubClient(base_url, token) as hub:
        _tell(await hub.post(subscription_path(subscription, "resend"), **query))
    return 0


async def mend(base_url: str, token: str, subscription: str, action: str, numbers: Sequence[str]) -> int:
    """``redrive`` or ``drop`` dead letters; no numbers: all, which only redriving takes. The exit code."""
    async with HubClient(base_url, token) as hub:
        path = subscription_path(subscription, "dead-letters")
        _tell(await hub.post(path, action=action, number=",".join(numbers)))
    return 0


async def pause(base_url: str, token: str, subscription: str, operation: str) -> int:
    """``pause`` or ``resume``. The exit code."""
    async with HubClient(base_url, token) as hub:
        answer = await hub.post(subscription_path(subscription, operation))
    told = {each["name"]: value_of(each) for each in answer.get("parameter", ())}
    held = f"held back: {told['reason']}" if told.get("paused") else "goes on"
    oldest = f", from number {told['oldest-waiting']} on" if "oldest-waiting" in told else ""
    sys.stdout.write(f"{held}\n{told.get('waiting')} waiting{oldest}; kept {told.get('kept')}\n")
    return 0


async def test(base_url: str, token: str, subscription: str) -> int:
    """Make a test event, and say how to follow it. The exit code."""
    async with HubClient(base_url, token) as hub:
        answer = await hub.post(subscription_path(subscription, "test"))
    told = {each["name"]: value_of(each) for each in answer.get("parameter", ())}
    sys.stdout.write(f"{told['focus']} is on its way; hub explain {subscription} {told['change']} tells of it\n")
    return 0


async def switch(base_url: str, token: str, operation: str, topic: str, endpoint: str) -> int:
    """``stop`` or ``start`` a topic or an endpoint; says what is stopped then. The exit code."""
    async with HubClient(base_url, token) as hub:
        answer = await hub.post(f"${operation}", topic=topic, endpoint=endpoint)
    for parameter in answer.get("parameter", ()):
        if parameter["name"] == "concerned":
            count = value_of(parameter)
            sys.stdout.write(f"{count} Subscription{'' if count == 1 else 's'} concerned\n")
        else:
            told = parts_of(parameter)
            kind = "topic" if "topic" in told else "endpoint"
            sys.stdout.write(f"stopped since {told['since']}: {kind} {told[kind]}\n")
    return 0


def _bound(which: str, written: str) -> dict[str, str]:
    if not written:
        return {}
    return {f"events{which}{'Number' if _NUMBER.fullmatch(written) else 'Instant'}": written}


def _tell(outcome: dict[str, Any]) -> None:
    for issue in outcome.get("issue", ()):
        sys.stdout.write(f"{issue.get('diagnostics', '')}\n")
