"""The commands of the operator on Subscriptions of a running hub; parses arguments, nothing else."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

BASES = ("r4", "r4b", "r5")
BOUND = "a number, or an instant such as 2026-01-02T03:04:05Z"


def add_life_commands(commands: Any) -> None:
    """Add them. ``commands`` is what ``add_subparsers`` returned."""
    status = commands.add_parser("status", help="the Subscriptions of a base; of one, how it came to its status")
    status.add_argument("subscription", nargs="?", default="", metavar="SUBSCRIPTION")
    _on_base(status, _status)

    events = _on_one(commands, "events", "the events of a Subscription, as far as they are held", _events)
    events.add_argument("--from", dest="first", metavar="NUMBER", type=_number, help="the first one")
    events.add_argument("--to", dest="last", metavar="NUMBER", type=_number, help="the last one")

    resend = _on_one(commands, "resend", "send delivered events again, with their numbers", _resend)
    resend.add_argument("--from", dest="first", default="", metavar="WHERE", help=BOUND)
    resend.add_argument("--to", dest="last", default="", metavar="WHERE", help=BOUND)

    letters = _on_one(commands, "dead-letters", "events that were refused for good: list, redrive, drop", _letters)
    what = letters.add_mutually_exclusive_group()
    what.add_argument("--redrive", nargs="*", metavar="N", help="send these again, or all: 5 or 5-7")
    what.add_argument("--drop", nargs="+", metavar="N", help="forget these for good: 5 or 5-7")

    _on_one(commands, "pause", "hold everything back; events are numbered and wait", _pause, operation="pause")
    _on_one(commands, "resume", "let it go on: what waits goes out, in order", _pause, operation="resume")
    _on_one(commands, "test", "send a test event the whole way of a real one", _test)

    for name, told in (("stop", "send nothing about a topic, or to a host"), ("start", "take back stop")):
        switch = commands.add_parser(name, help=told)
        what = switch.add_mutually_exclusive_group(required=True)
        what.add_argument("--topic", default="", metavar="URL", help="canonical of a topic of the base")
        what.add_argument("--endpoint", default="", metavar="HOST", help="name of a host, on all bases")
        _on_base(switch, _switch, operation=name)


def hub_of(options: argparse.Namespace) -> tuple[str, str]:
    """The URL of the base that a command speaks to, and the token."""
    from hub.domain.versions import FhirVersion
    from hub.settings import load_settings

    settings = load_settings()
    token = settings.tokens[0] if settings.tokens else ""
    return settings.base_url_of(FhirVersion(options.base)), token


def _on_one(commands: Any, name: str, told: str, run: Any, **more: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=told)
    command.add_argument("subscription", metavar="SUBSCRIPTION", help="id of the Subscription")
    return _on_base(command, run, **more)


def _on_base(command: argparse.ArgumentParser, run: Any, **more: Any) -> argparse.ArgumentParser:
    command.add_argument("--base", choices=BASES, default="r4", help="FHIR version (default: r4)")
    command.set_defaults(run=run, **more)
    return command


def _number(written: str) -> str:
    if not written.isdecimal():
        raise argparse.ArgumentTypeError(f"{written!r} is no event number")
    return written


def _status(options: argparse.Namespace) -> int:
    from hub.client.looking import status

    return asyncio.run(status(*hub_of(options), options.subscription))


def _events(options: argparse.Namespace) -> int:
    from hub.client.looking import events

    return asyncio.run(events(*hub_of(options), options.subscription, options.first or "", options.last or ""))


def _resend(options: argparse.Namespace) -> int:
    from hub.client.repairing import resend

    return asyncio.run(resend(*hub_of(options), options.subscription, options.first or "", options.last or ""))


def _letters(options: argparse.Namespace) -> int:
    from hub.client.looking import dead_letters
    from hub.client.repairing import mend

    if options.redrive is None and options.drop is None:
        return asyncio.run(dead_letters(*hub_of(options), options.subscription))
    action, numbers = ("drop", options.drop) if options.drop else ("redrive", options.redrive)
    return asyncio.run(mend(*hub_of(options), options.subscription, action, numbers))


def _pause(options: argparse.Namespace) -> int:
    from hub.client.repairing import pause

    return asyncio.run(pause(*hub_of(options), options.subscription, options.operation))


def _switch(options: argparse.Namespace) -> int:
    from hub.client.repairing import switch

    return asyncio.run(switch(*hub_of(options), options.operation, options.topic, options.endpoint))


def _test(options: argparse.Namespace) -> int:
    from hub.client.repairing import test

    return asyncio.run(test(*hub_of(options), options.subscription))
